//! Log-probs of a forest's targets: one operator for the policy and for the reference.

use burn::tensor::Tensor;
use eurus_models::{ForestBatch, ForestModel, int_tensor};
use pref_losses::linear_log_probs::tied_linear_log_probs;
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
    let device = batch.tokens.device();
    let predictors: Vec<u32> = batch.forest.targets.iter().map(|t| t.predictor).collect();
    let tokens: Vec<u32> = batch.forest.targets.iter().map(|t| t.token).collect();
    tied_linear_log_probs(
        hidden.select(0, int_tensor(&predictors, &device)),
        model.output_weight(),
        int_tensor(&tokens, &device),
        chunk,
    )
}

/// The sums over each node's targets of `log_probs [targets]`, `[nodes]`.
pub(crate) fn by_node(log_probs: Tensor<1>, batch: &ForestBatch) -> Tensor<1> {
    let nodes: Vec<u32> = batch.forest.targets.iter().map(|t| t.node).collect();
    let segments = int_tensor(&nodes, &log_probs.device());
    sum_by_segment(log_probs, segments, batch.forest.node_count())
}

/// Number of targets of each node, `[nodes]`: the lengths that belong to [`node_log_probs`].
pub(crate) fn node_target_counts(forest: &PackedForest) -> Vec<f32> {
    let mut counts = vec![0.0; forest.node_count()];
    for target in &forest.targets {
        counts[target.node as usize] += 1.0;
    }
    counts
}
