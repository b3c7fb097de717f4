//! Every loss of `pref-losses` against vectors produced by the public reference implementations.
//!
//! The vectors are read from all files `losses*.json` in the golden folder (see `test_support::folders`); with
//! `--nocapture` the largest errors of every loss are printed. Every case of these files is run with the settings, sizes
//! and inputs that the file gives; a loss that is not known here is a failure. Without golden values the test says so and
//! passes. With the feature `tch` the same table is computed by LibTorch.

#![allow(clippy::print_stdout, reason = "the errors are the result")]

mod case;
mod comparison;
mod configs;
mod end_to_end;
mod paired;
mod responses;
mod reward;
mod token_pairs;
mod tokens;
mod unpaired;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde_json::Value;
use test_support::folders;

use self::case::Case;
use self::comparison::{Errors, Run};

/// The CPU, or LibTorch in a build with the feature `tch`.
#[cfg_attr(
    feature = "tch",
    allow(deprecated, reason = "burn has deprecated LibTorch")
)]
fn device() -> Device {
    #[cfg(feature = "tch")]
    return Device::libtorch();
    #[cfg(not(feature = "tch"))]
    Device::flex()
}

#[test]
fn every_loss_agrees_with_its_reference_implementation() {
    let Some(folder) = folders::golden() else {
        return;
    };
    let files = files(&folder);
    let cases = files.iter().flat_map(|(path, file)| {
        let cases = file["cases"].as_array();
        let cases = cases.unwrap_or_else(|| panic!("{}: no list of cases", path.display()));
        assert!(!cases.is_empty(), "{}: no cases", path.display());
        cases
    });
    let cases: Vec<&Value> = cases.collect();

    let device = device().autodiff();
    let mut failures = Vec::new();
    let mut table: BTreeMap<&str, Errors> = BTreeMap::new();
    for value in &cases {
        let case = Case::new(value, &device);
        let runs = match run(&case) {
            Ok(runs) => runs,
            Err(reason) => {
                failures.push(format!("{}: {reason}", case.name()));
                continue;
            }
        };
        let errors = table.entry(case.loss()).or_default();
        errors.cases += 1;
        for run in runs {
            errors.compare(&case, &run, &mut failures);
        }
    }
    println!("{}", Errors::header());
    for (loss, errors) in &table {
        println!("{loss:<24} {errors}");
    }
    let run: usize = table.values().map(|errors| errors.cases).sum();
    println!(
        "{run} of {} cases run, {} failures",
        cases.len(),
        failures.len()
    );
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// The files of vectors in a folder, by name.
fn files(folder: &Path) -> Vec<(PathBuf, Value)> {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("losses") && name.ends_with(".json"))
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}: no losses*.json", folder.display());
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = serde_json::from_str(&text);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, file)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn a_loss_that_is_not_known_is_a_failure() {
    let device = device().autodiff();
    for loss in [
        "dpo_of_tomorrow",
        "rm_of_tomorrow",
        "e2e_of_tomorrow",
        "wpo_of_tomorrow",
    ] {
        let value = serde_json::json!({
            "name": "one",
            "loss": loss,
            "config": {"beta": 0.1, "loss_type": "sigmoid"},
            "inputs": {
                "policy_chosen": [-1.0],
                "policy_rejected": [-2.0],
                "ref_chosen": [-1.0],
                "ref_rejected": [-2.0],
            },
            "expected": {},
            "grads": {},
        });
        let reason = run(&Case::new(&value, &device)).err();
        assert!(reason.is_some_and(|reason| reason.contains(loss)), "{loss}");
    }
}

/// The runs of one case: one for each way in which the crate can compute it.
fn run(case: &Case<'_>) -> Result<Vec<Run>, String> {
    let loss = case.loss();
    Ok(match loss {
        "rm_bt" | "rm_bt_centered" | "rm_ldr" | "rm_ultrainteract" | "rm_ultrainteract_mixed" => {
            vec![reward::run(case)?]
        }
        "rm_norm_bt" | "rm_norm_bt_head" => vec![reward::run_weighted(case)?],
        "wpo" | "wpo_capped" | "ld_dpo" | "wpo_ld_dpo" => vec![token_pairs::run(case)?],
        "e2e_wpo" | "e2e_wpo_capped" | "e2e_ld_dpo" => token_pairs::run_end_to_end(case)?,
        "nca_k" | "infonca_k" => vec![responses::run(case)],
        "kto_trl" | "kto_halos" | "kto_apo_zero_unpaired" => unpaired::run(case)?,
        "token_logps" => tokens::run(case),
        "batch_logps" | "sft_ce" => vec![tokens::run_causal(case)],
        "e2e_dpo" => vec![end_to_end::dpo(case)?],
        "e2e_cpo" => vec![end_to_end::cpo(case)?],
        "e2e_orpo" => vec![end_to_end::orpo(case)?],
        "e2e_kto" => vec![end_to_end::kto(case)?],
        "ipo_halos_tokens" => vec![paired::run_tokens(case)?],
        "orpo_trl" | "orpo_halos" => vec![paired::run_averaged(case)?],
        _ => vec![paired::run(case)?],
    })
}
