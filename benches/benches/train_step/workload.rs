//! The trees: of a file, or drawn from a seed.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use eurus_tests::workload;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, weighted::WeightedIndex};
use serde_json::{Value, json};
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

/// How long drawn trees are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lengths {
    /// 1 to 5 turns, each as likely; about 100 tokens a node
    Short,
    /// Those of UltraInteract's mathematics with a tool: turns in the paper's proportions, about 400 tokens a node
    Ultrainteract,
}

impl Lengths {
    /// How often trees have 1, 2, .. 5 turns.
    fn turns(self) -> [u32; 5] {
        match self {
            Self::Short => [1; 5],
            Self::Ultrainteract => [10_440, 4_122, 1_898, 904, 5_564],
        }
    }

    /// Mean tokens of a prompt, an action and an observation.
    fn tokens(self) -> [usize; 3] {
        match self {
            Self::Short => [80, 160, 60],
            Self::Ultrainteract => [240, 440, 420],
        }
    }
}

/// Multi-turn trees: at each turn a chosen and a rejected action, of which the rejected one is followed by an observation and
/// the next turn. Token ids are random.
pub fn draw(trees: usize, lengths: Lengths, vocab: usize, seed: u64) -> Result<Vec<TrainingTree>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let turns = WeightedIndex::new(lengths.turns())?;
    let [prompt_tokens, action_tokens, observation_tokens] = lengths.tokens();
    (0..trees)
        .map(|index| {
            let mut tree = TokenTree::new(tokens(prompt_tokens, vocab, &mut rng), false);
            let mut prompt = 0;
            let mut pairs = Vec::new();
            for _ in 0..=turns.sample(&mut rng) {
                let chosen = tree.push(prompt, tokens(action_tokens, vocab, &mut rng), false);
                let rejected = tree.push(prompt, tokens(action_tokens, vocab, &mut rng), false);
                pairs.push(Group::pair(chosen, rejected));
                prompt = tree.push(rejected, tokens(observation_tokens, vocab, &mut rng), false);
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

/// Writes trees as [`read`] reads them.
pub fn write(path: &Path, trees: &[TrainingTree]) -> Result<()> {
    let mut lines = String::new();
    for tree in trees {
        let nodes = &tree.tree().nodes;
        let parent = |node: usize| nodes[node].parent.map_or(-1, |parent| parent as i64);
        let written: Vec<Value> = (0..nodes.len())
            .map(|node| json!({"parent": parent(node), "ids": nodes[node].tokens}))
            .collect();
        let pairs: Vec<Value> = tree
            .groups()
            .iter()
            .map(|pair| (pair.nodes[0], pair.nodes[1]))
            .map(|(chosen, rejected)| {
                json!({"prompt": parent(chosen), "chosen": chosen, "rejected": rejected})
            })
            .collect();
        let line = json!({"parent_id": tree.id(), "nodes": written, "pairs": pairs});
        writeln!(lines, "{line}")?;
    }
    std::fs::write(path, lines).with_context(|| path.display().to_string())
}
