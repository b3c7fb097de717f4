//! Generation with burn's tensors: on every device, for every model.

mod cache;
#[cfg(all(test, feature = "wgpu"))]
mod device_tests;
mod rotation;
mod schedule;

use burn::tensor::DType;
use burn::tensor::activation::log_softmax;
use token_forest::{PackedForest, TokenTree};

use super::sampling::TokenScore;
use crate::{Decoder, ForestBatch, ForestBody, ForestModel, Result, int_tensor, ops};

pub use schedule::Schedule;

/// See [`Generator::scores`](super::Generator::scores).
pub fn scores(
    model: &Decoder,
    prompt: &[u32],
    tokens: &[u32],
    likeliest: usize,
) -> Result<Vec<TokenScore>> {
    let mut tree = TokenTree::new(prompt.to_vec(), false);
    tree.push(0, tokens.to_vec(), true);
    let forest = PackedForest::from_trees([&tree])?;
    let device = model.output_weight().device();
    let batch = ForestBatch::new(forest, &device);
    let predictors: Vec<u32> = batch.forest.targets.iter().map(|it| it.predictor).collect();
    let hidden = model.hidden_states(&batch);
    let hidden = hidden.select(0, int_tensor(&predictors, &device));
    let log_probs = log_softmax(
        ops::project(hidden, model.output_weight()).cast(DType::F32),
        1,
    );
    let targets = int_tensor(tokens, &device).unsqueeze_dim(1);
    let chosen = log_probs.clone().gather(1, targets).into_data();
    let mut scores: Vec<TokenScore> = chosen
        .iter()
        .map(|log_prob| TokenScore {
            log_prob,
            likeliest: Vec::new(),
        })
        .collect();
    let likeliest = likeliest.min(log_probs.dims()[1]);
    if likeliest > 0 {
        let (values, ids) = log_probs.topk_with_indices(likeliest, 1);
        let values: Vec<f32> = values.into_data().iter().collect();
        let ids: Vec<i64> = ids.into_data().iter().collect();
        let both: Vec<(u32, f32)> = ids.iter().map(|&id| id as u32).zip(values).collect();
        for (score, likeliest) in scores.iter_mut().zip(both.chunks(likeliest)) {
            score.likeliest = likeliest.to_vec();
        }
    }
    Ok(scores)
}
