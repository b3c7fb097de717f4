//! `eurus synth problems`: published data sets become problems.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use eurus::data::formats::JsonlWriter;
use eurus::data::{Task, input};
use eurus::synth::sources::{Columns, ImportOptions, LeftOut, Mode, Origin, Source, import};

use super::input::MOST_SHOWN;
use crate::data::check_new;
use crate::interrupt;
use crate::job::print;
use crate::usage::UsageError;

pub const EXAMPLES: &str = "\
Sources: gsm8k, math, mathqa, numglue, tabmwp, codecontests, taco, wikitablequestions, reclor, hotpotqa, strategyqa, as \
published; magicoder has nothing to judge by and is refused. FILES are paths or patterns in quotes. Rows that nothing could \
judge are left out, and counted by reason.

Examples:
  eurus synth problems --from gsm8k train.jsonl --out problems.jsonl
  eurus synth problems --from math --mode pot 'MATH/*.jsonl' --out problems.jsonl
  eurus synth problems --columns instruction=question,answer=final --task Logic quiz.csv --out problems.jsonl";

/// `eurus synth problems`.
#[derive(Debug, Args)]
pub struct Problems {
    /// Files of the data set
    #[arg(required = true, value_name = "FILES")]
    files: Vec<String>,

    /// The data set
    #[arg(
        long,
        value_name = "SOURCE",
        required_unless_present = "columns",
        conflicts_with = "columns"
    )]
    from: Option<String>,

    /// Which column is what, of any CSV or JSONL: instruction=question,answer=final
    #[arg(long, value_name = "PAIRS")]
    columns: Option<String>,

    /// How mathematics is asked for: cot, pot or both [default: as the paper asks the source]
    #[arg(long)]
    mode: Option<String>,

    /// The task of rows of a table that has no column for it: Coding, Math_CoT, Math_PoT or Logic
    #[arg(long, requires = "columns")]
    task: Option<Task>,

    /// The name of the data set [default: the source's, or `own`]
    #[arg(long)]
    dataset: Option<String>,

    /// Also rows that the paper left out
    #[arg(long, conflicts_with = "columns")]
    all_rows: bool,

    /// Files of problems that no row may be much like, such as those of CodeContests for TACO
    #[arg(long, value_name = "FILES", num_args = 1..)]
    not_like: Vec<String>,

    /// The folder of WikiTableQuestions' tables [default: beside the file]
    #[arg(long, value_name = "DIR")]
    tables: Option<PathBuf>,

    /// File for the problems
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    out: PathBuf,

    /// Replace a file that is there
    #[arg(long, help_heading = "Output")]
    overwrite: bool,
}

impl Problems {
    pub fn run(&self) -> Result<()> {
        check_new(&self.out, "--out", self.overwrite)?;
        let origin = match (&self.from, &self.columns) {
            (Some(source), _) => Origin::Source(source.parse::<Source>().map_err(UsageError::new)?),
            (None, Some(columns)) => {
                Origin::Columns(columns.parse::<Columns>().map_err(UsageError::new)?)
            }
            // clap asks for one of them.
            (None, None) => return Err(UsageError::new("--from or --columns is needed").into()),
        };
        let options = ImportOptions {
            mode: self
                .mode
                .as_deref()
                .map(str::parse::<Mode>)
                .transpose()
                .map_err(UsageError::new)?,
            all_rows: self.all_rows,
            not_like: input::expand(&self.not_like)?,
            tables: self.tables.clone(),
            task: self.task,
            dataset: self.dataset.clone(),
            ..ImportOptions::default()
        };
        let files = input::expand(&self.files)?;
        let create = || JsonlWriter::create(&self.out);
        let mut writer = interrupt::temporary(create, JsonlWriter::temporary)?;
        let summary = import(&origin, &files, &options, &mut |problem| {
            Ok(writer.write(&problem)?)
        })?;
        let written = writer.seal()?;
        interrupt::written(&self.out, || Ok(written.name()?))?;
        tell_left_out(&summary.left_out);
        print(&summary.to_string());
        Ok(())
    }
}

/// Says why rows were left out, each reason with its number of rows and the first of them.
fn tell_left_out(rows: &[LeftOut]) {
    let mut reasons: Vec<(&LeftOut, usize)> = Vec::new();
    let mut places = HashMap::new();
    for row in rows {
        let place = *places.entry(&row.reason).or_insert(reasons.len());
        match reasons.get_mut(place) {
            Some((_, count)) => *count += 1,
            None => reasons.push((row, 1)),
        }
    }
    for (first, count) in reasons.iter().take(MOST_SHOWN) {
        match count {
            1 => tell!("left out: {first}"),
            _ => tell!("left out: {first} ({count} rows, of which this is the first)"),
        }
    }
    let others = reasons.iter().skip(MOST_SHOWN).map(|(_, count)| count);
    let others: usize = others.sum();
    if others > 0 {
        tell!("left out: {others} more, for other reasons");
    }
}
