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
        let records = count(report.records);
        let warnings = match report.warnings {
            0 => String::new(),
            1 => "; 1 warning".to_owned(),
            several => format!("; {} warnings", count(several)),
        };
        if report.is_valid() {
            job::print(&format!(
                "{records} records ({}), all valid{warnings}",
                input.format
            ));
            return Ok(());
        }
        bail!(
            "{} violations in {records} records ({}), {} of which are invalid by themselves{warnings}",
            count(report.violations),
            input.format,
            count(report.invalid)
        )
    }
}
