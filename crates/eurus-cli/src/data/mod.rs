//! `eurus data`: everything that is done to data before a model sees it.
//!
//! `files` finds and sniffs the input, `rows` writes what comes out and what is refused, `progress` shows how far it is;
//! one file for each command has the rest.

mod convert;
mod decontaminate;
mod files;
mod mix;
mod progress;
mod rows;
mod show;
mod stats;
mod trees;
mod validate;

use anyhow::Result;
use clap::{Args, Subcommand};

pub use rows::{Out, check_new};

pub const EXAMPLES: &str = "\
FILES are paths or patterns in quotes ('shards/*.jsonl.gz'). What a file holds is found out: JSONL, \
one JSON array, Parquet or Arrow, compressed with gzip or zstd or not; the format by the fields of the \
first record, or by --format. The name of an output decides how it is written: .parquet, \
.jsonl.gz, .jsonl.zst, anything else is JSONL.

Formats:
  tree                                  this project's trees, nothing lost
  pair, sft                             UltraInteract_pair, UltraInteract_sft
  ultrafeedback, ultrasafety            answers with scores
  ultrachat, sharegpt, openorca         conversations
  trl-messages                          TRL conversations, UltraChat-200k
  trl-completion, trl-completion-chat   TRL prompt-completion, with messages
  trl-preference, trl-preference-chat   TRL preference, with messages
  trl-unpaired, trl-unpaired-chat       TRL unpaired preference, with messages
UltraFeedback-binarized is read as trl-preference-chat.

Examples:
  eurus data validate pairs.parquet
  eurus data stats 'shards/*.jsonl.zst' --layout markdown
  eurus data convert pairs.parquet --to tree --out trees.jsonl
  eurus data augment trees.jsonl --out augmented.jsonl --seed 1
  eurus data decontaminate trees.jsonl --against 'tests/*.jsonl' --out clean.jsonl

`eurus data COMMAND --help` has more.";

/// The group of commands.
#[derive(Debug, Args)]
pub struct Data {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count: the paper's Table 1 and Table 7 for any data set
    #[command(after_help = stats::EXAMPLES)]
    Stats(stats::Stats),
    /// Check every record and report everything that is wrong, with its place
    #[command(after_help = validate::EXAMPLES)]
    Validate(validate::Validate),
    /// Write data in another format
    #[command(after_help = convert::EXAMPLES)]
    Convert(convert::Convert),
    /// Make preference pairs of trees: multi-turn, flat, or unpaired for KTO
    #[command(after_help = trees::PAIRS_EXAMPLES)]
    Pairs(trees::Pairs),
    /// Make SFT examples of trees
    #[command(after_help = trees::SFT_EXAMPLES)]
    Sft(trees::Sft),
    /// Make single-turn pairs across the turns of trees, for reward models
    #[command(after_help = trees::AUGMENT_EXAMPLES)]
    Augment(trees::Augment),
    /// Mix data sets by counts, shares or ratios; the paper's mixtures by name
    #[command(after_help = mix::EXAMPLES)]
    Mix(mix::Mix),
    /// Remove what overlaps with test sets
    #[command(after_help = decontaminate::EXAMPLES)]
    Decontaminate(decontaminate::Decontaminate),
    /// Draw trees in the terminal
    #[command(after_help = show::EXAMPLES)]
    Show(show::Show),
}

impl Data {
    pub fn run(&self) -> Result<()> {
        match &self.command {
            Command::Stats(command) => command.run(),
            Command::Validate(command) => command.run(),
            Command::Convert(command) => command.run(),
            Command::Pairs(command) => command.run(),
            Command::Sft(command) => command.run(),
            Command::Augment(command) => command.run(),
            Command::Mix(command) => command.run(),
            Command::Decontaminate(command) => command.run(),
            Command::Show(command) => command.run(),
        }
    }
}
