//! The trees: of a file, or drawn from a seed.

use std::path::Path;

use anyhow::Result;
use eurus_tests::workload;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use token_forest::{Group, TokenTree, TrainingTree};

/// The trees of a file; token ids from `vocab` on become smaller ones.
pub fn read(path: &Path, vocab: usize) -> Result<Vec<TrainingTree>> {
    let smaller = |tree: TrainingTree| {
        let mut tokens = tree.tree().clone();
        for id in tokens.nodes.iter_mut().flat_map(|node| &mut node.tokens) {
            *id %= vocab as u32;
        }
        Ok(TrainingTree::new(
            tree.id(),
            &tokens,
            tree.groups().to_vec(),
        )?)
    };
    workload::read(path)?.into_iter().map(smaller).collect()
}

/// Most turns of a drawn tree, as in the paper.
const MAX_TURNS: usize = 5;

/// Multi-turn trees, shorter than UltraInteract's: at each turn a chosen and a rejected action, of which the rejected one is
/// followed by an observation and the next turn. Token ids are random.
pub fn draw(trees: usize, vocab: usize, seed: u64) -> Result<Vec<TrainingTree>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..trees)
        .map(|index| {
            let mut tree = TokenTree::new(tokens(80, vocab, &mut rng), false);
            let mut prompt = 0;
            let mut pairs = Vec::new();
            for _ in 0..rng.random_range(1..=MAX_TURNS) {
                let chosen = tree.push(prompt, tokens(160, vocab, &mut rng), false);
                let rejected = tree.push(prompt, tokens(160, vocab, &mut rng), false);
                pairs.push(Group::pair(chosen, rejected));
                prompt = tree.push(rejected, tokens(60, vocab, &mut rng), false);
            }
            Ok(TrainingTree::new(format!("drawn-{index}"), &tree, pairs)?)
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
