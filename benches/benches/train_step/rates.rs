//! How fast the matrix products and the attention of one layer are, each by itself.

use std::time::{Duration, Instant};

use anyhow::Result;
use burn::tensor::{DType, Device, Distribution, Tensor};
use eurus_models::DecoderConfig;
use eurus_models::ops::{self, AttentionShape, ForestSpans, Visibility};
use serde_json::{Value, json};
use token_forest::{PackedForest, TrainingTree};

/// How long a rate is taken.
const TIME: Duration = Duration::from_millis(500);

/// Calls that the device is given before it is waited for.
const CALLS: u32 = 10;

/// The seconds of one call, of the fastest round.
fn seconds(device: &Device, mut call: impl FnMut()) -> Result<f64> {
    // Kernels are compiled.
    call();
    device.sync()?;
    let started = Instant::now();
    let mut best = f64::MAX;
    while started.elapsed() < TIME {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        device.sync()?;
        best = best.min(start.elapsed().as_secs_f64() / f64::from(CALLS));
    }
    Ok(best)
}

fn noise(shape: [usize; 2], dtype: DType, device: &Device) -> Tensor<2> {
    Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), device).cast(dtype)
}

/// The products of a layer and of the head that differ in shape or in layout: four projections and the head, forward, and both
/// gradients of the widest.
pub fn products(
    config: &DecoderConfig,
    tokens: usize,
    dtype: DType,
    device: &Device,
) -> Result<Vec<Value>> {
    let (d, wide) = (config.hidden_size, config.intermediate_size);
    let queries = config.heads * config.head_dim;
    let keys = config.kv_heads * config.head_dim;
    let project = [
        ("queries", d, queries),
        ("keys", d, keys),
        ("gate", d, wide),
        ("down", wide, d),
        ("logits", d, config.vocab_size),
    ];
    let mut rows = Vec::new();
    let mut row = |what: &str, [m, n, k]: [usize; 3], seconds: f64| {
        let tflops = 2.0 * (m * n * k) as f64 / seconds / 1e12;
        rows.push(json!({"what": what, "m": m, "n": n, "k": k, "tflops": tflops}));
    };
    for (what, input, output) in project {
        let x = noise([tokens, input], dtype, device);
        let weight = noise([output, input], dtype, device);
        let taken = seconds(device, || {
            ops::project(x.clone(), weight.clone());
        })?;
        row(what, [tokens, output, input], taken);
    }
    let x = noise([tokens, d], dtype, device);
    let weight = noise([wide, d], dtype, device);
    let grad = noise([tokens, wide], dtype, device);
    let taken = seconds(device, || {
        grad.clone().matmul(weight.clone());
    })?;
    row("gradient of gate's input", [tokens, d, wide], taken);
    let taken = seconds(device, || {
        grad.clone().transpose().matmul(x.clone());
    })?;
    row("gradient of gate's weight", [wide, d, tokens], taken);
    Ok(rows)
}

/// Attention over the first trees that fill so many tokens. A backward pass counts for two and a half forward passes: five
/// products where those have two. The cells are those that are seen.
pub fn attention(
    config: &DecoderConfig,
    trees: &[TrainingTree],
    tokens: usize,
    dtype: DType,
    device: &Device,
) -> Result<Value> {
    let mut left = tokens;
    let fitting = trees.iter().map(TrainingTree::tree).take_while(|tree| {
        let fits = tree.unique_tokens() <= left;
        left = left.saturating_sub(tree.unique_tokens());
        fits
    });
    let forest = PackedForest::from_trees(fitting)?;
    let shape = AttentionShape {
        heads: config.heads,
        kv_heads: config.kv_heads,
        head_dim: config.head_dim,
        scale: (config.head_dim as f32).powf(-0.5),
        window: config.sliding_window,
    };
    let spans = ForestSpans::new(&forest);
    let cells: usize = spans
        .nodes
        .iter()
        .flat_map(|node| node.path_start..node.path_start + node.queries.len)
        .map(|position| shape.visible(position).len())
        .sum();
    let forward_flops = 4.0 * (cells * shape.heads * shape.head_dim) as f64;
    let rows = forest.tokens.len();
    let [q, k, v] = [shape.heads, shape.kv_heads, shape.kv_heads]
        .map(|heads| noise([rows, heads * shape.head_dim], dtype, device));
    let visibility = Visibility::new(spans.clone(), device);
    let forward = seconds(device, || {
        ops::tree_attention(q.clone(), k.clone(), v.clone(), &visibility, shape);
    })?;
    let tracked = device.clone().autodiff();
    let visibility = Visibility::new(spans, &tracked);
    let both = seconds(device, || {
        let [q, k, v] = [&q, &k, &v].map(|it| Tensor::from_inner(it.clone()).require_grad());
        let out = ops::tree_attention(q, k, v, &visibility, shape);
        out.sum().backward();
    })?;
    let backward = (both - forward).max(1e-9);
    let tflops = |passes: f64, seconds: f64| passes * forward_flops / seconds / 1e12;
    Ok(json!({
        "tokens": rows,
        "nodes": forest.node_count(),
        "cells": cells,
        "forward_ms": forward * 1e3,
        "forward_tflops": tflops(1.0, forward),
        "backward_ms": backward * 1e3,
        "backward_tflops": tflops(2.5, backward),
    }))
}
