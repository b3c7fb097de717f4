//! The problems of a run, and those that are left out.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use eurus::data::formats::write_jsonl;
use eurus::data::input::Location;
use eurus::synth::{BadProblem, Error, Problem, ProblemFiles, read_problems_skipping};
use serde::Serialize;

use crate::data::check_new;
use crate::hub_data;

/// How many problems, or reasons, a message names.
pub const MOST_SHOWN: usize = 20;

/// Where problems come from.
#[derive(Debug, Args)]
pub struct ProblemOptions {
    /// Files of problems: JSONL, a JSON array or Parquet, compressed or not; or data of the hub as
    /// organization/name[@revision][/file]
    #[arg(long, value_name = "FILES", num_args = 1.., required = true, help_heading = "Input")]
    pub data: Vec<PathBuf>,

    /// The first problems only
    #[arg(long, value_name = "N", help_heading = "Input")]
    pub limit: Option<usize>,

    /// Leave problems out that cannot be, or whose own solution fails, and write them to this file with the reason
    /// [default: name all and stop]
    #[arg(long, value_name = "REJECTS", help_heading = "Input")]
    pub skip_invalid: Option<PathBuf>,
}

/// Problems, and what was wrong with the others.
pub struct Given {
    pub problems: Vec<Problem>,
    locations: Vec<Location>,
    left_out: Vec<LeftOut>,
}

/// A problem that no tree is built for.
#[derive(Serialize)]
struct LeftOut {
    location: String,
    reason: String,
    problem: String,
}

impl Given {
    /// Where a problem stands, and its id.
    fn place(&self, place: usize) -> String {
        let problem = &self.problems[place];
        match self.locations.get(place) {
            Some(location) => format!("{location}, `{}`", problem.id),
            None => format!("`{}`", problem.id),
        }
    }
}

impl ProblemOptions {
    /// Reads them. Without `--skip-invalid` a file with a bad problem is an error that names all of them.
    pub fn read(&self) -> Result<Given> {
        if let Some(rejects) = &self.skip_invalid {
            check_new(rejects, "--skip-invalid", true)?;
        }
        let names: Vec<String> = self
            .data
            .iter()
            .map(|it| it.display().to_string())
            .collect();
        let files = hub_data::localize(&names)?;
        let files: Vec<PathBuf> = files.into_iter().map(PathBuf::from).collect();
        let ProblemFiles {
            problems,
            locations,
            bad,
        } = read_problems_skipping(&files)?;
        if self.skip_invalid.is_none() && !bad.is_empty() {
            return Err(Error::BadProblems { bad }.into());
        }
        let left_out = |bad: BadProblem| LeftOut {
            location: bad.location.to_string(),
            reason: bad.reason,
            problem: bad.text,
        };
        let mut given = Given {
            problems,
            locations,
            left_out: bad.into_iter().map(left_out).collect(),
        };
        if let Some(limit) = self.limit {
            given.problems.truncate(limit);
            given.locations.truncate(limit);
        }
        Ok(given)
    }

    /// Takes out the problems whose own solution fails, or refuses all.
    pub fn take_out(&self, given: &mut Given, failing: Vec<(usize, String)>) -> Result<()> {
        if failing.is_empty() {
            return Ok(());
        }
        if self.skip_invalid.is_none() {
            let lines: Vec<String> = failing
                .iter()
                .take(MOST_SHOWN)
                .map(|(place, reason)| format!("  {}: {reason}", given.place(*place)))
                .collect();
            let more = failing.len().saturating_sub(MOST_SHOWN);
            let more = if more > 0 {
                format!("\n  and {more} more")
            } else {
                String::new()
            };
            bail!(
                "the annotated solutions of {} problems fail, so nobody could be right there:\n{}{more}\nmend them, or leave such \
                 problems out with --skip-invalid REJECTS",
                failing.len(),
                lines.join("\n")
            );
        }
        for (place, reason) in failing.into_iter().rev() {
            let location = given.place(place);
            let problem = given.problems.remove(place);
            given.locations.remove(place);
            given.left_out.push(LeftOut {
                location,
                reason,
                problem: serde_json::to_string(&problem)?,
            });
        }
        Ok(())
    }

    /// Writes down what is left out, and counts it.
    pub fn write_rejects(&self, given: &Given) -> Result<()> {
        let Some(path) = self
            .skip_invalid
            .as_ref()
            .filter(|_| !given.left_out.is_empty())
        else {
            return Ok(());
        };
        write_jsonl(path, &given.left_out)?;
        tell!(
            "{} problems are left out, see {}",
            given.left_out.len(),
            path.display()
        );
        Ok(())
    }
}
