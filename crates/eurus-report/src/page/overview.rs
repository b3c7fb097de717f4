//! What the runs are, in one table.

use eurus_eval::Table;
use eurus_eval::report::Report;

use super::{NONE, count, number};
use crate::runs::{Step, TrainingRun};

pub(super) fn add(report: &mut Report, training: &[(String, &TrainingRun)]) {
    if training.is_empty() {
        return;
    }
    let mut table = Table::new("Runs of training.").headers([
        "Run",
        "Learns from",
        "Steps",
        "Loss, first",
        "Loss, last",
        "Warnings",
        "Tokens",
        "As rows",
        "Tokens/s",
        "Time",
    ]);
    for (name, run) in training {
        table = table.row(row(name, run));
    }
    report.section("Runs").table(
        table
            .note("Loss, last: mean of the last tenth of the steps. Tokens: each node of a tree once. As rows: every path as a sequence of its own."),
    );
    let endings: Vec<String> = training
        .iter()
        .filter_map(|(name, run)| Some(format!("{name}: {}.", ending(run)?)))
        .collect();
    if !endings.is_empty() {
        report.paragraph(endings.join("\n"));
    }
}

fn row(name: &str, run: &TrainingRun) -> Vec<String> {
    let sum = |pick: fn(&Step) -> f64| -> f64 {
        let known = run.steps.iter().map(pick).filter(|it| it.is_finite());
        known.sum()
    };
    let (unique, seconds) = (sum(|it| it.unique_tokens), sum(|it| it.seconds));
    let tenth = &run.steps[run.steps.len() - run.steps.len().div_ceil(10)..];
    let steps = match (run.steps.last(), run.planned_steps) {
        (Some(last), Some(of)) if last.step < of => format!("{} of {of}", last.step),
        (Some(last), _) => last.step.to_string(),
        (None, Some(of)) => format!("0 of {of}"),
        (None, None) => "0".to_owned(),
    };
    vec![
        name.to_owned(),
        run.kind.map_or(NONE, |it| it.name()).to_owned(),
        steps,
        number(run.steps.first().map_or(f64::NAN, |it| it.loss)),
        number(mean(tenth.iter().map(|it| it.loss))),
        run.remarks.len().to_string(),
        count(unique),
        count(sum(|it| it.naive_tokens)),
        count(unique / seconds),
        time(seconds),
    ]
}

/// Why a run has fewer steps than it was to have.
fn ending(run: &TrainingRun) -> Option<String> {
    if run.is_complete() {
        return None;
    }
    let at = match run.steps.last() {
        None => "no step is there yet".to_owned(),
        Some(last) => match run.planned_steps {
            Some(of) => format!("step {} of {of} is the last that is there", last.step),
            None => format!("step {} is the last that is there", last.step),
        },
    };
    Some(match run.stopped.as_deref() {
        Some("patience") => format!("{at}; its evaluations got no better, and it ended"),
        Some("requested") => format!("{at}; it was interrupted"),
        Some(reason) => format!("{at}; it ended early: {reason}"),
        None => format!("{at}; it is running, or was ended"),
    })
}

/// The mean of those that are numbers.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let known = values.filter(|it| it.is_finite());
    let (sum, count) = known.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

fn time(seconds: f64) -> String {
    match seconds {
        _ if !(0.0..1e12).contains(&seconds) => NONE.to_owned(),
        _ if seconds < 60.0 => format!("{seconds:.1} s"),
        _ if seconds < 3600.0 => format!(
            "{:.0} min {:.0} s",
            (seconds / 60.0).floor(),
            (seconds % 60.0).floor()
        ),
        _ => format!(
            "{:.0} h {:.0} min",
            (seconds / 3600.0).floor(),
            (seconds % 3600.0 / 60.0).floor()
        ),
    }
}
