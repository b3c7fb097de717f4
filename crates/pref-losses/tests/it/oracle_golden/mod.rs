//! The oracle against vectors produced by the public reference implementations, in f64.
//!
//! The vectors are read from all files `losses*.json` in the folder `$EURUS_GOLDEN_DIR` (default:
//! `shared/golden` beside the workspace). Without that folder the test says so and passes. Gradients of the vectors are held
//! against central differences of the oracle, so a value that is right by chance does not pass.

#![allow(clippy::print_stdout, reason = "the errors are the result")]

mod case;
mod losses;
mod parts;
mod tokens;

use std::collections::BTreeMap;

use serde_json::Value;
use test_support::folders;

use self::case::Case;

/// The cases of all files of vectors.
fn golden_cases() -> Option<Vec<Value>> {
    let entries = std::fs::read_dir(folders::golden()?).expect("the folder can be read");
    let mut cases = Vec::new();
    for entry in entries {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_name().and_then(|name| name.to_str());
        if !name.is_some_and(|name| name.starts_with("losses") && name.ends_with(".json")) {
            continue;
        }
        let text = std::fs::read_to_string(path).expect("golden values can be read");
        let file: Value = serde_json::from_str(&text).expect("golden values are JSON");
        cases.extend(file["cases"].as_array().expect("cases").iter().cloned());
    }
    Some(cases)
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
    let Some(cases) = golden_cases() else { return };
    let mut failures = Vec::new();
    let mut table: BTreeMap<&str, Row> = BTreeMap::new();
    for value in &cases {
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
