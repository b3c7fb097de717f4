//! `eurus synth export`: what training reads.

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use eurus::data::PreferenceTree;
use eurus::data::derive::{pair_rows, sft_rows};
use eurus::data::formats::{Format, TreeRecord};
use eurus::synth::store::FinishedTree;

use super::StoreAt;
use crate::data::Out;
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

impl Export {
    pub fn run(&self) -> Result<()> {
        let store = self.store.open_existing()?;
        let mut out = self.out.create(match self.kind {
            Kind::Trees => Format::Tree,
            Kind::Pairs => Format::Pair,
            Kind::Sft => Format::Sft,
        })?;
        let (mut trees, mut rows) = (0_u64, 0_u64);
        for finished in store.trees() {
            let Some(tree) = tree(&finished?)? else {
                continue;
            };
            trees += 1;
            match self.kind {
                Kind::Trees => {
                    out.write(&TreeRecord::from(&tree))?;
                    rows += 1;
                }
                Kind::Pairs => {
                    for row in pair_rows(&tree) {
                        out.write(&row)?;
                        rows += 1;
                    }
                }
                Kind::Sft => {
                    for row in sft_rows(&tree) {
                        out.write(&row)?;
                        rows += 1;
                    }
                }
            }
        }
        if trees == 0 {
            bail!("{}: no tree is finished yet; see `eurus synth status`", store.place());
        }
        out.finish()?;
        print(&format!("{rows} rows of {trees} trees in {}", self.out.out.display()));
        Ok(())
    }
}

/// The tree; none of a problem that was too easy to get one.
fn tree(finished: &FinishedTree) -> Result<Option<PreferenceTree>> {
    Ok(serde_json::from_str(&finished.tree)?)
}
