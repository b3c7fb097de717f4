//! The numbers of a run: those of one step, and the table at the end.

use eurus::eval::{Table, terminal};
use eurus::train::Event;
use indicatif::{HumanBytes, HumanCount};

use crate::output::Written;

/// What a step measured, in the order of the table.
pub fn measures(step: &Event) -> Vec<(&'static str, f64)> {
    let mut measures: Vec<(&'static str, f64)> = Vec::new();
    if let Some(progress) = step.progress() {
        measures.push(("loss", progress.loss));
    }
    match step {
        Event::Preference { pairs, .. } => {
            measures.extend([
                ("margin", pairs.margin),
                ("accuracy", pairs.accuracy),
                ("chosen reward", pairs.chosen_reward),
                ("rejected reward", pairs.rejected_reward),
            ]);
            measures.extend(pairs.kl.map(|kl| ("KL estimate", kl)));
        }
        Event::Unpaired { responses, .. } => {
            measures.extend([
                ("desirable reward", responses.desirable_reward),
                ("undesirable reward", responses.undesirable_reward),
            ]);
            measures.extend(responses.kl.map(|kl| ("KL estimate", kl)));
        }
        Event::Scored { prompts, .. } => measures.extend([
            ("margin", prompts.margin),
            ("accuracy", prompts.accuracy),
            ("best reward", prompts.best_reward),
            ("other reward", prompts.other_reward),
        ]),
        Event::Reward { pairs, .. } => measures.extend([
            ("margin", pairs.margin),
            ("accuracy", pairs.accuracy),
            ("chosen reward", pairs.chosen_reward),
            ("rejected reward", pairs.rejected_reward),
        ]),
        _ => {}
    }
    if let Some(progress) = step.progress() {
        measures.push(("gradient norm", progress.grad_norm));
        measures.push(("learning rate", progress.learning_rate));
    }
    measures
}

/// Pairs of a step, single responses or prompts, and what they are called; `None` for steps that have none.
pub fn trained_groups(step: &Event) -> Option<(usize, &'static str)> {
    match step {
        Event::Preference { pairs, .. } => Some((pairs.pairs, "pairs")),
        Event::Unpaired { responses, .. } => Some((responses.responses, "responses")),
        Event::Scored { prompts, .. } => Some((prompts.prompts, "prompts")),
        Event::Reward { pairs, .. } => Some((pairs.pairs, "pairs")),
        _ => None,
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
        for (index, (name, value)) in first.iter().enumerate() {
            let sum: f64 = quarter.iter().map(|step| step[index].1).sum();
            table = table.row([
                (*name).to_owned(),
                number(*value),
                number(last[index].1),
                number(sum / quarter.len() as f64),
            ]);
        }
    }
    if warnings > 0 {
        table = table.note(format!(
            "Warnings of a collapsing run: {warnings}, in the metrics as `collapse`. Do not trust the loss alone."
        ));
    }
    table = table.note(costs(steps));
    if let Some(bytes) = process_memory::peak_resident_bytes() {
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
    // Forests of a step hold its tokens; a step's utilisation says how many tokens would have filled them.
    let room: f64 = progress()
        .filter(|step| step.utilisation > 0.0)
        .map(|step| step.unique_tokens as f64 / step.utilisation)
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
