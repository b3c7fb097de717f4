//! Gradients of a loss against norms, single entries and full tensors.

use anyhow::Result;
use burn::module::Module;
use burn::tensor::Tensor;
use eurus_tests::parameters::{Named, global_norm, gradients};
use eurus_tests::report::Report;

use super::schema::{Gradient, Tolerance};
use super::subject::Subject;

/// Which gradient is compared.
pub struct Section<'a> {
    /// How the checks are named.
    pub check: &'a str,
    /// What is named with a failure.
    pub place: &'a str,
    /// The prefix of full gradients in `expected.safetensors`.
    pub stored: &'a str,
    pub expected: &'a Gradient,
    pub tolerance: &'a Tolerance,
}

/// Compares a loss and all its gradients.
pub fn check<M: Module>(
    subject: &Subject,
    section: &Section<'_>,
    model: &M,
    loss: Tensor<1>,
    report: &mut Report,
) -> Result<()> {
    let Section {
        check,
        place,
        expected,
        ..
    } = *section;
    let value = f64::from(loss.clone().into_scalar::<f32>());
    let limit = section.tolerance.of("loss_abs")?;
    report.close(
        &format!("{check}: loss"),
        place,
        value,
        expected.loss_f64,
        limit,
    );
    let found = gradients(model, &loss.backward());

    let limit = section.tolerance.of("grad_norm_rel")?;
    let norms = format!("{check}: norms");
    let relative = |got: f64, expected: f64, or: f64| {
        let scale = if expected > 0.0 { expected } else { or };
        (got - expected).abs() / scale
    };
    let global = expected.global_grad_norm_f64;
    let error = relative(global_norm(&found), global, 1.0);
    report.error(&norms, format_args!("{place}, global"), error, limit);
    for (name, &norm) in &expected.grad_norms_f64 {
        // An absent gradient is as good as one of norm 0.
        let got = found.get(name).map_or(0.0, |values| values.norm());
        let place = format!("{place}, {name}: got {got}, expected {norm}");
        report.error(&norms, place, relative(got, norm, global), limit);
    }
    for name in found
        .keys()
        .filter(|name| !expected.grad_norms_f64.contains_key(*name))
    {
        report.fail(
            &norms,
            format_args!("{place}: a gradient of {name} is not expected"),
        );
    }
    check_probes(section, &found, report)?;
    check_full(subject, section, &found, report)
}

/// Single entries, relative to the largest of their tensor.
fn check_probes(section: &Section<'_>, found: &Named, report: &mut Report) -> Result<()> {
    let limit = section.tolerance.of("grad_entry_abs_over_max")?;
    let probes = format!("{}: probes", section.check);
    for (name, places) in &section.expected.grad_probe_at {
        let Some(values) = found.get(name) else {
            continue;
        };
        let scale = values.largest().max(f64::MIN_POSITIVE);
        let Some(expected) = section.expected.grad_probes_f64.get(name) else {
            continue;
        };
        for (at, &expected) in places.iter().zip(expected) {
            let got = values.at(at).unwrap_or(f64::NAN);
            let what = format!(
                "{}, {name} {at:?}: got {got}, expected {expected}",
                section.place
            );
            report.error(&probes, what, (got - expected).abs() / scale, limit);
        }
    }
    Ok(())
}

/// All entries of the tensors whose gradient is stored, relative to the largest.
fn check_full(
    subject: &Subject,
    section: &Section<'_>,
    found: &Named,
    report: &mut Report,
) -> Result<()> {
    let limit = section.tolerance.of("grad_entry_abs_over_max")?;
    let full = format!("{}: all entries", section.check);
    let prefix = format!("{}.", section.stored);
    for (key, stored) in &subject.stored {
        let Some(name) = key.strip_prefix(&prefix) else {
            continue;
        };
        let Some(values) = found.get(name) else {
            report.fail(
                &full,
                format_args!("{}: no gradient of {name}", section.place),
            );
            continue;
        };
        report.same(
            &full,
            format_args!("shape of {name}"),
            &values.shape,
            &stored.shape,
        );
        let largest = stored
            .entries
            .iter()
            .fold(f64::MIN_POSITIVE, |most, entry| most.max(entry.abs()));
        let entries = values.entries.iter().zip(&stored.entries);
        for (index, (&got, &expected)) in entries.enumerate() {
            let error = (f64::from(got) - expected).abs() / largest;
            report.error(&full, format_args!("{name}[{index}]"), error, limit);
        }
    }
    Ok(())
}
