//! `eurus data validate`.

use anyhow::{Result, bail};
use clap::Args;
use eurus::data::formats::Format;
use eurus::data::validate;

use super::files::Files;
use super::progress::Progress;
use super::rows::count;
use crate::job;

pub const EXAMPLES: &str = "\
Prints every violation on a line of its own: file, record, field, what is wrong, what to do. Exit \
code 1 if there is any. Warnings, of scores that contradict the ratings beside them, are no \
violations.

What is checked: the fields and their types; no empty text; roles in turn; an answer to learn at \
the end; two different answers in a pair; in trees also that a correct action ends its trajectory, \
siblings differ, nothing hangs in the air or in a circle, no more turns than --max-turns; between \
records, rows that contradict their tree, ids of trees and whole records that are there twice.

Examples:
  eurus data validate trees.jsonl
  eurus data validate 'shards/*.parquet' --max-turns 8 --show 1000";

#[derive(Debug, Args)]
pub struct Validate {
    #[command(flatten)]
    files: Files,

    /// The most violations and warnings to print; all are counted
    #[arg(long, value_name = "N", default_value_t = 100)]
    show: u64,
}

impl Validate {
    pub fn run(&self) -> Result<()> {
        let input = self.files.open()?;
        // Pair rows are checked one by one and then as trees.
        let bytes = match input.format {
            Format::Pair => input.bytes + input.bytes_to_trees(),
            _ => input.bytes,
        };
        let progress = Progress::new("validate", bytes);
        let mut shown = 0;
        let read = progress.read_bytes();
        let report = validate::files(input.paths, input.format, input.limits, read, |finding| {
            if shown < self.show {
                progress.line(&finding.to_string());
            }
            shown += 1;
        })?;
        drop(progress);
        if shown > self.show {
            job::print(&format!("... and {} more", count(shown - self.show)));
        }
        let records = counted(report.records, "record");
        let warnings = match report.warnings {
            0 => String::new(),
            warnings => format!("; {}", counted(warnings, "warning")),
        };
        if report.is_valid() {
            job::print(&format!(
                "{records} ({}), all valid{warnings}",
                input.format
            ));
            return Ok(());
        }
        bail!(
            "{} in {records} ({}), {} of which are invalid by themselves{warnings}",
            counted(report.violations, "violation"),
            input.format,
            count(report.invalid)
        )
    }
}

/// A number of things: `1 record`, `2,001 records`.
fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", count(number))
}
