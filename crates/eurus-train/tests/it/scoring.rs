//! Rewards and log-probs of nodes, whatever they are computed with.

use eurus_models::RewardModel;
use eurus_train::TrainingConfig;
use eurus_train::scoring::{node_rewards, node_token_log_probs};
use token_forest::TokenTree;

use crate::common::{log_prob_alone, model, proportional_steps, trees};

fn settings(token_budget: usize) -> TrainingConfig {
    TrainingConfig {
        token_budget,
        max_path_tokens: 200,
        ..proportional_steps(TrainingConfig::default())
    }
}

fn token_trees() -> Vec<TokenTree> {
    trees(5).iter().map(|tree| tree.tree().clone()).collect()
}

/// The smallest budget that holds the longest path, in which every tree is cut.
fn smallest(trees: &[TokenTree]) -> usize {
    let longest = trees.iter().map(TokenTree::longest_path_tokens).max();
    longest.unwrap_or_default()
}

#[test]
fn the_log_probs_of_a_node_are_those_of_its_path_alone_whatever_the_budget() {
    let (model, trees) = (model(3), token_trees());
    for budget in [smallest(&trees), 4096] {
        let found = node_token_log_probs(&model, &trees, &settings(budget)).expect("log-probs");
        for (tree, nodes) in trees.iter().zip(found) {
            for (node, log_probs) in nodes.iter().enumerate() {
                if !tree.nodes[node].trainable {
                    assert!(log_probs.is_empty());
                    continue;
                }
                assert_eq!(log_probs.len(), tree.nodes[node].tokens.len());
                let sum: f32 = log_probs.iter().sum();
                let alone = log_prob_alone(&model, tree, node);
                assert!((sum - alone).abs() < 1e-3, "{sum} {alone}");
            }
        }
    }
}

#[test]
fn the_reward_of_a_node_is_that_of_its_path_alone_whatever_the_budget() {
    let mut reward_model = RewardModel::from_decoder(model(2));
    let head = reward_model.head.projection_mut();
    head.weight = head.weight.clone().map(|weight| weight + 0.1);
    let trees = token_trees();
    for budget in [smallest(&trees), 4096] {
        let settings = settings(budget);
        let found = node_rewards(&reward_model, &trees, &settings).expect("rewards");
        for (tree, nodes) in trees.iter().zip(found) {
            for (node, reward) in nodes.into_iter().enumerate() {
                let alone = TokenTree::new(tree.path_tokens(node), false);
                let alone = node_rewards(&reward_model, &[alone], &settings).expect("rewards");
                assert!((reward - alone[0][0]).abs() < 1e-4, "{reward} {alone:?}");
            }
        }
    }
}
