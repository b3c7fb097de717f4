//! What was found out about a recipe, for a terminal.

use std::time::Duration;

use eurus::eval::{Table, terminal};
use indicatif::{FormattedDuration, HumanCount};

use super::Report;

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

fn gb(bytes: usize) -> String {
    match bytes as f64 / 1e9 {
        gb if gb >= 0.1 => format!("{gb:.1} GB"),
        gb => format!("{:.1} MB", 1e3 * gb),
    }
}

pub fn of(report: &Report) -> String {
    let mut costs = Table::new(format!("what the steps of `{}` cost", report.recipe)).headers([
        "step",
        "rows",
        "trees",
        "steps",
        "tokens",
        "operations",
        "time here",
    ]);
    let mut memory = Table::new("memory").headers([
        "step",
        "parameters",
        "weights",
        "moments",
        "gradients",
        "activations",
        "logits",
        "keys and values",
        "peak",
    ]);
    let names: Vec<String> = report.devices.iter().map(|it| it.name.clone()).collect();
    let headers = std::iter::once("step".to_owned()).chain(names.iter().cloned());
    let mut fits = Table::new("where it fits").headers(headers);
    for stage in &report.stages {
        let seconds = Duration::try_from_secs_f64(stage.seconds_here).unwrap_or(Duration::MAX);
        costs = costs.row([
            stage.step.clone(),
            count(stage.rows),
            count(stage.trees),
            stage.steps.map(count).unwrap_or_default(),
            count(stage.tokens),
            format!("{:.2e}", stage.operations),
            FormattedDuration(seconds).to_string(),
        ]);
        let items = &stage.memory;
        memory = memory.row([
            stage.step.clone(),
            count(stage.parameters),
            gb(items.weights),
            gb(items.moments),
            gb(items.gradients),
            gb(items.activations),
            gb(items.logits),
            gb(items.evaluation),
            gb(items.total),
        ]);
        let answers = names.iter().map(|name| {
            match stage.fits.get(name).copied().flatten() {
                Some(true) => "yes",
                Some(false) => "no",
                None => "unknown",
            }
            .to_owned()
        });
        fits = fits.row(std::iter::once(stage.step.clone()).chain(answers));
    }
    let mut text = [costs, memory, fits]
        .map(|table| terminal::render(&table))
        .join("\n");
    text += &nowhere(report);
    text += "\nEstimates:\n";
    for note in &report.estimates {
        text += &format!("  {note}\n");
    }
    match report.missing.is_empty() {
        true => text += "\nNothing is missing.\n",
        false => {
            text += "\nMissing:\n";
            for missing in &report.missing {
                text += &format!(
                    "  {} (step {}): {}\n",
                    missing.what, missing.step, missing.remedy
                );
            }
        }
    }
    text.trim_end().to_owned()
}

/// What fits on no device, and why. Of benchmarks the one that takes most is told.
fn nowhere(report: &Report) -> String {
    let nowhere = |is_eval: bool| {
        report.stages.iter().filter_map(move |stage| {
            let why = stage.fits_nowhere.as_ref()?;
            (stage.command.starts_with("eval") == is_eval).then_some((stage, why))
        })
    };
    let mut text = String::new();
    for (stage, why) in nowhere(false) {
        text += &format!("\n{} fits on none of them: {why}.\n", stage.step);
    }
    let most = nowhere(true).max_by_key(|(stage, _)| stage.memory.total);
    if let Some((stage, why)) = most {
        let count = nowhere(true).count();
        text += &format!(
            "\n{count} benchmarks fit on none of them. The largest, {}: {why}.\n",
            stage.step
        );
    }
    text
}
