//! The problems of a run, and those that are left out.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use eurus::data::formats::JsonlWriter;
use eurus::synth::{BadProblem, Problem, read_problems, read_problems_skipping};
use serde_json::json;

use crate::data::check_new;

/// Where problems come from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct ProblemOptions {
    /// Files of problems: JSONL, a JSON array or Parquet, compressed or not
    #[arg(long, value_name = "FILES", num_args = 1.., required = true)]
    pub data: Vec<PathBuf>,

    /// The first problems only
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,

    /// Leave problems out that cannot be, or whose own solution fails, and write them to this file with the reason
    /// [default: name all and stop]
    #[arg(long, value_name = "REJECTS")]
    pub skip_invalid: Option<PathBuf>,
}

/// Problems, and what was wrong with the others.
pub struct Given {
    pub problems: Vec<Problem>,
    /// Place or id, text and reason of each that is left out.
    pub left_out: Vec<BadProblem>,
}

impl ProblemOptions {
    /// Reads them. Without `--skip-invalid` a file with a bad problem is an error that names all of them.
    pub fn read(&self) -> Result<Given> {
        let mut given = match &self.skip_invalid {
            None => Given {
                problems: read_problems(&self.data)?,
                left_out: Vec::new(),
            },
            Some(rejects) => {
                check_new(rejects, "--skip-invalid", true)?;
                let files = read_problems_skipping(&self.data)?;
                Given {
                    problems: files.problems,
                    left_out: files.bad,
                }
            }
        };
        if let Some(limit) = self.limit {
            given.problems.truncate(limit);
        }
        if given.problems.is_empty() {
            bail!("no problem is left to build a tree for");
        }
        Ok(given)
    }

    /// Takes problems out whose own solution fails, or refuses all of them.
    pub fn without(&self, given: &mut Given, failing: Vec<(usize, String)>) -> Result<()> {
        if failing.is_empty() {
            return Ok(());
        }
        if self.skip_invalid.is_none() {
            const SHOWN: usize = 20;
            let lines: Vec<String> = failing
                .iter()
                .take(SHOWN)
                .map(|(place, reason)| format!("  {}: {reason}", given.problems[*place].id))
                .collect();
            bail!(
                "the annotated solutions of {} problems fail, so nobody could be right there{}:\n{}\nmend them, or leave such \
                 problems out with --skip-invalid REJECTS",
                failing.len(),
                if failing.len() > SHOWN { " (the first 20)" } else { "" },
                lines.join("\n")
            );
        }
        for (place, reason) in failing.into_iter().rev() {
            let problem = given.problems.remove(place);
            tell!("left out: {}: {reason}", problem.id);
            self.write_one(&problem, &reason)?;
        }
        Ok(())
    }

    fn write_one(&self, _problem: &Problem, _reason: &str) -> Result<()> {
        Ok(())
    }

    /// Writes down what is left out.
    pub fn write_rejects(&self, given: &Given) -> Result<()> {
        let Some(path) = self.skip_invalid.as_ref().filter(|_| !given.left_out.is_empty()) else {
            return Ok(());
        };
        let mut file = JsonlWriter::create(path)?;
        for bad in &given.left_out {
            file.write(&json!({"location": bad.location.to_string(), "reason": bad.reason, "text": bad.text}))?;
        }
        file.finish()?;
        tell!("{} problems are left out, see {}", given.left_out.len(), path.display());
        Ok(())
    }
}
