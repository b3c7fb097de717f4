//! Trees from files: all of them, some that are drawn, or a range.

use std::path::PathBuf;

use rand::SeedableRng;
use rand::seq::{IteratorRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use ultrainteract::formats::{Format, Record, parse_json};
use ultrainteract::input::{self, Located, Parsed};
use ultrainteract::{Error as DataError, PreferenceTree};

use crate::error::Result;

/// Files of trees, in the format `tree` of `eurus data`.
#[derive(Debug, Clone)]
pub struct TreeSource {
    files: Vec<PathBuf>,
}

/// How much of the trees a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most trees.
    pub trees: usize,
    /// About the most bytes of a page with their texts.
    pub bytes: usize,
    /// Where there are more, those that are shown are drawn with this seed.
    pub seed: u64,
}

impl Default for Limits {
    /// What a browser opens at once: 10,000 trees on a page of about 60 MB, drawn with seed 0.
    fn default() -> Self {
        Self {
            trees: 10_000,
            bytes: 60_000_000,
            seed: 0,
        }
    }
}

/// Trees to show, and which ones of all they are.
#[derive(Debug, Clone)]
pub struct Trees {
    /// The trees, each with its place among all, from 0.
    pub trees: Vec<(usize, PreferenceTree)>,
    /// How many there are.
    pub of: usize,
    /// Why it is these.
    pub choice: Choice,
}

/// Why a page has these trees of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Choice {
    /// They are all.
    All,
    /// They were drawn.
    Drawn {
        /// With this seed.
        seed: u64,
    },
    /// They come one after the other.
    Range {
        /// The place of the first, from 0.
        from: usize,
        /// How many there are at most.
        count: usize,
    },
}

impl Trees {
    /// All trees of a list.
    pub fn all(trees: Vec<PreferenceTree>) -> Self {
        Self {
            of: trees.len(),
            trees: trees.into_iter().enumerate().collect(),
            choice: Choice::All,
        }
    }
}

impl TreeSource {
    /// The files that paths and patterns name.
    ///
    /// # Errors
    ///
    /// A path that does not exist, or a pattern that matches nothing.
    pub fn open<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self> {
        Ok(Self {
            files: input::expand(patterns)?,
        })
    }

    /// All trees, or as many as the limits allow, drawn by their seed: each tree is as likely as any other, whatever its file.
    /// The order is that of the files.
    ///
    /// Every tree is read and checked; no more than the limit are kept in memory.
    ///
    /// # Errors
    ///
    /// With file and row, a file that cannot be read or a row that is no tree.
    pub fn draw(&self, limits: &Limits) -> Result<Trees> {
        let mut fault = None;
        let mut of = 0;
        let rows = input::read(self.files.clone(), read_tree);
        let trees = rows.map_while(|row| {
            of += 1;
            ok_or_keep(row, &mut fault).map(|tree| (of - 1, tree))
        });
        let mut random = ChaCha8Rng::seed_from_u64(limits.seed);
        let mut drawn = trees.sample(&mut random, limits.trees);
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        // What is too much text ends in random order too; one tree is always shown.
        drawn.shuffle(&mut random);
        let mut bytes = 0;
        let fits = |(_, tree): &&(usize, PreferenceTree)| {
            bytes += page_bytes(tree);
            bytes <= limits.bytes
        };
        let fitting = drawn.iter().take_while(fits).count();
        drawn.truncate(fitting.max(1));
        let mut trees = drawn;
        trees.sort_by_key(|&(place, _)| place);
        let choice = match trees.len() == of {
            true => Choice::All,
            false => Choice::Drawn { seed: limits.seed },
        };
        Ok(Trees { trees, of, choice })
    }

    /// Trees one after the other, `count` of them from the place `from` on, which counts from 0.
    ///
    /// Others are passed over without being checked.
    ///
    /// # Errors
    ///
    /// As [`draw`](Self::draw), for the trees of the range.
    pub fn range(&self, from: usize, count: usize) -> Result<Trees> {
        let rows = input::read(self.files.clone(), |record| Ok(record.to_vec()));
        let range = from..from.saturating_add(count);
        let (mut of, mut trees) = (0, Vec::new());
        for row in rows {
            let Located { value, location } = row.map_err(|rejected| DataError::from(*rejected))?;
            if range.contains(&of) {
                let tree = read_tree(&value).map_err(|fault| location.locate(fault))?;
                trees.push((of, tree));
            }
            of += 1;
        }
        Ok(Trees {
            trees,
            of,
            choice: Choice::Range { from, count },
        })
    }
}

fn read_tree(record: &[u8]) -> ultrainteract::Result<PreferenceTree> {
    let value: serde_json::Value = parse_json(record)?;
    match Format::of_record(&value) {
        Some(Format::Tree) => PreferenceTree::from_json(record),
        Some(Format::Pair) => Err(DataError::malformed(
            "(row)",
            "is a pair and no tree; make trees of pairs with `eurus data convert FILE --to tree --out trees.jsonl`",
        )),
        _ => Err(DataError::malformed(
            "(row)",
            "is no tree; give a file of trees, as `eurus synth` and `eurus data convert --to tree` write them",
        )),
    }
}

fn ok_or_keep(
    row: Parsed<PreferenceTree>,
    fault: &mut Option<DataError>,
) -> Option<PreferenceTree> {
    match row {
        Ok(row) => Some(row.value),
        Err(rejected) => {
            *fault = Some((*rejected).into());
            None
        }
    }
}

/// About what a tree takes on a page, with its markup and two models' numbers.
fn page_bytes(tree: &PreferenceTree) -> usize {
    const MARKUP_OF_A_NODE: usize = 350;
    let nodes = tree.nodes();
    nodes
        .map(|(_, node)| node.text().len() + MARKUP_OF_A_NODE)
        .sum()
}
