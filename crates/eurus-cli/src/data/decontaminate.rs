//! `eurus data decontaminate`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use eurus::data::decontaminate::{Contamination, Rule, Rules, TestSet, read_test_items};
use eurus::data::formats::JsonlWriter;
use eurus::data::input;
use eurus::data::output::Sealed;
use serde::Serialize;

use super::files::Files;
use super::progress::Progress;
use super::rows::{Invalid, Out, Rejects, check_new, count};
use crate::{interrupt, job};

pub const EXAMPLES: &str = "\
Looks at the instruction of every record, and removes the record if
  substring       a whole test problem stands in it (without case and white space),
  n-gram          it shares --ngram words in a row with a test problem,
  near duplicate  (with --near-duplicates) most of its five-word runs are in one.

Test problems: JSONL, a JSON array or Parquet with the problem in --field, or .txt with one on each \
line. Give the bare problems: a prompt that all of them share is a match like any other.

Examples:
  eurus data decontaminate pairs.jsonl --against math-test.jsonl \\
    --out clean.jsonl --report removed.jsonl

  eurus data decontaminate sft.parquet --against 'tests/*.jsonl.gz' --field question \\
    --near-duplicates 0.8 --out clean.parquet --report removed.jsonl";

#[derive(Debug, Args)]
#[command(mut_arg("max_turns", |it| it.hide(true)))]
pub struct Decontaminate {
    #[command(flatten)]
    files: Files,

    #[command(flatten)]
    invalid: Invalid,

    /// Files or patterns of test problems
    #[arg(long, required = true, num_args = 1.., value_name = "FILES", help_heading = "Tests")]
    against: Vec<String>,

    /// Field that holds the problem [default: the first of instruction, question, problem, prompt, input, text, query]
    #[arg(long, value_name = "NAME", help_heading = "Tests")]
    field: Option<String>,

    /// Words of an exact n-gram; 0 switches the rule off
    #[arg(long, value_name = "N", default_value_t = 8, help_heading = "Rules")]
    ngram: usize,

    /// Look for whole test problems of at least so many characters; 0 switches the rule off
    #[arg(long, value_name = "N", default_value_t = 32, help_heading = "Rules")]
    substring_chars: usize,

    /// Remove near duplicates from this similarity on, above 0 and at most 1 [default: off]
    #[arg(long, value_name = "SHARE", help_heading = "Rules")]
    near_duplicates: Option<f64>,

    #[command(flatten)]
    out: Out,

    /// File for what was removed and why, as JSON lines
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    report: Option<PathBuf>,
}

/// A line of the report.
#[derive(Serialize)]
struct Removed {
    location: String,
    id: Option<String>,
    #[serde(flatten)]
    contamination: Contamination,
    instruction: String,
}

/// The outcome for a record: its line, or the reason for its removal.
enum Kept {
    Line(Vec<u8>),
    Removed(Box<Removed>),
}

impl Decontaminate {
    pub fn run(&self) -> Result<()> {
        let input = self.files.open()?;
        if let Some(report) = &self.report {
            check_new(report, "--report", self.out.overwrite)?;
        }
        let rules = Rules {
            ngram: (self.ngram > 0).then_some(self.ngram),
            substring: (self.substring_chars > 0).then_some(self.substring_chars),
            near_duplicate: self.near_duplicates,
        };
        let items = read_test_items(&input::expand(&self.against)?, self.field.as_deref())?;
        if items.is_empty() {
            bail!("--against: there is no test problem in these files");
        }
        let tests = Arc::new(TestSet::new(items, rules)?);
        tell!("{} test problems", count(tests.len() as u64));

        let mut output = self.out.create(input.format)?;
        let mut report = match &self.report {
            None => None,
            Some(path) => {
                let create = || JsonlWriter::create(path);
                Some(interrupt::temporary(create, JsonlWriter::temporary)?)
            }
        };
        let mut rejects = Rejects::new(&self.invalid, self.out.overwrite)?;
        let progress = Progress::new("decontaminate", input.bytes);
        let format = input.format;
        let judge = move |record: &[u8]| {
            let example = format.parse(record)?;
            if let Some(contamination) = tests.find(example.instruction()) {
                return Ok(Kept::Removed(Box::new(Removed {
                    location: String::new(),
                    id: example.origin().id,
                    contamination,
                    instruction: example.instruction().to_owned(),
                })));
            }
            let mut line = Vec::new();
            format.encode(&example, &mut line)?;
            Ok(Kept::Line(line))
        };
        let mut removed: BTreeMap<Rule, u64> = BTreeMap::new();
        let read = progress.read_bytes().clone();
        for record in input::read_counting(input.paths, judge, read) {
            match record {
                Err(rejected) => rejects.add(*rejected)?,
                Ok(record) => match record.value {
                    Kept::Line(line) => output.write_lines(&line, 1)?,
                    Kept::Removed(mut why) => {
                        *removed.entry(why.contamination.rule).or_default() += 1;
                        why.location = record.location.to_string();
                        if let Some(report) = &mut report {
                            report.write(&*why)?;
                        }
                    }
                },
            }
        }
        drop(progress);
        let report = report.map(JsonlWriter::seal).transpose()?;
        let (output, rejects) = (output.seal()?, rejects.seal()?);
        let (rows, left_out) = interrupt::written(&self.out.out, || {
            report.map(Sealed::name).transpose()?;
            let left_out = rejects.name()?;
            Ok((output.name()?, left_out))
        })?;
        let all: u64 = removed.values().sum();
        job::print(&format!(
            "{} rows kept in {}, {} removed{left_out}",
            count(rows as u64),
            self.out.out.display(),
            count(all)
        ));
        for (rule, number) in removed {
            let name = match rule {
                Rule::Substring => "substring",
                Rule::Ngram => "n-gram",
                _ => "near duplicate",
            };
            job::print(&format!("  {name}: {}", count(number)));
        }
        Ok(())
    }
}
