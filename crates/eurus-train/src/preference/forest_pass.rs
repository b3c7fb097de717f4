//! One forest's pass: its responses group by group, its loss, and whether policy and reference are one model.

use burn::tensor::Tensor;
use eurus_models::int_tensor;
use token_forest::{PackedGroup, Pieces, TrainingTree};

use super::constant;
use super::objective::ForestResponses;
use crate::activations::Tape;
use crate::reference::{TreeReference, read};
use crate::{Error, Result};

/// Trees that go through the model in one pass of the loss.
pub(super) struct Part<'a> {
    pub trees: Vec<&'a TrainingTree>,
    pub reference: Vec<&'a TreeReference>,
    /// The trees by index among all of the run.
    pub members: &'a [usize],
    pub pieces: &'a LossPieces<'a>,
    pub reward_shift: f64,
    pub recompute: bool,
}

/// What a loss looks at of all trees of a run, cut to the token budget.
pub(super) struct LossPieces<'a> {
    pub groups: Pieces<'a>,
    /// The mismatched responses, for a KL estimate.
    pub mismatched: Option<Pieces<'a>>,
}

/// Groups of one size in a forest, and their responses by place in the group.
pub(super) struct GroupResponses {
    pub groups: Vec<PackedGroup>,
    /// Log-probs `[groups]`, with gradient.
    pub policy: Vec<Tensor<1>>,
    pub reference: Vec<Tensor<1>>,
    /// Target tokens.
    pub lengths: Vec<Vec<f32>>,
}

impl GroupResponses {
    /// `by_node` are the log-probs of the forest's nodes, `node_counts` their target tokens.
    pub fn new(
        groups: Vec<PackedGroup>,
        part: &Part<'_>,
        by_node: &Tensor<1>,
        node_counts: &[f32],
    ) -> Self {
        let device = by_node.device();
        let places = groups.first().map_or(0, |group| group.nodes.len());
        let (mut policy, mut reference, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        for place in 0..places {
            let nodes: Vec<u32> = groups.iter().map(|group| group.nodes[place]).collect();
            policy.push(by_node.clone().select(0, int_tensor(&nodes, &device)));
            let value = |group: &PackedGroup| part.reference[group.tree].groups[group.index][place];
            let values = groups.iter().map(value).collect();
            reference.push(constant(values, &device));
            lengths.push(
                nodes
                    .iter()
                    .map(|&node| node_counts[node as usize])
                    .collect(),
            );
        }
        Self {
            groups,
            policy,
            reference,
            lengths,
        }
    }

    pub fn for_loss<'a>(&self, part: &Part<'a>) -> ForestResponses<'a> {
        let lengths = self.lengths.iter().zip(&self.policy);
        ForestResponses {
            policy: self.policy.clone(),
            reference: self.reference.clone(),
            lengths: lengths
                .map(|(values, policy)| constant(values.clone(), &policy.device()))
                .collect(),
            groups: self
                .groups
                .iter()
                .map(|it| &part.trees[it.tree].groups()[it.index])
                .collect(),
        }
    }
}

/// The loss of one forest.
pub(super) struct ForestPass<'a> {
    /// Its part of the mean loss.
    pub loss: Tensor<1>,
    pub tape: Tape<'a>,
    pub share: f64,
    /// Its groups by size.
    pub responses: &'a [GroupResponses],
}

/// The largest difference between policy and reference that two passes of one model may have, in nats a token.
const SAME_MODEL: f64 = 0.02;

/// Checks that policy and reference are the same model yet.
pub(super) fn same_model(part: &Part<'_>, pass: &ForestPass<'_>) -> Result<()> {
    let columns = pass.responses.iter().flat_map(|it| {
        let log_probs = it.policy.iter().zip(&it.reference);
        log_probs
            .zip(&it.lengths)
            .map(|columns| (columns, &it.groups))
    });
    for (((policy, reference), lengths), groups) in columns {
        let values = read(policy.clone())
            .into_iter()
            .zip(read(reference.clone()));
        let rows = values.zip(lengths).zip(groups);
        let largest = rows
            .map(|(((policy, reference), length), group)| {
                let difference = f64::from(policy - reference).abs() / f64::from(length.max(1.0));
                (difference, group.tree)
            })
            // What is not a number is reported as such by the run.
            .filter(|(difference, _)| difference.is_finite())
            .max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((difference, tree)) = largest.filter(|it| it.0 > SAME_MODEL) {
            return Err(Error::OtherReference {
                id: part.trees[tree].id().to_owned(),
                difference,
            });
        }
    }
    Ok(())
}
