//! Conversations as trees: what they share is computed once.

use std::collections::HashMap;

use anyhow::Result;
use eurus::data::Message;
use eurus::forest::MessageTree;
use eurus::models::Decoder;
use eurus::train::scoring::{node_rewards, node_token_log_probs};

use super::scorers::Scorers;

/// Where an answer is.
#[derive(Clone, Copy)]
pub struct Place {
    pub tree: usize,
    pub node: usize,
}

/// Conversations as trees, one for each first prompt.
#[derive(Default)]
pub struct Forest {
    trees: Vec<MessageTree>,
    by_prompt: HashMap<Vec<Message>, usize>,
}

/// A tree with what is said of its nodes.
pub struct ScoredTree {
    pub parents: Vec<Option<usize>>,
    pub trainable: Vec<bool>,
    pub tokens: Vec<Vec<u32>>,
    pub rewards: Option<Vec<f32>>,
    pub policy: Option<Vec<Vec<f32>>>,
    pub reference: Option<Vec<Vec<f32>>>,
}

impl Forest {
    /// Adds a conversation, unless it cannot be scored.
    pub fn place(&mut self, scorers: &Scorers, messages: &[Message]) -> Result<Place, String> {
        let tokens = scorers
            .tokenizer
            .encode_messages(messages)
            .map_err(|error| error.to_string())?;
        let length = tokens.longest_path_tokens();
        if length > scorers.context {
            return Err(format!(
                "has {length} tokens, more than the {} that the model and --token-budget take",
                scorers.context
            ));
        }
        let asked = messages
            .iter()
            .take_while(|it| it.role != eurus::data::Role::Assistant);
        let prompt: Vec<Message> = asked.cloned().collect();
        let tree = *self.by_prompt.entry(prompt).or_insert_with(|| {
            self.trees.push(MessageTree::default());
            self.trees.len() - 1
        });
        let node = self.trees[tree].grow(messages);
        Ok(Place { tree, node })
    }

    /// Has every model compute all trees.
    pub fn score(&self, scorers: &Scorers) -> Result<Vec<ScoredTree>> {
        let trees = self.trees.iter().map(|tree| scorers.tokenizer.encode(tree));
        let trees = trees.collect::<Result<Vec<_>, _>>()?;
        let settings = &scorers.settings;
        let reward = scorers.reward.as_ref();
        let rewards = reward
            .map(|model| node_rewards(model, &trees, settings))
            .transpose()?;
        let log_probs = |model: &Option<Decoder>| {
            let model = model.as_ref();
            model
                .map(|model| node_token_log_probs(model, &trees, settings))
                .transpose()
        };
        let (policy, reference) = (log_probs(&scorers.policy)?, log_probs(&scorers.reference)?);
        let (mut rewards, mut policy) = (rewards.map(Vec::into_iter), policy.map(Vec::into_iter));
        let mut reference = reference.map(Vec::into_iter);
        Ok(trees
            .into_iter()
            .map(|tree| ScoredTree {
                parents: tree.nodes.iter().map(|node| node.parent).collect(),
                trainable: tree.nodes.iter().map(|node| node.trainable).collect(),
                tokens: tree.nodes.into_iter().map(|node| node.tokens).collect(),
                rewards: rewards.as_mut().and_then(Iterator::next),
                policy: policy.as_mut().and_then(Iterator::next),
                reference: reference.as_mut().and_then(Iterator::next),
            })
            .collect())
    }
}

impl ScoredTree {
    /// The answers on the way to a node, the first one first.
    pub fn answers_before(&self, node: usize) -> Vec<usize> {
        let path = std::iter::successors(self.parents[node], |&node| self.parents[node]);
        let mut answers: Vec<usize> = path.filter(|&node| self.trainable[node]).collect();
        answers.reverse();
        answers
    }

    /// The log-prob of some tokens of a node, less that of the reference if there is one.
    pub fn log_ratio(&self, node: usize, range: std::ops::Range<usize>) -> f64 {
        let sum = |log_probs: &Option<Vec<Vec<f32>>>| -> f64 {
            let of_node = log_probs
                .as_ref()
                .and_then(|it| it[node].get(range.clone()));
            of_node
                .unwrap_or_default()
                .iter()
                .copied()
                .map(f64::from)
                .sum()
        };
        sum(&self.policy) - sum(&self.reference)
    }
}
