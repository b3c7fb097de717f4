//! The trees: of a file, or drawn from a seed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use eurus_train::{NodePair, PairedTree};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use token_forest::TokenTree;

#[derive(Deserialize)]
struct WorkTree {
    parent_id: String,
    nodes: Vec<WorkNode>,
    pairs: Vec<WorkPair>,
}

#[derive(Deserialize)]
struct WorkNode {
    parent: i64,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct WorkPair {
    chosen: usize,
    rejected: usize,
}

impl WorkTree {
    fn paired(self, vocab: u32) -> Result<PairedTree> {
        let mut nodes = self.nodes.into_iter().map(|node| {
            let small = |id: u32| if id < vocab { id } else { id % vocab };
            (node.parent, node.ids.into_iter().map(small).collect())
        });
        let (_, root) = nodes.next().context("a tree without nodes")?;
        let mut tree = TokenTree::new(root, false);
        for (parent, ids) in nodes {
            tree.push(usize::try_from(parent)?, ids, false);
        }
        let pairs: Vec<NodePair> = self
            .pairs
            .iter()
            .map(|pair| NodePair {
                chosen: pair.chosen,
                rejected: pair.rejected,
            })
            .collect();
        Ok(PairedTree::new(self.parent_id, &tree, &pairs)?)
    }
}

/// The trees of a file, or of `trees_tok.jsonl` in a folder; token ids from `vocab` on become smaller ones.
pub fn read(path: &Path, vocab: usize) -> Result<Vec<PairedTree>> {
    let path = match path.is_dir() {
        true => path.join("trees_tok.jsonl"),
        false => path.to_owned(),
    };
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    text.lines()
        .map(|line| {
            serde_json::from_str::<WorkTree>(line)
                .context("a line that is no tree")?
                .paired(vocab as u32)
        })
        .collect()
}

/// Most turns of a drawn tree, as in the paper.
const MAX_TURNS: usize = 5;

/// Multi-turn trees, shorter than UltraInteract's: at each turn a chosen and a rejected action, of which the rejected one is
/// followed by an observation and the next turn. Token ids are random.
pub fn draw(trees: usize, vocab: usize, seed: u64) -> Result<Vec<PairedTree>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..trees)
        .map(|index| {
            let mut tree = TokenTree::new(tokens(80, vocab, &mut rng), false);
            let mut prompt = 0;
            let mut pairs = Vec::new();
            for _ in 0..rng.random_range(1..=MAX_TURNS) {
                let chosen = tree.push(prompt, tokens(160, vocab, &mut rng), false);
                let rejected = tree.push(prompt, tokens(160, vocab, &mut rng), false);
                pairs.push(NodePair { chosen, rejected });
                prompt = tree.push(rejected, tokens(60, vocab, &mut rng), false);
            }
            Ok(PairedTree::new(format!("drawn-{index}"), &tree, &pairs)?)
        })
        .collect()
}

/// Half to three halves of `mean` random token ids.
fn tokens(mean: usize, vocab: usize, rng: &mut impl Rng) -> Vec<u32> {
    let length = rng.random_range(mean / 2..=mean + mean / 2);
    (0..length)
        .map(|_| rng.random_range(0..vocab as u32))
        .collect()
}
