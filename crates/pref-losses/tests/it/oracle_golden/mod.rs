//! The oracle against vectors produced by the public reference implementations, in f64.
//!
//! The vectors are read from `$EURUS_GOLDEN_DIR/losses.json` (default: `shared/golden` beside the
//! workspace). Without that file the test says so and passes. Gradients of the vectors are held
//! against central differences of the oracle, so a value that is right by chance does not pass.

#![allow(clippy::print_stdout, reason = "the errors are the result")]

mod case;
mod losses;
mod tokens;

use std::collections::BTreeMap;

use serde_json::Value;
use test_support::folders;

use self::case::Case;

fn golden_file() -> Option<Value> {
    let path = folders::golden_file("losses.json")?;
    let text = std::fs::read_to_string(path).expect("golden values can be read");
    Some(serde_json::from_str(&text).expect("golden values are JSON"))
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
