//! Adapter folders of PEFT on their base: what they compute, merged weights, gradients, training, and the way out again.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use eurus_models::lora::{Adapted, AdapterFolder, LoraConfig};
use eurus_models::{Checkpoint, Decoder};
use eurus_tests::parameters::parameters;
use eurus_tests::report::Report;
use eurus_tests::tensors;
use tempfile::TempDir;

use super::folders_in;
use super::gradients::{self, Section};
use super::language_model::{check_case, negative_log_prob};
use super::schema::{ExpectedAdapter, Gradient, Merged, Train};
use super::subject::{Subject, json};
use super::training;

/// All adapters of a golden folder.
pub fn check(base: &Subject, model: &Decoder, report: &mut Report) -> Result<()> {
    let adapters = base.folder.join("adapters");
    if !adapters.is_dir() {
        return Ok(());
    }
    let mut folders = folders_in(&adapters)?;
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let name = name.into_owned();
        let of_one = check_one(base, &folder, model, report);
        of_one.with_context(|| format!("adapter {name}"))?;
    }
    Ok(())
}

fn check_one(base: &Subject, path: &Path, model: &Decoder, report: &mut Report) -> Result<()> {
    let expected: ExpectedAdapter = json(&path.join("expected.json"))?;
    let folder = AdapterFolder::new(path);
    let device = Device::flex();
    let (adapted, settings) = match folder.load(model.clone(), &device) {
        Ok(loaded) => loaded,
        Err(error) => {
            refused(path, &expected, &error.to_string(), report);
            return Ok(());
        }
    };
    let subject = subject(base, path, expected)?;
    let (subject, expected) = (&subject.0, &subject.1);

    let sizes: BTreeMap<String, usize> = adapted
        .adapters()
        .iter()
        .map(|(path, adapter)| (path.clone(), adapter.down.val().dims()[0]))
        .collect();
    let listed = expected
        .modules
        .iter()
        .map(|(name, module)| (name.clone(), module.r));
    report.same(
        "adapters: layers and ranks",
        path.display(),
        &sizes,
        &listed.collect(),
    );

    let merged = adapted.merged();
    for case in &subject.expected.cases {
        check_case(subject, &adapted, case, report)?;
        check_case(subject, &merged, case, report)?;
    }
    if let Some(weights) = &expected.merged {
        check_merged(&merged, weights, subject, report)?;
    }
    check_ways_out(subject, base, &adapted, &settings, report)?;
    let trained = without_dropout(path)?;
    let (trained, _) = AdapterFolder::new(trained.path()).load(model.clone(), &device)?;
    check_learning(subject, expected, &trained, report)
}

/// The same adapter: gradients and training are expected without dropout.
fn without_dropout(path: &Path) -> Result<TempDir> {
    let copy = tempfile::tempdir()?;
    let weights = "adapter_model.safetensors";
    std::fs::copy(path.join(weights), copy.path().join(weights))?;
    let mut settings: serde_json::Value = json(&path.join("adapter_config.json"))?;
    settings["lora_dropout"] = 0.0.into();
    std::fs::write(
        copy.path().join("adapter_config.json"),
        settings.to_string(),
    )?;
    Ok(copy)
}

/// The base's cases with what the adapter makes of them.
fn subject(
    base: &Subject,
    path: &Path,
    mut expected: ExpectedAdapter,
) -> Result<(Subject, ExpectedAdapter)> {
    let mut subject = Subject::read(&base.folder)?;
    subject.folder = path.into();
    subject.stored = tensors::read(&path.join("expected.safetensors"))?;
    let mut cases = Vec::new();
    for adapted in &expected.cases {
        let all = &mut subject.expected.cases;
        let place = all.iter().position(|case| case.id == adapted.id);
        let mut case = all.swap_remove(place.context("a case that the base does not have")?);
        case.token_logprobs_f64 = Some(adapted.token_logprobs_f64.clone());
        case.sum_logprob_f64 = Some(adapted.sum_logprob_f64.clone());
        case.mean_ce_loss_f64 = None;
        case.last_top5 = adapted.last_top5.clone();
        cases.push(case);
    }
    subject.expected.cases = cases;
    subject.expected.tolerance = expected.tolerance.clone();
    if let Some(gradient) = &mut expected.grad_sum_logprob {
        rename(gradient);
    }
    for train in &mut expected.train {
        rename_train(train);
    }
    Ok((subject, expected))
}

/// The parameter that a tensor of an adapter file is here.
fn parameter(name: &str) -> String {
    let name = name.strip_prefix("base_model.model.").unwrap_or(name);
    for (of_peft, here) in [(".lora_A.weight", "down"), (".lora_B.weight", "up")] {
        if let Some(path) = name.strip_suffix(of_peft) {
            return format!("{path}.adapter.{here}");
        }
    }
    name.to_owned()
}

fn renamed<T>(map: &mut BTreeMap<String, T>) {
    let entries = std::mem::take(map).into_iter();
    *map = entries
        .map(|(name, value)| (parameter(&name), value))
        .collect();
}

fn rename(gradient: &mut Gradient) {
    renamed(&mut gradient.grad_norms_f64);
    renamed(&mut gradient.grad_probe_at);
    renamed(&mut gradient.grad_probes_f64);
}

fn rename_train(train: &mut Train) {
    renamed(&mut train.param_norms_after_f64);
    renamed(&mut train.param_probe_at);
    renamed(&mut train.param_probes_after_f64);
}

fn check_merged(
    merged: &Decoder,
    expected: &Merged,
    subject: &Subject,
    report: &mut Report,
) -> Result<()> {
    let limit = subject.expected.tolerance.of("merged_weight_abs")?;
    let weights = parameters(merged);
    for name in &expected.changed {
        let values = weights.get(name).with_context(|| format!("no {name}"))?;
        let norm = expected.norms_f64[name];
        let place = format!("{name} in {}", subject.folder.display());
        report.close(
            "adapters: merged norms",
            &place,
            values.norm() / norm,
            1.0,
            limit,
        );
        for (at, &expected) in expected.probe_at[name]
            .iter()
            .zip(&expected.probes_f64[name])
        {
            let got = values.at(at).unwrap_or(f64::NAN);
            report.close(
                "adapters: merged weights",
                format!("{place} {at:?}"),
                got,
                expected,
                limit,
            );
        }
    }
    Ok(())
}

/// Merged when it is loaded, written merged and read again, saved as an adapter and read again: all the same model.
fn check_ways_out(
    subject: &Subject,
    base: &Subject,
    adapted: &Decoder,
    settings: &LoraConfig,
    report: &mut Report,
) -> Result<()> {
    let device = Device::flex();
    let place = subject.folder.display();
    let merged = parameters(&adapted.merged());
    let at_load = Checkpoint::new(&base.folder).with_adapter(AdapterFolder::new(&subject.folder));
    let (loaded, loaded_config) = at_load.decoder(&device)?;
    report.same(
        "adapters: merged at loading",
        &place,
        &(parameters(&loaded) == merged),
        &true,
    );
    report.same(
        "adapters: configuration from headers",
        &place,
        &at_load.check_decoder()?.tie_word_embeddings,
        &loaded_config.tie_word_embeddings,
    );
    let out = tempfile::tempdir()?;
    let written = Checkpoint::new(out.path().join("merged"));
    written.write_decoder(&loaded, &loaded_config)?;
    let (again, _) = written.decoder(&device)?;
    report.same(
        "adapters: merged and written",
        &place,
        &(parameters(&again) == merged),
        &true,
    );

    let again = AdapterFolder::new(out.path().join("adapter"));
    again.save(adapted, settings, "the/base")?;
    let (model, _) = Checkpoint::new(&base.folder).decoder(&device)?;
    let (again, again_settings) = again.load(model, &device)?;
    let same = parameters(&again.merged()) == merged && again_settings == *settings;
    report.same("adapters: saved and read", &place, &same, &true);
    Ok(())
}

fn check_learning(
    subject: &Subject,
    expected: &ExpectedAdapter,
    adapted: &Decoder,
    report: &mut Report,
) -> Result<()> {
    let device = Device::flex().autodiff();
    let place = subject.folder.display().to_string();
    let trainable = adapted.clone().train();
    if let Some(gradient) = &expected.grad_sum_logprob {
        let batch = gradient
            .batch
            .as_deref()
            .context("a gradient without batch")?;
        let rows = subject.rows_of(batch)?;
        let loss = negative_log_prob(&trainable, &rows, &device)?;
        let section = Section {
            check: "adapters: gradient of log-prob",
            place: &place,
            stored: "grad_sum_logprob",
            expected: gradient,
            tolerance: &subject.expected.tolerance,
        };
        gradients::check(subject, &section, &trainable, loss, report)?;
    }
    for settings in &expected.train {
        training::check_adapter(subject, settings, &trainable, report)?;
    }
    Ok(())
}

/// What need not be supported is refused by the name that the folder says.
fn refused(path: &Path, expected: &ExpectedAdapter, message: &str, report: &mut Report) {
    let wanted = expected.support.split('`').nth(1);
    if wanted.is_some_and(|name| message.contains(name)) {
        report.note(format_args!("refused: {message}"));
    } else {
        report.fail(
            "adapters: loading",
            format_args!("{}: {message}", path.display()),
        );
    }
}
