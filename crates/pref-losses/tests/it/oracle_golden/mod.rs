//! The oracle against vectors produced by the public reference implementations, in f64.
//!
//! The vectors are read from `$EURUS_GOLDEN_DIR/losses.json` (default: `shared/golden` beside the
//! workspace). Without that file the test says so and passes. Gradients of the vectors are held
//! against central differences of the oracle, so a value that is right by chance does not pass.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod case;
mod losses;
mod tokens;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use case::Case;

fn golden_file() -> Option<Value> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let set = std::env::var_os("EURUS_GOLDEN_DIR").filter(|value| !value.is_empty());
    let folder = set
        .clone()
        .map_or(PathBuf::from("../shared/golden"), PathBuf::from);
    let path = workspace.join(folder).join("losses.json");
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).expect("golden file is JSON")),
        Err(error) if set.is_some() => panic!("{}: {error}", path.display()),
        Err(_) => {
            eprintln!(
                "SKIPPED: no golden vectors at {}; set EURUS_GOLDEN_DIR",
                path.display()
            );
            None
        }
    }
}

/// Number of cases and largest errors of one loss, relative to the largest entry.
#[derive(Default)]
struct Row {
    cases: usize,
    value: f64,
    gradient: f64,
}

#[test]
fn the_oracle_agrees_with_every_reference_implementation() {
    let Some(file) = golden_file() else { return };
    let mut failures = Vec::new();
    let mut table: BTreeMap<&str, Row> = BTreeMap::new();
    for value in file["cases"].as_array().expect("cases") {
        let case = Case::new(value);
        let row = table.entry(case.loss()).or_default();
        row.cases += 1;
        row.value = row.value.max(case.compare_values(&mut failures));
        row.gradient = row.gradient.max(case.compare_gradients(&mut failures));
    }
    println!(
        "{:<24} {:>6} {:>14} {:>14}",
        "loss", "cases", "value error", "gradient error"
    );
    for (loss, row) in &table {
        println!(
            "{loss:<24} {:>6} {:>14.1e} {:>14.1e}",
            row.cases, row.value, row.gradient
        );
    }
    assert!(!table.is_empty(), "no case was run");
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
