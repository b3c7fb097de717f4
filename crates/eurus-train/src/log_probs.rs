//! Log-probs of a forest's targets: one operator for the policy and for the reference.

use burn::tensor::{Int, Tensor};
use eurus_models::{ForestBatch, ForestModel, int_tensor};
use pref_losses::linear_log_probs::{
    WeightGradient, tied_linear_log_probs, tied_linear_log_probs_with_squares,
};
use pref_losses::log_probs::log_weights_by_segment;
use pref_losses::log_probs::sum_by_segment;
use token_forest::PackedForest;

/// Log-probs of the forest's targets, `[targets]`, in the forest's order. At most `chunk` positions have logits at a time.
pub fn target_log_probs<M: ForestModel>(model: &M, batch: &ForestBatch, chunk: usize) -> Tensor<1> {
    of_hidden(model, model.hidden_states(batch), batch, chunk)
}

/// Log-probs summed over each node's targets, `[nodes]`; 0 for nodes without.
pub fn node_log_probs<M: ForestModel>(model: &M, batch: &ForestBatch, chunk: usize) -> Tensor<1> {
    by_node(target_log_probs(model, batch, chunk), batch)
}

/// Log-probs of the forest's targets from its hidden states `[T, d]`, `[targets]`.
pub(crate) fn of_hidden<M: ForestModel>(
    model: &M,
    hidden: Tensor<2>,
    batch: &ForestBatch,
    chunk: usize,
) -> Tensor<1> {
    let Predictions { hidden, tokens } = Predictions::new(hidden, batch);
    let weight = model.output_weight();
    tied_linear_log_probs(hidden, weight, tokens, chunk, weight_gradient(model))
}

/// [`of_hidden`], and the logarithm of each node's weight by WPO, `[nodes]` and without gradient.
pub(crate) fn of_hidden_with_weights<M: ForestModel>(
    model: &M,
    hidden: Tensor<2>,
    batch: &ForestBatch,
    chunk: usize,
) -> (Tensor<1>, Tensor<1>) {
    let Predictions { hidden, tokens } = Predictions::new(hidden, batch);
    let weight = model.output_weight();
    let gradient = weight_gradient(model);
    let (log_probs, squares) =
        tied_linear_log_probs_with_squares(hidden, weight, tokens, chunk, gradient);
    let segments = node_of_target(batch);
    let nodes = batch.forest.node_count();
    let log_weights = log_weights_by_segment(log_probs.clone(), squares, segments, nodes);
    (log_probs, log_weights)
}

/// The type of the output projection's gradient: that which a step sums it in, if the model can.
fn weight_gradient<M: ForestModel>(model: &M) -> WeightGradient {
    match model.output_gradient_may_be_f32() {
        true => WeightGradient::F32,
        false => WeightGradient::OfWeight,
    }
}

/// Where targets are predicted, and what they are.
struct Predictions {
    /// `[targets, d]`.
    hidden: Tensor<2>,
    /// `[targets]`.
    tokens: Tensor<1, Int>,
}

impl Predictions {
    fn new(hidden: Tensor<2>, batch: &ForestBatch) -> Self {
        let device = batch.tokens.device();
        let predictors: Vec<u32> = batch.forest.targets.iter().map(|t| t.predictor).collect();
        let tokens: Vec<u32> = batch.forest.targets.iter().map(|t| t.token).collect();
        Self {
            hidden: hidden.select(0, int_tensor(&predictors, &device)),
            tokens: int_tensor(&tokens, &device),
        }
    }
}

/// The sums over each node's targets of `log_probs [targets]`, `[nodes]`.
pub(crate) fn by_node(log_probs: Tensor<1>, batch: &ForestBatch) -> Tensor<1> {
    sum_by_segment(log_probs, node_of_target(batch), batch.forest.node_count())
}

fn node_of_target(batch: &ForestBatch) -> Tensor<1, Int> {
    let nodes: Vec<u32> = batch.forest.targets.iter().map(|t| t.node).collect();
    int_tensor(&nodes, &batch.tokens.device())
}

/// Number of targets of each node, `[nodes]`: the lengths that belong to [`node_log_probs`].
pub(crate) fn node_target_counts(forest: &PackedForest) -> Vec<f32> {
    let mut counts = vec![0.0; forest.node_count()];
    for target in &forest.targets {
        counts[target.node as usize] += 1.0;
    }
    counts
}
