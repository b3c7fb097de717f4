//! Every loss of this crate against vectors produced by the public reference implementations.
//!
//! The vectors are read from `$EURUS_GOLDEN_DIR/losses.json` (default: `shared/golden` beside the
//! workspace). Without that file the test says so and passes.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod case;
mod losses;
mod tokens;

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::tensor::Device;
use serde_json::Value;

use case::Case;

/// Losses of the file that this crate does not have yet. A loss that is neither here nor handled
/// fails the test.
const NOT_BUILT: &[&str] = &[
    "exo_pair",
    "bco_pair",
    "bco_pair_delta",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "apo_zero",
    "apo_down",
    "discopop",
    "kto_pair",
    "fdpo",
    "fdpo_trl012_alpha",
    "fdpo_trl110",
    "ipo_halos_tokens",
    "simpo_trl",
    "simpo_halos",
    "slic_halos",
    "cpo",
    "alphapo",
    "orpo_trl",
    "orpo_halos",
    "e2e_cpo",
    "e2e_orpo",
];

#[test]
fn every_loss_agrees_with_its_reference_implementation() {
    let folder = std::env::var_os("EURUS_GOLDEN_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden"),
        PathBuf::from,
    );
    let path = folder.join("losses.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!(
            "SKIPPED: no golden vectors at {}; set EURUS_GOLDEN_DIR",
            path.display()
        );
        return;
    };
    let file: Value = serde_json::from_str(&text).expect("golden file is JSON");

    let mut failures = Vec::new();
    let mut table: BTreeMap<String, (usize, f64, f64)> = BTreeMap::new();
    for value in file["cases"].as_array().expect("cases") {
        let case = Case {
            value,
            device: Device::flex().autodiff(),
        };
        if NOT_BUILT.contains(&case.loss()) {
            continue;
        }
        for result in losses::run(&case) {
            let row = table.entry(case.loss().to_owned()).or_default();
            row.0 += 1;
            row.1 = row
                .1
                .max(result.compare(&case, "expected", &result.values, &mut failures));
            row.2 = row
                .2
                .max(result.compare(&case, "grads", &result.grads, &mut failures));
        }
    }
    println!(
        "{:<24} {:>6} {:>12} {:>12}",
        "loss", "runs", "max |value|", "max |grad|"
    );
    for (loss, (runs, value, grad)) in &table {
        println!("{loss:<24} {runs:>6} {value:>12.2e} {grad:>12.2e}");
    }
    assert!(!table.is_empty(), "no case was run");
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
