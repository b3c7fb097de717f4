//! The page of some runs.

mod curves;
mod judged;
mod overview;
mod process_rewards;
mod results;
mod reward_models;
mod settings;

use eurus_eval::report::{Block, Report};

use crate::runs::Runs;
use crate::trees::Section;

/// The page of some runs, side by side: what they are, where their rewards went, their curves, warnings, judgements and
/// samples, evaluations, reward models on benchmarks, rewards of turns, rerankings, and the settings in which they differ.
///
/// A run keeps its colour and its dash in all charts. Parts that no run has anything for are left out. Trees can be added as a
/// [`Block`] that is made of their [`Section`].
pub fn of(runs: &Runs, title: &str) -> Report {
    let mut report = Report::new(title);
    let training = runs.training();
    let names: Vec<String> = training.iter().map(|(name, _)| name.clone()).collect();
    let curves = curves::Curves::new(&training, &names);
    overview::add(&mut report, &training);
    curves.add(&mut report);
    judged::add(&mut report, &training, &names);
    results::add(&mut report, runs);
    settings::add(&mut report, runs);
    let notes = runs.notes();
    if !notes.is_empty() {
        report
            .section("What is not here")
            .paragraph(notes.join("\n"));
    }
    report
}

impl From<Section> for Block {
    fn from(section: Section) -> Self {
        Self {
            html: section.html,
            id: "trees",
            title: "Preference trees",
            style: section.style,
            script: section.script,
        }
    }
}

/// A title for these runs.
pub fn title(runs: &Runs) -> String {
    let names: Vec<&str> = runs.folders().iter().map(|it| it.name()).collect();
    match names.as_slice() {
        [] => "No runs".to_owned(),
        [one] => (*one).to_owned(),
        [all @ .., last] if names.len() <= 4 => format!("{} and {last}", all.join(", ")),
        _ => format!("{} runs", names.len()),
    }
}

/// What stands where there is no number.
const NONE: &str = "–";

/// A number with as many digits as say something.
fn number(value: f64) -> String {
    let size = value.abs();
    let text = match value {
        _ if !value.is_finite() => return NONE.to_owned(),
        _ if value == 0.0 => "0".to_owned(),
        _ if (1e-3..100.0).contains(&size) => format!("{value:.4}"),
        _ if (100.0..1e6).contains(&size) => format!("{value:.1}"),
        _ => format!("{value:.2e}"),
    };
    typeset(&text)
}

/// A whole number in groups of three digits.
fn count(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let digits = format!("{:.0}", value.abs());
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    if value < 0.0 {
        format!("−{grouped}")
    } else {
        grouped
    }
}

/// A minus sign in place of the hyphen.
fn typeset(text: &str) -> String {
    text.replace('-', "−")
}
