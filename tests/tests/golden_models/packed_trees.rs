//! Trees of segments in one packed pass, against every branch run alone by the reference.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor};
use eurus_models::{Decoder, ForestBatch, ForestRewardModel, RewardModel, int_tensor};
use eurus_tests::report::Report;
use eurus_train::log_probs::{node_log_probs, target_log_probs};
use token_forest::{PackedForest, TokenTree};

use super::gradients::{self, Section};
use super::language_model::CHUNK;
use super::schema::{Node, Tree};
use super::subject::Subject;

/// Trees of a file in one forest.
pub struct Forest {
    pub packed: PackedForest,
    /// Per tree: index of each node id among the tree's nodes.
    index_of: Vec<BTreeMap<usize, usize>>,
}

impl Forest {
    /// Every token is a target, so that the log-probs of prompts are compared too.
    pub fn new<'a>(trees: impl IntoIterator<Item = &'a [Node]>) -> Result<Self> {
        let mut token_trees = Vec::new();
        let mut index_of = Vec::new();
        for nodes in trees {
            let mut indices = BTreeMap::new();
            let mut tokens = TokenTree::default();
            for (index, node) in nodes.iter().enumerate() {
                indices.insert(node.id, index);
                match node.parent {
                    None => tokens = TokenTree::new(node.input_ids.clone(), true),
                    Some(parent) => {
                        let parent = *indices.get(&parent).context("parents come first")?;
                        tokens.push(parent, node.input_ids.clone(), true);
                    }
                }
            }
            token_trees.push(tokens);
            index_of.push(indices);
        }
        Ok(Self {
            packed: PackedForest::from_trees(&token_trees)?,
            index_of,
        })
    }

    pub fn node(&self, tree: usize, id: usize) -> Result<usize> {
        let index = self.index_of[tree]
            .get(&id)
            .context("a path names no node")?;
        Ok(self.packed.node_index(tree, *index))
    }

    pub fn batch(&self, device: &Device) -> ForestBatch {
        ForestBatch::new(self.packed.clone(), device)
    }
}

fn check_positions(subject: &Subject, forest: &Forest, report: &mut Report) -> Result<()> {
    for (index, tree) in subject.trees.trees.iter().enumerate() {
        for node in &tree.nodes {
            let packed = &forest.packed.nodes[forest.node(index, node.id)?];
            let place = format!("{} node {}", tree.id, node.id);
            report.same(
                "trees: positions",
                place,
                &packed.path_start,
                &node.position_start,
            );
        }
    }
    Ok(())
}

/// Compares the gradients of a tree's loss. The other trees are in the forest and must not matter.
fn check_loss<M: burn::module::Module>(
    subject: &Subject,
    tree: &Tree,
    model: &M,
    loss: Tensor<1>,
    report: &mut Report,
) -> Result<()> {
    let section = Section {
        check: "trees",
        place: &tree.id,
        stored: &format!("trees.{}", tree.id),
        expected: &tree.loss.gradient,
        tolerance: &subject.trees.tolerance,
    };
    gradients::check(subject, &section, model, loss, report)
}

/// Weights of the forest's nodes: how much each counts in the loss over the branches.
fn node_weights(
    forest: &Forest,
    index: usize,
    tree: &Tree,
    counts: impl Fn(usize, usize) -> bool,
) -> Result<Vec<f32>> {
    let mut weights = vec![0.0; forest.packed.node_count()];
    for (branch, &weight) in tree.branches.iter().zip(&tree.loss.weights) {
        for &id in &branch.path {
            if counts(id, branch.leaf) {
                weights[forest.node(index, id)?] += weight as f32;
            }
        }
    }
    Ok(weights)
}

/// Language models: log-probs of all tokens and nodes, and the weighted loss over the branches.
pub fn check_log_probs(subject: &Subject, model: &Decoder, report: &mut Report) -> Result<()> {
    let device = Device::flex().autodiff();
    let trees = &subject.trees.trees;
    let tolerance = &subject.trees.tolerance;
    let (token_limit, sum_limit) = (
        tolerance.of("token_logprob_abs")?,
        tolerance.of("sum_logprob_abs")?,
    );
    let forest = Forest::new(trees.iter().map(|tree| tree.nodes.as_slice()))?;
    check_positions(subject, &forest, report)?;
    let batch = forest.batch(&device);
    let tokens: Vec<f32> = target_log_probs(model, &batch, CHUNK)
        .into_data()
        .iter()
        .collect();
    let sums = node_log_probs(model, &batch, CHUNK);
    let node_sums: Vec<f32> = sums.into_data().iter().collect();
    for (index, tree) in trees.iter().enumerate() {
        for branch in &tree.branches {
            let place = format!("{} leaf {}", tree.id, branch.leaf);
            let mut path = Vec::new();
            let mut in_loss = 0.0;
            for &id in &branch.path {
                let node = forest.node(index, id)?;
                path.extend_from_slice(&tokens[forest.packed.targets_of(node)]);
                let sum = f64::from(node_sums[node]);
                if tree.nodes[forest.index_of[index][&id]].in_loss {
                    in_loss += sum;
                }
                let expected = branch
                    .node_sum_logprob_f64
                    .as_ref()
                    .and_then(|sums| sums.get(&id));
                let expected = *expected.context("no node_sum_logprob_f64")?;
                let place = format!("{place} node {id}");
                report.close("trees: sums of nodes", place, sum, expected, sum_limit);
            }
            let expected = branch
                .token_logprobs_f64
                .as_ref()
                .context("no token_logprobs_f64")?;
            report.all_close(
                "trees: token log-probs",
                &place,
                path,
                expected,
                token_limit,
            );
            let expected = branch
                .sum_logprob_in_loss_f64
                .context("no sum_logprob_in_loss_f64")?;
            report.close(
                "trees: sums in the loss",
                place,
                in_loss,
                expected,
                sum_limit,
            );
        }
        let in_loss = |id: usize, _leaf: usize| {
            forest.index_of[index]
                .get(&id)
                .is_some_and(|&node| tree.nodes[node].in_loss)
        };
        let weights = node_weights(&forest, index, tree, in_loss)?;
        let weights = Tensor::<1>::from_floats(weights.as_slice(), &device);
        let loss = (node_log_probs(model, &batch, CHUNK) * weights).sum().neg();
        check_loss(subject, tree, model, loss, report)?;
    }
    Ok(())
}

/// Reward models: rewards at the ends of all nodes, and the weighted loss over the branches.
pub fn check_rewards(subject: &Subject, model: &RewardModel, report: &mut Report) -> Result<()> {
    let device = Device::flex().autodiff();
    let trees = &subject.trees.trees;
    let limit = subject.trees.tolerance.of("reward_abs")?;
    let forest = Forest::new(trees.iter().map(|tree| tree.nodes.as_slice()))?;
    check_positions(subject, &forest, report)?;
    let batch = forest.batch(&device);
    let ends: Vec<u32> = (0..forest.packed.node_count())
        .map(|node| forest.packed.end_of(node))
        .collect();
    let rewards_of = || model.rewards(&batch, int_tensor(&ends, &device));
    let rewards: Vec<f32> = rewards_of().into_data().iter().collect();
    for (index, tree) in trees.iter().enumerate() {
        for branch in &tree.branches {
            let place = format!("{} leaf {}", tree.id, branch.leaf);
            let leaf = f64::from(rewards[forest.node(index, branch.leaf)?]);
            let expected = branch.reward_f64.context("no reward_f64")?;
            report.close("trees: rewards of leaves", &place, leaf, expected, limit);
            let of_nodes = branch
                .node_end_rewards_f64
                .as_ref()
                .context("no node_end_rewards_f64")?;
            for (&id, &expected) in of_nodes {
                let reward = f64::from(rewards[forest.node(index, id)?]);
                let place = format!("{place} node {id}");
                report.close("trees: rewards of nodes", place, reward, expected, limit);
            }
        }
        let weights = node_weights(&forest, index, tree, |id, leaf| id == leaf)?;
        let weights = Tensor::<1>::from_floats(weights.as_slice(), &device);
        let loss = (rewards_of() * weights).sum().neg();
        check_loss(subject, tree, model, loss, report)?;
    }
    Ok(())
}
