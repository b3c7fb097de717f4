//! Rewards and log-probs of every node of trees, without training: what a reward model or a policy says of answers.
//!
//! Answers to one prompt are one tree, so that what they share is computed once; a tree that is larger than the budget is cut
//! into pieces first. What comes out does not depend on the budget but for rounding.

use burn::tensor::Device;
use eurus_models::{ForestBatch, ForestModel, ForestRewardModel, int_tensor};
use token_forest::{PackedForest, Subtree, TokenTree, pack};

use crate::TrainingConfig;
use crate::error::Result;
use crate::examples::check_trees;
use crate::log_probs::target_log_probs;
use crate::run::plain_device;

/// The reward at the end of every node, tree by tree. `settings` give the tokens of a pass and of a path.
///
/// # Errors
///
/// When a tree is malformed, a path is longer than allowed or than the budget, or a token is one the model does not know.
pub fn node_rewards<M: ForestRewardModel>(
    model: &M,
    trees: &[TokenTree],
    settings: &TrainingConfig,
) -> Result<Vec<Vec<f32>>> {
    check(trees, settings, model.vocab_size())?;
    let model = model.valid();
    let device = plain_device(&model);
    let mut rewards: Vec<Vec<f32>> = trees.iter().map(|it| vec![0.0; it.nodes.len()]).collect();
    for pass in passes(trees, settings.token_budget)? {
        let (forest, places) = pass.forest()?;
        let ends: Vec<u32> = places
            .iter()
            .map(|it| forest.end_of(it.in_forest))
            .collect();
        let tokens = int_tensor(&ends, &device);
        let batch = ForestBatch::new(forest, &device);
        let of_nodes: Vec<f32> = model.rewards(&batch, tokens).into_data().iter().collect();
        for (place, reward) in places.iter().zip(of_nodes) {
            rewards[place.tree][place.node] = reward;
        }
    }
    Ok(rewards)
}

/// The log-prob of each token of every trainable node, tree by tree and node by node; nothing for the others.
///
/// # Errors
///
/// As [`node_rewards`].
pub fn node_token_log_probs<M: ForestModel>(
    model: &M,
    trees: &[TokenTree],
    settings: &TrainingConfig,
) -> Result<Vec<Vec<Vec<f32>>>> {
    check(trees, settings, model.vocab_size())?;
    let model = model.valid();
    let device: Device = plain_device(&model);
    let mut log_probs: Vec<Vec<Vec<f32>>> = trees
        .iter()
        .map(|tree| vec![Vec::new(); tree.nodes.len()])
        .collect();
    for pass in passes(trees, settings.token_budget)? {
        let (forest, places) = pass.forest()?;
        let batch = ForestBatch::new(forest, &device);
        let of_targets = target_log_probs(&model, &batch, settings.log_prob_chunk);
        let of_targets: Vec<f32> = of_targets.into_data().iter().collect();
        for place in places {
            let targets = batch.forest.targets_of(place.in_forest);
            if !targets.is_empty() {
                log_probs[place.tree][place.node] = of_targets[targets].to_vec();
            }
        }
    }
    Ok(log_probs)
}

fn check(trees: &[TokenTree], settings: &TrainingConfig, vocab_size: usize) -> Result<()> {
    let named = trees.iter().map(|tree| ("answers", tree));
    check_trees(named, settings.max_path_tokens, vocab_size)
}

/// Parts of trees that are computed together.
struct Pass {
    parts: Vec<(usize, Subtree)>,
}

/// A node of a tree and where it is in a forest.
struct Place {
    tree: usize,
    node: usize,
    in_forest: usize,
}

impl Pass {
    fn forest(&self) -> Result<(PackedForest, Vec<Place>)> {
        let forest = PackedForest::from_trees(self.parts.iter().map(|(_, part)| &part.tree))?;
        let mut places = Vec::new();
        for (part_index, (tree, part)) in self.parts.iter().enumerate() {
            places.extend(part.nodes.iter().enumerate().map(|(index, &node)| Place {
                tree: *tree,
                node,
                in_forest: forest.node_index(part_index, index),
            }));
        }
        Ok((forest, places))
    }
}

/// All trees, those cut that are larger than the budget, packed.
fn passes(trees: &[TokenTree], token_budget: usize) -> Result<Vec<Pass>> {
    let mut parts = Vec::new();
    for (index, tree) in trees.iter().enumerate() {
        if tree.unique_tokens() <= token_budget {
            let nodes = (0..tree.nodes.len()).collect();
            let tree = tree.clone();
            parts.push((index, Subtree { tree, nodes }));
            continue;
        }
        let leaves: Vec<Vec<usize>> = tree.leaves().into_iter().map(|leaf| vec![leaf]).collect();
        let pieces = tree.split(token_budget, &leaves)?;
        parts.extend(pieces.into_iter().map(|piece| (index, piece.subtree)));
    }
    let sizes: Vec<TokenTree> = parts.iter().map(|(_, part)| part.tree.clone()).collect();
    let packed = pack(&sizes, token_budget)?;
    let passes = packed.into_iter().map(|members| Pass {
        parts: members
            .into_iter()
            .map(|member| parts[member].clone())
            .collect(),
    });
    Ok(passes.collect())
}
