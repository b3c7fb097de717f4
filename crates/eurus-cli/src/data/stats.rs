//! `eurus data stats`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use eurus::data::input;
use eurus::data::rebuild;
use eurus::data::stats::{Contribution, Layout, StatsBuilder, pieces};
use eurus::forest::ChatTokenizer;

use super::files::Files;
use super::progress::Progress;
use super::rows::{Invalid, Rejects};
use crate::job;

pub const EXAMPLES: &str = "\
Pair rows are put back into trees first, wherever the rows of a tree stand. Tokens are estimated \
from words, digits and marks, about a tenth too few, unless --tokenizer gives a tokenizer to count \
them with.

Examples:
  eurus data stats UltraInteract_pair.parquet
  eurus data stats 'pairs/*.jsonl.gz' --layout markdown > tables.md
  eurus data stats trees.jsonl --tokenizer SmolLM2-135M-Instruct --layout json";

#[derive(Debug, Args)]
pub struct Stats {
    #[command(flatten)]
    files: Files,

    #[command(flatten)]
    invalid: Invalid,

    /// How the tables are written
    #[arg(long, value_enum, default_value_t = LayoutName::Text)]
    layout: LayoutName,

    /// Folder with a tokenizer to count tokens with [default: an estimate that needs none]
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,

    /// Replace the file of rejects if it is there
    #[arg(long)]
    overwrite: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LayoutName {
    /// Columns for a terminal
    Text,
    /// Tables for Markdown
    Markdown,
    /// One JSON object
    Json,
}

impl Stats {
    pub fn run(&self) -> Result<()> {
        let input = self.files.open()?;
        let tokenizer = self.tokenizer.as_ref().map(ChatTokenizer::from_folder);
        let tokenizer = std::sync::Arc::new(tokenizer.transpose()?);
        let counted = tokenizer.is_some();
        let tokens = move |text: &str| match tokenizer.as_ref() {
            // Text that the tokenizer refuses has tokens of its control in it; the estimate will do.
            Some(tokenizer) => tokenizer
                .encode_text(text)
                .map_or_else(|_| pieces(text), |ids| ids.len()),
            None => pieces(text),
        };
        let mut rejects = Rejects::new(&self.invalid, self.overwrite)?;
        let mut builder = StatsBuilder::default();
        let progress = Progress::new("stats", input.bytes_to_trees());
        if input.has_trees() {
            let (files, read) = (input.paths, progress.read_bytes());
            let problems = rebuild::problems_counting(files, input.format, input.limits, read)?;
            let count = |problem: rebuild::Problem| {
                (
                    Contribution::of_problem(&problem, &tokens),
                    problem.rejected,
                )
            };
            for counted in problems.parallel_map(count) {
                let (parts, rejected) = counted?;
                for part in parts {
                    builder.add(part)?;
                }
                for rejected in rejected {
                    rejects.add(rejected)?;
                }
            }
        } else {
            let format = input.format;
            let parse = move |record: &[u8]| {
                let example = format.parse(record)?;
                Ok(Contribution::of_example(&example, &tokens))
            };
            let read = progress.read_bytes().clone();
            for record in input::read_counting(input.paths, parse, read) {
                match record {
                    Err(rejected) => rejects.add(*rejected)?,
                    Ok(record) => {
                        for part in record.value {
                            builder.add(part)?;
                        }
                    }
                }
            }
        }
        drop(progress);
        let layout = match self.layout {
            LayoutName::Text => Layout::Text,
            LayoutName::Markdown => Layout::Markdown,
            LayoutName::Json => Layout::Json,
        };
        job::print(builder.finish()?.render(layout).trim_end());
        if !counted && layout != Layout::Json {
            job::print("\nTokens are estimates; --tokenizer counts them.");
        }
        let left_out = rejects.seal()?.name()?;
        if !left_out.is_empty() {
            tell!("{}", left_out.trim_start_matches("; "));
        }
        Ok(())
    }
}
