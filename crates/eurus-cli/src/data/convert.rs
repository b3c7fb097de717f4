//! `eurus data convert`.

use std::fmt;

use anyhow::Result;
use clap::Args;
use eurus::data::example::{Example, ScoreSource};
use eurus::data::formats::Format;
use eurus::data::input::{self, Located, Location};
use eurus::data::rebuild::{self, Order};

use super::files::{Files, Input};
use super::progress::Progress;
use super::rows::{Invalid, Out, Rejects, count};
use crate::job;
use crate::score_by::ScoreBy;

pub const EXAMPLES: &str = "\
A tree becomes its pairs, its correct actions or its judged actions, as the format asks; a ranking \
becomes all pairs of answers with different scores; pair rows become trees with --to tree. What a \
format cannot hold is an error that says why.

Examples:
  eurus data convert UltraInteract_pair.parquet --to tree --out trees.jsonl.zst
  eurus data convert pairs.jsonl --to trl-preference-chat --out pairs.parquet
  eurus data convert sharegpt.json --to trl-messages --out chats.jsonl \\
    --skip-invalid bad.jsonl";

#[derive(Debug, Args)]
pub struct Convert {
    #[command(flatten)]
    files: Files,

    #[command(flatten)]
    invalid: Invalid,

    #[command(flatten)]
    score_by: ScoreBy,

    /// Format to write
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    to: Format,

    #[command(flatten)]
    out: Out,
}

impl Convert {
    pub fn run(&self) -> Result<()> {
        let input = self.files.open()?;
        let score_by = self.score_by.of_formats(&[input.format])?;
        if self.to == Format::Tree && input.format == Format::Pair {
            let examples = |problem: &rebuild::Problem| -> Vec<Example> {
                let trees = problem.trees.iter().cloned();
                trees.map(|tree| Example::Tree(Box::new(tree))).collect()
            };
            return write_problems(
                "convert",
                input,
                self.to,
                &self.out,
                &self.invalid,
                examples,
            );
        }
        let (from, to) = (input.format, self.to);
        self.files
            .refuse_max_turns(format!("from `{from}` to `{to}`: no tree is put together"))?;
        write_records("convert", input, to, score_by, &self.out, &self.invalid)
    }
}

/// Records that are noted: how many, and the first.
#[derive(Default)]
pub struct Notes([(u64, Option<Location>); 2]);

impl Notes {
    pub const KINDS: [&str; 2] = [
        "records give no row",
        "records have a score that the ratings beside it contradict, --score-by fine-grained takes the ratings",
    ];

    fn add(&mut self, noted: [bool; 2], location: &Location) {
        for ((count, first), _) in self.0.iter_mut().zip(noted).filter(|(_, noted)| *noted) {
            *count += 1;
            first.get_or_insert_with(|| location.clone());
        }
    }
}

impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((number, first), kind) in self.0.iter().zip(Self::KINDS) {
            if let Some(first) = first {
                write!(f, "; {} {kind} (first: {first})", count(*number))?;
            }
        }
        Ok(())
    }
}

/// Writes every record in another format.
pub fn write_records(
    title: &str,
    input: Input,
    to: Format,
    score_by: ScoreSource,
    out: &Out,
    invalid: &Invalid,
) -> Result<()> {
    let format = input.format;
    let encode = move |record: &[u8]| {
        let mut example = format.parse(record)?;
        example.score_by(score_by);
        let mut lines = Vec::new();
        let rows = to.encode(&example, &mut lines)?;
        let doubtful = example.doubtful_score().is_some();
        Ok((lines, rows, [rows == 0, doubtful]))
    };
    let mut output = out.create(to)?;
    let mut rejects = Rejects::new(invalid, out.overwrite)?;
    let mut notes = Notes::default();
    let progress = Progress::new(title, input.bytes);
    let read = progress.read_bytes().clone();
    for record in input::read_counting(input.paths, encode, read) {
        match record {
            Ok(Located { value, location }) => {
                let (lines, rows, noted) = value;
                output.write_lines(&lines, rows)?;
                notes.add(noted, &location);
            }
            Err(rejected) => rejects.add(*rejected)?,
        }
    }
    drop(progress);
    let (rows, left_out) = out.finish(output, rejects)?;
    job::print(&format!(
        "{} rows ({to}) in {}{left_out}{notes}",
        count(rows as u64),
        out.out.display()
    ));
    Ok(())
}

/// Writes what `make` makes of every problem with its trees.
pub fn write_problems(
    title: &str,
    input: Input,
    to: Format,
    out: &Out,
    invalid: &Invalid,
    make: impl Fn(&rebuild::Problem) -> Vec<Example> + Sync,
) -> Result<()> {
    let mut output = out.create(to)?;
    let mut rejects = Rejects::new(invalid, out.overwrite)?;
    let progress = Progress::new(title, input.bytes_to_trees());
    let read = progress.read_bytes();
    let problems = rebuild::problems_counting(input.paths, input.format, input.limits, read)?;
    let order = problems.order();
    let encode = |problem: rebuild::Problem| {
        let mut lines = Vec::new();
        let rows = make(&problem)
            .iter()
            .map(|example| to.encode(example, &mut lines))
            .sum::<eurus::data::Result<usize>>();
        let counts = (problem.trees.len(), problem.splits.len());
        (lines, rows, counts, problem.rejected)
    };
    let (mut trees, mut splits, mut without_rows) = (0, 0, 0);
    for encoded in problems.parallel_map(encode) {
        let (lines, rows, counts, rejected) = encoded?;
        for rejected in rejected {
            rejects.add(rejected)?;
        }
        trees += counts.0 as u64;
        splits += counts.1 as u64;
        let rows = rows?;
        without_rows += u64::from(rows == 0 && counts.0 > 0);
        output.write_lines(&lines, rows)?;
    }
    drop(progress);
    let (rows, mut notes) = out.finish(output, rejects)?;
    if without_rows > 0 {
        notes += &format!("; {} problems give no row", count(without_rows));
    }
    if splits > 0 {
        notes += &format!(
            "; {} rows contradict their tree and start another",
            count(splits)
        );
    }
    if order == Order::Scattered {
        notes += "; rows of a problem lie apart, so the problems are in another order";
    }
    job::print(&format!(
        "{} rows ({to}) of {} trees in {}{notes}",
        count(rows as u64),
        count(trees),
        out.out.display()
    ));
    Ok(())
}
