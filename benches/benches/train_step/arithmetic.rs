//! What a step computes, and how fast the device could.

use std::time::{Duration, Instant};

use anyhow::Result;
use burn::tensor::{DType, Device, Distribution, Tensor};
use eurus_models::DecoderConfig;
use token_forest::TokenTree;

/// Floating-point operations of a training pass over these trees: matrix products, attention and the output projection at
/// the targets, forward once and backward twice. What is computed again is not counted.
pub fn training_flops(config: &DecoderConfig, trees: &[&TokenTree], with_head: bool) -> f64 {
    let weights = config.layer_weights_per_token() as f64;
    let queries = (config.layers * config.heads * config.head_dim) as f64;
    let mut forward = 0.0;
    for tree in trees {
        let ends = tree.path_lengths();
        let mut attended = 0.0;
        let mut targets = 0.0;
        for (node, &end) in tree.nodes.iter().zip(&ends) {
            let (end, len) = (end as f64, node.tokens.len() as f64);
            attended += len * (end - len) + len * (len + 1.0) / 2.0;
            targets += if node.trainable { len } else { 0.0 };
        }
        let tokens = tree.unique_tokens() as f64;
        forward += 2.0 * weights * tokens + 4.0 * queries * attended;
        if with_head {
            forward += 2.0 * config.output_weights() as f64 * targets;
        }
    }
    3.0 * forward
}

/// Operations per second of the best of many square matrix products in a number type, of a side that fills the device.
pub fn matmul_peak(device: &Device, dtype: DType) -> Result<f64> {
    let side: usize = if *device == Device::flex() {
        1024
    } else {
        8192
    };
    let square = || {
        let numbers = Distribution::Normal(0.0, 1.0);
        Tensor::<2>::random([side, side], numbers, device).cast(dtype)
    };
    let (a, b) = (square(), square());
    device.sync()?;
    let started = Instant::now();
    let mut best = Duration::MAX;
    while started.elapsed() < Duration::from_secs(2) {
        let start = Instant::now();
        let product = a.clone().matmul(b.clone());
        device.sync()?;
        best = best.min(start.elapsed());
        drop(product);
    }
    Ok(2.0 * (side as f64).powi(3) / best.as_secs_f64())
}
