//! Weights and rotary frequencies.

use anyhow::{Context, Result};
use burn::module::Module;
use eurus_models::{DecoderConfig, rope};
use eurus_tests::parameters::parameters;
use eurus_tests::report::Report;
use eurus_tests::tensors;

use super::subject::Subject;

/// Relative; both sides are float64, so only the last digits of `powf` may differ.
const FREQUENCY_LIMIT: f64 = 1e-13;

/// Every tensor of the files is in the model, bit for bit, and nothing else.
pub fn check<M: Module>(
    subject: &Subject,
    model: &M,
    config: &DecoderConfig,
    report: &mut Report,
) -> Result<()> {
    let mut files = tensors_of_checkpoint(subject)?;
    for name in &subject.expected.tensors_to_ignore {
        files.remove(name);
    }
    let loaded = parameters(model);
    let names = |names: &mut dyn Iterator<Item = &String>| names.cloned().collect::<Vec<_>>();
    let in_model = names(&mut loaded.keys());
    let listed: Vec<String> = subject.expected.tensors.keys().cloned().collect();
    let ignored = &subject.expected.tensors_to_ignore;
    let listed: Vec<String> = listed
        .into_iter()
        .filter(|name| !ignored.contains(name))
        .collect();
    report.same(
        "tensor names",
        "model against expected.json",
        &in_model,
        &listed,
    );
    report.same(
        "tensor names",
        "model against the files",
        &in_model,
        &names(&mut files.keys()),
    );
    for (name, values) in &loaded {
        let Some(stored) = files.get(name) else {
            continue;
        };
        let widened: Vec<f64> = values
            .entries
            .iter()
            .map(|&entry| f64::from(entry))
            .collect();
        report.same("tensor shapes", name, &values.shape, &stored.shape);
        report.same("tensor values", name, &(widened == stored.entries), &true);
    }
    for (name, shape) in &subject.expected.tensors {
        if let Some(values) = loaded.get(name) {
            report.same("tensor shapes", name, &values.shape, shape);
        }
    }

    let frequencies = rope::frequencies(config);
    let expected = &subject.expected.inv_freq_f64;
    report.same(
        "rotary frequencies",
        "their number",
        &frequencies.len(),
        &expected.len(),
    );
    for (index, (got, expected)) in frequencies.iter().zip(expected).enumerate() {
        let error = ((got - expected) / expected).abs();
        report.error("rotary frequencies", index, error, FREQUENCY_LIMIT);
    }
    Ok(())
}

/// The tensors of all weight files of the folder.
fn tensors_of_checkpoint(
    subject: &Subject,
) -> Result<std::collections::BTreeMap<String, tensors::Stored>> {
    let mut all = std::collections::BTreeMap::new();
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
