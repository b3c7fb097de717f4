//! `eurus eval compare`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use eurus::eval::metrics::compare_runs;
use eurus::eval::runs::{RunFolder, comparison_table, item_results};
use eurus::eval::terminal;
use serde_json::json;

use crate::job::print;

pub const EXAMPLES: &str = "\
Examples:
  eurus eval compare evals/sft-svamp evals/kto-svamp
  eurus eval compare evals/sft-svamp evals/kto-svamp --json";

/// How many items that flipped are named.
const MOST_NAMED: usize = 20;

#[derive(Debug, Args)]
pub struct Compare {
    /// Folder of a run
    #[arg(value_name = "RUN")]
    left: PathBuf,

    /// Folder of another run of the same task
    #[arg(value_name = "OTHER")]
    right: PathBuf,

    /// The setting to compare [default: what each reports]
    #[arg(long, value_name = "NAME")]
    setting: Option<String>,

    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub fn run(&self) -> Result<()> {
        let runs = [RunFolder::open(&self.left), RunFolder::open(&self.right)];
        let records = [runs[0].record()?, runs[1].record()?];
        if records[0].task.name != records[1].task.name {
            bail!(
                "{} is a run of `{}` and {} one of `{}`; compare runs of one task",
                self.left.display(),
                records[0].task.name,
                self.right.display(),
                records[1].task.name
            );
        }
        if records[0].data.sha256 != records[1].data.sha256 {
            bail!(
                "{} and {} were run on different data; items of one id need not be the same",
                self.left.display(),
                self.right.display()
            );
        }
        let mut names = Vec::new();
        let mut results = Vec::new();
        for (run, path) in runs.iter().zip([&self.left, &self.right]) {
            let summary = run.summary()?;
            let setting = self.setting.clone().unwrap_or(summary.reported);
            let items = run.read_setting(&setting)?.items;
            results.push(item_results(&items, &run.verdicts(&setting)?));
            names.push(format!("{} ({setting}, {})", path.display(), summary.rules));
        }
        let compared = compare_runs(&results[0], &results[1])?;
        if self.json {
            print(&json!({"runs": names, "comparison": compared}).to_string());
            return Ok(());
        }
        print(&terminal::render(&comparison_table(
            [&names[0], &names[1]],
            &compared,
        )));
        for (what, ids) in [
            ("right in the first alone", &compared.only_left_correct),
            ("right in the second alone", &compared.only_right_correct),
        ] {
            let shown: Vec<&str> = ids.iter().take(MOST_NAMED).map(String::as_str).collect();
            let more = match ids.len().saturating_sub(MOST_NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            if !shown.is_empty() {
                print(&format!("{what}: {}{more}", shown.join(", ")));
            }
        }
        Ok(())
    }
}
