//! Small checkpoints as Hugging Face transformers saves them, against the numbers that PyTorch gets from them.
//!
//! Every folder in a folder of the golden values is checked, whatever its name, if it has `config.json`, weights,
//! `expected.json`, `expected.safetensors` and `trees.json`, as the READMEs there describe. With `--nocapture` the
//! largest error of every check is printed. Without golden values the test says so and passes.

#![allow(clippy::print_stdout, reason = "the errors are the result")]

mod adapters;
mod generation;
mod gradients;
mod language_model;
mod loading;
mod packed_trees;
mod reward_model;
mod rope_cases;
mod rows;
mod schema;
mod subject;
mod training;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn::tensor::Device;
use eurus_models::{Checkpoint, Error};
use eurus_tests::report::Report;
use test_support::folders;

use self::subject::Subject;

/// Kinds of models that must load. Any other may be refused, but then for its `model_type` and not by accident.
const SUPPORTED: [&str; 5] = ["llama", "mistral", "mixtral", "qwen2", "qwen3"];

#[test]
fn golden_models_give_the_values_of_the_reference_implementation() {
    let Some(golden) = folders::golden() else {
        return;
    };
    let folders = model_folders(&golden).expect("the folders of golden values can be listed");
    assert!(
        !folders.is_empty(),
        "{}: no folder of models with an expected.json each",
        golden.display()
    );
    let mut failures = Vec::new();
    for folder in folders {
        match check(&folder) {
            Ok(report) => {
                println!("{report}");
                failures.extend(report.failures());
            }
            Err(error) => failures.push(format!("{}: {error:#}", folder.display())),
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// The folders of models in all folders of the golden values.
fn model_folders(golden: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for set in folders_in(golden)? {
        let models = folders_in(&set)?.into_iter();
        folders.extend(models.filter(|model| model.join("expected.json").is_file()));
    }
    folders.sort();
    Ok(folders)
}

fn folders_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// All checks of one folder.
fn check(folder: &Path) -> Result<Report> {
    let subject = Subject::read(folder)?;
    let mut report = Report::new(subject.title());
    let checkpoint = Checkpoint::new(folder);
    let device = Device::flex();
    if subject.expected.reward_model {
        match checkpoint.reward_model(&device) {
            Ok((model, config)) => {
                loading::check(&subject, &model, &config, &mut report)?;
                reward_model::check(&subject, &model, &config, &mut report)?;
            }
            Err(error) => refused(&subject, &error, &mut report)?,
        }
    } else {
        match checkpoint.decoder(&device) {
            Ok((model, config)) => {
                loading::check(&subject, &model, &config, &mut report)?;
                language_model::check(&subject, &model, &config, &mut report)?;
                generation::check(&subject, &model, &mut report)?;
                rope_cases::check(&subject, &model, &config, &mut report)?;
                adapters::check(&subject, &model, &mut report)?;
            }
            Err(error) => refused(&subject, &error, &mut report)?,
        }
    }
    Ok(report)
}

/// A kind that is not supported must be refused, with an error that names the field and its value.
fn refused(subject: &Subject, error: &Error, report: &mut Report) -> Result<()> {
    let kind = subject.expected.kind.as_str();
    if SUPPORTED.contains(&kind) {
        report.fail("loading", error);
        return Ok(());
    }
    let message = error.to_string();
    let clear = matches!(error, Error::Config { field, value, .. } if field == "model_type" && value == kind);
    if clear && message.contains(kind) {
        report.note(format_args!("refused: {message}"));
    } else {
        report.fail(
            "refusal",
            format_args!("it does not name the model_type {kind}: {message}"),
        );
    }
    Ok(())
}
