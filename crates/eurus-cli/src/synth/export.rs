//! `eurus synth export`: what training reads.

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use eurus::data::PreferenceTree;
use eurus::data::derive::{self, SftSelection, pair_rows};
use eurus::data::example::Example;
use eurus::data::formats::Format;
use eurus::synth::store::FinishedTree;

use super::StoreAt;
use crate::data::Out;
use crate::interrupt;
use crate::job::print;

pub const EXAMPLES: &str = "\
Examples:
  eurus synth export --store synth.db --kind trees --out trees.jsonl
  eurus synth export --store synth.db --kind pairs --out pairs.jsonl
  eurus synth export --store synth.db --kind sft --out sft.jsonl.zst
  eurus prefer --model runs/sft --data trees.jsonl --algorithm kto --out runs/kto";

/// `eurus synth export`.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    store: StoreAt,

    /// What to make of the trees
    #[arg(long, value_enum, default_value_t = Kind::Trees)]
    kind: Kind,

    #[command(flatten)]
    out: Out,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The trees, with nothing lost
    Trees,
    /// Pairs of a correct and an incorrect action, with their history
    Pairs,
    /// Correct actions without their history
    Sft,
}

impl Kind {
    fn of(self, tree: PreferenceTree) -> Vec<Example> {
        match self {
            Self::Trees => vec![Example::Tree(Box::new(tree))],
            Self::Pairs => pair_rows(&tree).into_iter().map(Example::Pair).collect(),
            Self::Sft => derive::sft(&tree, SftSelection::CorrectLeaves),
        }
    }
}

impl Export {
    pub fn run(&self) -> Result<()> {
        let store = self.store.open_existing()?;
        let mut out = self.out.create(match self.kind {
            Kind::Trees => Format::Tree,
            Kind::Pairs => Format::Pair,
            Kind::Sft => Format::Sft,
        })?;
        let (mut trees, mut rows) = (0, 0);
        for finished in store.trees() {
            let Some(tree) = tree(&finished?)? else {
                continue;
            };
            trees += 1;
            for example in self.kind.of(tree) {
                rows += out.write(&example)?;
            }
        }
        if trees == 0 {
            bail!(
                "{}: no tree is finished yet; see `eurus synth status`",
                store.place()
            );
        }
        let out = out.seal()?;
        interrupt::written(&self.out.out, || Ok(out.name()?))?;
        print(&format!(
            "{rows} rows of {trees} trees in {}",
            self.out.out.display()
        ));
        Ok(())
    }
}

/// The tree; none of a problem that was too easy to get one.
fn tree(finished: &FinishedTree) -> Result<Option<PreferenceTree>> {
    Ok(serde_json::from_str(&finished.tree)?)
}
