//! Weights, rotary frequencies and windows.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use eurus_models::DecoderConfig;
use eurus_models::rope::Frequencies;
use eurus_tests::parameters::parameters;
use eurus_tests::report::Report;
use eurus_tests::tensors::{self, Stored};

use super::schema::{Expected, Part};
use super::subject::Subject;

/// Relative; both sides are float64, so only the last digits of `powf` may differ.
const FREQUENCY_LIMIT: f64 = 1e-13;

/// Every tensor of the files is in the model under its usual name, bit for bit, and nothing else.
pub fn check<M: Module>(
    subject: &Subject,
    model: &M,
    config: &DecoderConfig,
    report: &mut Report,
) -> Result<()> {
    let expected = &subject.expected;
    let mut files = tensors_of_checkpoint(subject)?;
    let listed: BTreeMap<&String, &Vec<usize>> = expected.tensors.iter().collect();
    let found = files.iter().map(|(name, stored)| (name, &stored.shape));
    report.same(
        "tensors of the files",
        "shapes",
        &found.collect::<BTreeMap<_, _>>(),
        &listed,
    );
    for name in &expected.tensors_to_ignore {
        files.remove(name);
    }
    let files = by_usual_names(expected, files)?;
    let loaded = parameters(model);
    report.same(
        "tensor names",
        "model against the files",
        &loaded.keys().collect::<Vec<_>>(),
        &files.keys().collect::<Vec<_>>(),
    );
    for (name, values) in &loaded {
        let Some(stored) = files.get(name) else {
            continue;
        };
        let entries = values.entries.iter();
        let widened: Vec<f64> = entries.map(|&entry| f64::from(entry)).collect();
        report.same("tensor shapes", name, &values.shape, &stored.shape);
        report.same("tensor values", name, &(widened == stored.entries), &true);
    }

    if let Some(windows) = &expected.layer_windows {
        let got: Vec<_> = (0..config.layers)
            .map(|layer| config.window_of(layer))
            .collect();
        report.same("windows of the layers", "per layer", &got, windows);
    }

    check_frequencies(expected, config, report);
    Ok(())
}

/// The frequencies of short sequences, and the factor of cosines and sines.
fn check_frequencies(expected: &Expected, config: &DecoderConfig, report: &mut Report) {
    let frequencies = Frequencies::new(config);
    let set = frequencies.of_length(1);
    close_frequencies("at load", &set, &expected.inv_freq_f64, report);
    if let Some(rope) = &expected.rope {
        let (got, expected) = (frequencies.attention_factor(), rope.attention_factor_f64);
        report.close(
            "attention factor",
            "at load",
            got,
            expected,
            FREQUENCY_LIMIT,
        );
    }
}

/// Compares frequencies by their relative difference.
pub fn close_frequencies(place: &str, got: &[f64], expected: &[f64], report: &mut Report) {
    const CHECK: &str = "rotary frequencies";
    let of_length = format!("{place}, their number");
    report.same(CHECK, of_length, &got.len(), &expected.len());
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = ((got - expected) / expected).abs();
        report.error(
            CHECK,
            format_args!("{place}[{index}]"),
            error,
            FREQUENCY_LIMIT,
        );
    }
}

/// The tensors under the names that most checkpoints give them, fused ones taken apart.
fn by_usual_names(
    expected: &Expected,
    mut files: BTreeMap<String, Stored>,
) -> Result<BTreeMap<String, Stored>> {
    let mut usual = BTreeMap::new();
    for (name, part) in &expected.usual_names {
        let whole = files.get(&part.tensor);
        let whole = whole.with_context(|| format!("no file has {}", part.tensor))?;
        usual.insert(name.clone(), part_of(whole, part)?);
    }
    let renamed: BTreeSet<&String> = expected.usual_names.values().map(|p| &p.tensor).collect();
    files.retain(|name, _| !renamed.contains(name));
    usual.extend(files);
    Ok(usual)
}

fn part_of(whole: &Stored, part: &Part) -> Result<Stored> {
    let mut taken = whole.clone();
    if let Some(expert) = part.expert {
        taken.shape.remove(0);
        let len: usize = taken.shape.iter().product();
        taken.entries = taken.entries[expert * len..][..len].to_vec();
    }
    if let Some([from, to]) = part.rows {
        ensure!(to <= taken.shape[0], "{} has fewer rows", part.tensor);
        let len: usize = taken.shape[1..].iter().product();
        taken.entries = taken.entries[from * len..to * len].to_vec();
        taken.shape[0] = to - from;
    }
    Ok(taken)
}

/// The tensors of all weight files of the folder.
fn tensors_of_checkpoint(subject: &Subject) -> Result<BTreeMap<String, Stored>> {
    let mut all = BTreeMap::new();
    let entries = std::fs::read_dir(&subject.folder).context("listing the folder")?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("model") && name.ends_with(".safetensors") {
            all.extend(tensors::read(&path)?);
        }
    }
    Ok(all)
}
