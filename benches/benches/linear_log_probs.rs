//! Token log-probs from hidden states: block by block, against making the logits.
//!
//! The shape is that of a 135M-parameter model with a vocabulary of 49152 over 2048 tokens. Run
//! with `cargo bench -p eurus-benches --bench linear_log_probs`.

#![allow(missing_docs)] // criterion's macros make undocumented functions

use std::hint::black_box;
use std::time::Duration;

use burn::tensor::{Device, Distribution, Int, Tensor, activation::log_softmax};
use criterion::{Criterion, criterion_group, criterion_main};
use pref_losses::linear_log_probs::{WeightGradient, linear_log_probs, tied_linear_log_probs};

const TOKENS: usize = 2048;
const D_MODEL: usize = 576;
const VOCAB: usize = 49152;
const CHUNK_TOKENS: usize = 64;

type LogProbs = fn(Tensor<2>, Tensor<2>, Tensor<1, Int>) -> Tensor<1>;

fn naive(hidden: Tensor<2>, weight: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let logits = hidden.matmul(weight);
    log_softmax(logits, 1)
        .gather(1, targets.unsqueeze_dim(1))
        .squeeze_dim(1)
}

fn blocked(hidden: Tensor<2>, weight: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    linear_log_probs(hidden, weight, targets, CHUNK_TOKENS)
}

fn tied(hidden: Tensor<2>, embedding: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    tied_linear_log_probs(
        hidden,
        embedding,
        targets,
        CHUNK_TOKENS,
        WeightGradient::OfWeight,
    )
}

/// Hidden states, weight and targets.
fn inputs(device: &Device, weight: [usize; 2]) -> (Tensor<2>, Tensor<2>, Tensor<1, Int>) {
    let spread = Distribution::Normal(0.0, 0.1);
    (
        Tensor::random([TOKENS, D_MODEL], spread, device),
        Tensor::random(weight, spread, device),
        Tensor::random([TOKENS], Distribution::Uniform(0.0, VOCAB as f64), device),
    )
}

fn linear(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("linear_log_probs_2048x576x49152");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(20));
    let variants: [(&str, LogProbs, [usize; 2]); 3] = [
        ("naive", naive, [D_MODEL, VOCAB]),
        ("blocked", blocked, [D_MODEL, VOCAB]),
        ("blocked_tied", tied, [VOCAB, D_MODEL]),
    ];
    for (name, log_probs, shape) in variants {
        let (hidden, weight, targets) = inputs(&Device::flex(), shape);
        group.bench_function(format!("forward/{name}"), |bencher| {
            bencher.iter(|| {
                black_box(log_probs(hidden.clone(), weight.clone(), targets.clone()).into_data())
            });
        });
        let (hidden, weight, targets) = inputs(&Device::flex().autodiff(), shape);
        let (hidden, weight) = (hidden.require_grad(), weight.require_grad());
        group.bench_function(format!("forward_backward/{name}"), |bencher| {
            bencher.iter(|| {
                let values = log_probs(hidden.clone(), weight.clone(), targets.clone());
                let gradients = values.mean().backward();
                black_box((hidden.grad(&gradients), weight.grad(&gradients)))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, linear);
criterion_main!(benches);
