//! The numbers of a run: those of one step, and the table at the end.

use eurus::eval::{Table, terminal};
use eurus::losses::PreferenceStats;
use eurus::train::Event;
use indicatif::{HumanBytes, HumanCount};

use crate::output::Written;

/// The measures of a step by name, in the order of the table.
pub fn measures(step: &Event) -> Vec<(String, f64)> {
    let mut measures: Vec<(String, f64)> = Vec::new();
    let mut measure = |name: &str, value| measures.push((name.replace('_', " "), value));
    let Some(progress) = step.progress() else {
        return measures;
    };
    measure("loss", progress.loss);
    for (name, value) in step
        .preferences()
        .map(PreferenceStats::metrics)
        .unwrap_or_default()
    {
        measure(name, value);
    }
    measure("gradient norm", progress.grad_norm);
    measure("learning rate", progress.learning_rate);
    measures
}

/// The noun for the groups of a step.
pub fn noun(stats: &PreferenceStats) -> &'static str {
    match stats.accuracy {
        None => "responses",
        Some(_) if stats.rejected == stats.groups => "pairs",
        Some(_) => "prompts",
    }
}

/// Four decimals where they say something, an exponent where they do not.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 {
        format!("{value:.1}")
    } else if size >= 1e-3 || value == 0.0 {
        format!("{value:.4}")
    } else {
        format!("{value:.2e}")
    }
}

/// The summary of a run as text. `warnings` counts those of collapse, which were shown when they came up.
pub fn of_run(title: &str, steps: &[Event], warnings: usize, written: &Written) -> String {
    let mut table = Table::new(format!("{title}, {} steps", steps.len())).headers([
        "",
        "first step",
        "last step",
        "mean of last quarter",
    ]);
    let all: Vec<_> = steps.iter().map(measures).collect();
    if let (Some(first), Some(last)) = (all.first(), all.last()) {
        let quarter = &all[all.len() - all.len().div_ceil(4)..];
        for (name, value) in first {
            // A step whose responses are all of one kind measures less than others.
            let of = |step: &Vec<(String, f64)>| {
                let mut known = step.iter().filter(|it| it.0 == *name);
                known.next().map(|it| it.1)
            };
            let values: Vec<f64> = quarter.iter().filter_map(of).collect();
            let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
            table = table.row([
                name.clone(),
                number(*value),
                of(last).map_or_else(String::new, number),
                number(mean),
            ]);
        }
    }
    if warnings > 0 {
        table = table.note(format!(
            "Warnings of a collapsing run: {warnings}, in the metrics as `collapse`. Do not trust the loss alone."
        ));
    }
    table = table.note(costs(steps));
    if let Some(bytes) = eurus_memory::peak_resident_bytes() {
        table = table.note(format!("Peak memory {}.", HumanBytes(bytes)));
    }
    table = table
        .note(format!(
            "Checkpoint and tokenizer: {}",
            written.out.display()
        ))
        .note(format!(
            "Metrics: {} ({} events)",
            written.metrics.display(),
            written.events
        ));
    terminal::render(&table)
}

/// Tokens and time.
fn costs(steps: &[Event]) -> String {
    let progress = || steps.iter().filter_map(Event::progress);
    let unique: usize = progress().map(|step| step.unique_tokens).sum();
    let naive: usize = progress().map(|step| step.naive_tokens).sum();
    let seconds: f64 = progress().map(|step| step.seconds).sum();
    let count = |tokens: usize| HumanCount(tokens as u64);
    let shared = if naive > unique {
        format!(
            " where sequences of their own would have {} ({:.2} times as many)",
            count(naive),
            naive as f64 / unique.max(1) as f64
        )
    } else {
        String::new()
    };
    // Forests of a step hold its tokens; a step's utilization says how many tokens would have filled them.
    let room: f64 = progress()
        .filter(|step| step.utilization > 0.0)
        .map(|step| step.unique_tokens as f64 / step.utilization)
        .sum();
    let full = 100.0 * unique as f64 / room.max(1.0);
    format!(
        "{} tokens trained{shared}, in forests {full:.1}% full; {:.1} s, {:.2} s a step, {:.0} tokens/s.",
        count(unique),
        seconds,
        seconds / steps.len().max(1) as f64,
        unique as f64 / seconds.max(1e-9)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_what_matters() {
        assert_eq!(number(0.123_456), "0.1235");
        assert_eq!(number(-312.04), "-312.0");
        assert_eq!(number(0.000_05), "5.00e-5");
        assert_eq!(number(0.0), "0.0000");
    }
}
