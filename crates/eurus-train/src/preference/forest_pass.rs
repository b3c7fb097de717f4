//! One forest's pass: its responses group by group, its loss, and whether policy and reference are one model.

use burn::tensor::{Bool, Device, Tensor, TensorData};
use eurus_models::int_tensor;
use pref_losses::ResponseParts;
use token_forest::{PackedForest, PackedGroup, Pieces, TrainingTree};

use super::objective::ForestResponses;
use crate::activations::Tape;
use crate::reference::{Detail, TreeReference, read};
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

/// The parts of all trees of a run that a loss looks at, cut to the token budget.
pub(super) struct LossPieces<'a> {
    pub groups: Pieces<'a>,
    /// The mismatched responses, for a KL estimate.
    pub mismatched: Option<Pieces<'a>>,
}

/// Log-probs of a forest under the policy.
pub(super) struct ForestScores<'a> {
    /// Log-probs `[targets]`, with gradient.
    pub of_targets: Tensor<1>,
    /// Log-probs summed by node, `[nodes]`.
    pub of_nodes: Tensor<1>,
    /// Logarithms of the nodes' weights, `[nodes]`, if the loss looks at them.
    pub log_weights: Option<Tensor<1>>,
    pub forest: &'a PackedForest,
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
    pub fn new(groups: Vec<PackedGroup>, part: &Part<'_>, scores: &ForestScores<'_>) -> Self {
        let device = scores.of_nodes.device();
        let places = groups.first().map_or(0, |group| group.nodes.len());
        let (mut policy, mut reference, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        for place in 0..places {
            policy.push(of_place(&scores.of_nodes, &groups, place));
            let value = |group: &PackedGroup| part.reference[group.tree].groups[group.index][place];
            let values = groups.iter().map(value).collect();
            reference.push(constant(values, &device));
            let tokens = |group: &PackedGroup| {
                let targets = scores.forest.targets_of(group.nodes[place] as usize);
                targets.len() as f32
            };
            lengths.push(groups.iter().map(tokens).collect());
        }
        Self {
            groups,
            policy,
            reference,
            lengths,
        }
    }

    pub fn for_loss<'a>(
        &self,
        part: &Part<'a>,
        scores: &ForestScores<'_>,
        detail: Detail,
    ) -> ForestResponses<'a> {
        let device = scores.of_nodes.device();
        let places = 0..self.policy.len();
        let tokens = |place: usize| {
            let targets = |group: &PackedGroup| {
                let targets = scores.forest.targets_of(group.nodes[place] as usize);
                targets.map(|target| target as u32).collect()
            };
            self.parts(&scores.of_targets, targets, |group| {
                let known = part.reference[group.tree].tokens.as_ref();
                known.map_or(&[], |tokens| tokens[group.index][place].as_slice())
            })
        };
        let turns = |place: usize| {
            let turns = |group: &PackedGroup| group.turns[place].clone();
            self.parts(&scores.of_nodes, turns, |group| {
                let known = part.reference[group.tree].turns.as_ref();
                known.map_or(&[], |turns| turns[group.index][place].as_slice())
            })
        };
        let lengths = self.lengths.iter();
        let log_weights = scores.log_weights.as_ref().map(|weights| {
            let of_place = |place| of_place(weights, &self.groups, place);
            places.clone().map(of_place).collect()
        });
        ForestResponses {
            policy: self.policy.clone(),
            reference: self.reference.clone(),
            lengths: lengths
                .map(|values| constant(values.clone(), &device))
                .collect(),
            tokens: detail.tokens.then(|| places.clone().map(tokens).collect()),
            turns: detail.turns.then(|| places.map(turns).collect()),
            log_weights,
            groups: self
                .groups
                .iter()
                .map(|it| &part.trees[it.tree].groups()[it.index])
                .collect(),
        }
    }

    /// Some of the policy's values for each group, and the reference's for the same, side by side.
    fn parts<'a>(
        &self,
        policy: &Tensor<1>,
        places: impl Fn(&PackedGroup) -> Vec<u32>,
        reference: impl Fn(&PackedGroup) -> &'a [f32],
    ) -> ResponseParts {
        let device = policy.device();
        let rows: Vec<Vec<u32>> = self.groups.iter().map(places).collect();
        let most = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let shape = [rows.len(), most];
        // What is masked does not matter: the first value of all stands there.
        let mut indices = vec![0; rows.len() * most];
        let mut known = vec![0.0; rows.len() * most];
        let mut mask = vec![false; rows.len() * most];
        for (row, (group, places)) in self.groups.iter().zip(&rows).enumerate() {
            let start = row * most;
            indices[start..start + places.len()].copy_from_slice(places);
            mask[start..start + places.len()].fill(true);
            let values = reference(group);
            known[start..start + values.len()].copy_from_slice(values);
        }
        ResponseParts {
            policy: policy
                .clone()
                .select(0, int_tensor(&indices, &device))
                .reshape(shape),
            reference: Tensor::from_data(TensorData::new(known, shape), &device),
            mask: Tensor::<2, Bool>::from_data(TensorData::new(mask, shape), &device),
        }
    }
}

/// The values `[nodes]` of each group's response at a place, `[groups]`.
fn of_place(values: &Tensor<1>, groups: &[PackedGroup], place: usize) -> Tensor<1> {
    let nodes: Vec<u32> = groups.iter().map(|group| group.nodes[place]).collect();
    values
        .clone()
        .select(0, int_tensor(&nodes, &values.device()))
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

/// Values that no gradient flows into.
pub(super) fn constant(values: Vec<f32>, device: &Device) -> Tensor<1> {
    Tensor::from_floats(values.as_slice(), device)
}
