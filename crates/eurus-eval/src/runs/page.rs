//! A run as a page, and as Markdown.

use std::collections::HashMap;

use super::summary::Summary;
use super::verdicts::{ItemVerdict, Outcome, shown_prompt};
use crate::report::{Answer, Report};
use crate::samples::Sample;
use crate::tasks::Item;
use crate::terminal;

/// Answers of one outcome that the page has; the first so many, and the page says so.
const MOST_SHOWN: usize = 200;

/// What one setting of a run asked and got.
#[derive(Debug, Clone, Copy)]
pub struct SettingFiles<'a> {
    /// Its name.
    pub name: &'a str,
    /// What was asked.
    pub items: &'a [Item],
    /// What was answered.
    pub answers: &'a [Sample],
    /// What is said of it.
    pub verdicts: &'a [ItemVerdict],
}

impl<'a> SettingFiles<'a> {
    /// The answers by item and sample.
    pub fn texts(&self) -> HashMap<(&'a str, usize), &'a str> {
        let answers = self.answers.iter();
        answers
            .map(|it| ((it.id.as_str(), it.sample), it.text.as_str()))
            .collect()
    }
}

/// The page of a run: a table of its settings, one for each field, and its answers, wrong ones first.
pub fn page(summary: &Summary, settings: &[SettingFiles<'_>]) -> Report {
    let mut report = Report::new(format!(
        "{}: {}",
        summary.run.task.name, summary.run.model.name
    ));
    // The file of the run is anybody's: its hash need not be one.
    let data: String = summary.run.data.sha256.chars().take(12).collect();
    report.paragraph(format!(
        "Graded by the rules of `{}`. Task version {}, data {data}, seed {}.",
        summary.rules, summary.run.task.version, summary.run.seed,
    ));
    report.section("Results").table(summary.table());
    for table in summary.group_tables() {
        report.table(table);
    }
    for setting in settings {
        report.section(format!("Answers, {}", setting.name));
        let (answers, left_out) = shown(setting);
        let caption = match left_out {
            0 => "All answers, those that are not right first.".to_owned(),
            _ => format!(
                "Answers that are not right first; of each kind the first {MOST_SHOWN}, {left_out} more are in the run's files."
            ),
        };
        report.answers(caption, answers);
    }
    report
}

/// The summary as Markdown.
pub fn markdown(summary: &Summary) -> String {
    let mut parts = vec![terminal::markdown(&summary.table())];
    parts.extend(summary.group_tables().iter().map(terminal::markdown));
    let mut text = parts.join("\n\n");
    text.push('\n');
    text
}

fn shown(setting: &SettingFiles<'_>) -> (Vec<Answer>, usize) {
    let items: HashMap<&str, &Item> = setting
        .items
        .iter()
        .map(|it| (it.id.as_str(), it))
        .collect();
    let answers = setting.texts();
    let mut shown = Vec::new();
    let mut left_out = 0;
    let right_last = Outcome::ALL.into_iter().skip(1).chain([Outcome::Right]);
    for outcome in right_last {
        let of_it = setting.verdicts.iter().filter(|it| it.outcome() == outcome);
        for (index, verdict) in of_it.enumerate() {
            if index >= MOST_SHOWN {
                left_out += 1;
                continue;
            }
            let item = items.get(verdict.id.as_str());
            let answer = answers.get(&(verdict.id.as_str(), verdict.sample));
            shown.push(Answer {
                id: match verdict.sample {
                    0 => verdict.id.clone(),
                    sample => format!("{}, sample {sample}", verdict.id),
                },
                kind: outcome.to_string(),
                prompt: item.map(|it| shown_prompt(&it.request)).unwrap_or_default(),
                text: answer.copied().unwrap_or_default().to_owned(),
                extracted: verdict.grade.extracted.clone(),
                gold: item.map(|it| gold(&it.gold)),
                why: verdict.grade.why.clone(),
            });
        }
    }
    (shown, left_out)
}

fn gold(value: &serde_json::Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
