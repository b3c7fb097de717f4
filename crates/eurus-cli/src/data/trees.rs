//! `eurus data pairs`, `sft` and `augment`: what the paper makes of trees.

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use eurus::data::PreferenceTree;
use eurus::data::derive::{self, Augmentation, SftSelection};
use eurus::data::example::Example;
use eurus::data::formats::Format;
use eurus::data::rebuild::Problem;

use super::convert::{write_problems, write_records};
use super::files::{Files, Input};
use super::rows::{Invalid, Out};
use crate::score_by::ScoreBy;
use crate::usage::UsageError;

pub const PAIRS_EXAMPLES: &str = "\
Examples:
  All multi-turn trajectory pairs, which DPO, NCA and the reward model train on:
    eurus data pairs trees.jsonl --out pairs.jsonl

  The same pairs, each as a problem of its own, so that no history is shared (an ablation):
    eurus data pairs trees.jsonl --kind flat --out flat.jsonl

  Judged actions one by one, for KTO in TRL:
    eurus data pairs pairs.parquet --kind unpaired --out kto.jsonl

  All pairs of UltraFeedback:
    eurus data pairs ultrafeedback.jsonl --out uf-pairs.jsonl";

pub const SFT_EXAMPLES: &str = "\
Examples:
  Correct actions with the history dropped, as the paper trains on:
    eurus data sft trees.jsonl --out sft.jsonl

  Whole conversations that end with a correct action:
    eurus data sft trees.jsonl --select trajectories --out chats.jsonl";

pub const AUGMENT_EXAMPLES: &str = "\
Every correct action of a tree is matched with the incorrect actions of other turns, both as \
answers to the instruction alone. Trees of N turns are used if N x N <= --max-matches; of their \
matches at most --max-pairs are drawn, each action at most --max-uses times. The choice for a tree \
depends on --seed and the tree's id alone. The defaults are the paper's.

Example:
  eurus data augment pairs.parquet --out augmented.jsonl --seed 1";

/// `eurus data pairs`.
#[derive(Debug, Args)]
pub struct Pairs {
    #[command(flatten)]
    files: Files,

    #[command(flatten)]
    invalid: Invalid,

    #[command(flatten)]
    score_by: ScoreBy,

    /// Kind of rows to make of a tree
    #[arg(long, value_enum, default_value_t = Kind::MultiTurn)]
    kind: Kind,

    /// Format to write [default: `pair` of trees, `trl-preference-chat` of other data, `trl-unpaired-chat` of unpaired]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    to: Option<Format>,

    #[command(flatten)]
    out: Out,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Pairs with the history that both actions answer
    MultiTurn,
    /// Pairs as with multi-turn, each a problem of its own
    Flat,
    /// Judged actions one by one
    Unpaired,
}

impl Pairs {
    pub fn run(&self) -> Result<()> {
        let input = self.files.open()?;
        let score_by = self.score_by.of_formats(&[input.format])?;
        let kind = self.kind;
        let to = self.to.unwrap_or(match (kind, input.has_trees()) {
            (Kind::Unpaired, _) => Format::TrlUnpairedChat,
            (_, true) => Format::Pair,
            (_, false) => Format::TrlPreferenceChat,
        });
        if input.has_trees() {
            let make = |tree: &PreferenceTree| -> Vec<Example> {
                match kind {
                    Kind::MultiTurn => pairs(derive::pair_rows(tree)),
                    Kind::Flat => pairs(derive::flat_rows(tree)),
                    Kind::Unpaired => derive::unpaired(tree)
                        .into_iter()
                        .map(Example::Unpaired)
                        .collect(),
                }
            };
            return of_trees("pairs", input, to, &self.out, &self.invalid, make);
        }
        if kind == Kind::Flat {
            return Err(UsageError::new(format!(
                "--kind flat: `{}` has no trees, its pairs are flat already",
                input.format
            ))
            .into());
        }
        // Without trees the format to write says what becomes of a record.
        let unpaired = [Format::TrlUnpaired, Format::TrlUnpairedChat].contains(&to);
        if kind == Kind::Unpaired && !unpaired {
            return Err(UsageError::new(format!(
                "--kind unpaired has no effect with --to {to}: `{}` has no trees, and --to alone says what is written; leave one of the two out",
                input.format
            ))
            .into());
        }
        write_records("pairs", input, to, score_by, &self.out, &self.invalid)
    }
}

/// `eurus data sft`.
#[derive(Debug, Args)]
pub struct Sft {
    #[command(flatten)]
    files: Files,

    #[command(flatten)]
    invalid: Invalid,

    /// Which actions are learned
    #[arg(long, value_enum, default_value_t = Selection::CorrectLeaves)]
    select: Selection,

    /// Format to write [default: `sft`, `trl-completion-chat` or `trl-messages`, as --select asks]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    to: Option<Format>,

    #[command(flatten)]
    out: Out,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Selection {
    /// Correct actions without their history
    CorrectLeaves,
    /// Every action, right or wrong, as the answer to its history
    AllNodes,
    /// The way to each correct action as a conversation
    Trajectories,
}

impl Sft {
    pub fn run(&self) -> Result<()> {
        let input = self.files.open()?;
        check_trees(&input)?;
        let (selection, usual) = match self.select {
            Selection::CorrectLeaves => (SftSelection::CorrectLeaves, Format::Sft),
            Selection::AllNodes => (SftSelection::AllNodes, Format::TrlCompletionChat),
            Selection::Trajectories => (SftSelection::Trajectories, Format::TrlMessages),
        };
        let to = self.to.unwrap_or(usual);
        let make = |tree: &PreferenceTree| derive::sft(tree, selection);
        of_trees("sft", input, to, &self.out, &self.invalid, make)
    }
}

/// `eurus data augment`.
#[derive(Debug, Args)]
pub struct Augment {
    #[command(flatten)]
    files: Files,

    #[command(flatten)]
    invalid: Invalid,

    /// Seed of the choice
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Use trees of N turns if N x N is at most this
    #[arg(long, value_name = "N", default_value_t = 10)]
    max_matches: usize,

    /// The most pairs of a tree
    #[arg(long, value_name = "N", default_value_t = 9)]
    max_pairs: usize,

    /// How often an action may occur in the pairs of a tree
    #[arg(long, value_name = "N", default_value_t = 3)]
    max_uses: usize,

    /// Format to write
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "pair",
        help_heading = "Output"
    )]
    to: Format,

    #[command(flatten)]
    out: Out,
}

impl Augment {
    pub fn run(&self) -> Result<()> {
        let input = self.files.open()?;
        check_trees(&input)?;
        let settings = Augmentation {
            max_matches: self.max_matches,
            max_pairs: self.max_pairs,
            max_uses: self.max_uses,
            seed: self.seed,
        };
        let make = |tree: &PreferenceTree| pairs(derive::augment(tree, &settings));
        of_trees("augment", input, self.to, &self.out, &self.invalid, make)
    }
}

fn pairs(rows: Vec<eurus::data::formats::PairRow>) -> Vec<Example> {
    rows.into_iter().map(Example::Pair).collect()
}

fn check_trees(input: &Input) -> Result<()> {
    if !input.has_trees() {
        bail!(
            "`{}` has no trees; give trees or UltraInteract's pair rows",
            input.format
        );
    }
    Ok(())
}

fn of_trees(
    title: &str,
    input: Input,
    to: Format,
    out: &Out,
    invalid: &Invalid,
    make: impl Fn(&PreferenceTree) -> Vec<Example> + Sync,
) -> Result<()> {
    let of_problem = |problem: &Problem| problem.trees.iter().flat_map(&make).collect();
    write_problems(title, input, to, out, invalid, of_problem)
}
