//! Every loss that can be chosen by configuration, forward and backward, over a thousand and a
//! million pairs. Run with `cargo bench -p eurus-benches --bench losses`; name a loss to run it alone.
//!
//! Losses come from the configuration enums, so that a new one is measured too.

#![allow(missing_docs)] // criterion's macros make undocumented functions

use std::hint::black_box;
use std::time::Duration;

use burn::tensor::{Bool, Device, Distribution, Tensor};
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use pref_losses::{
    PairContext, PairLengths, PairLogProbs, PreferenceLossConfig, RepresentationDistances,
    RewardContext, RewardLossConfig, UnpairedContext, UnpairedLogProbs, UnpairedLossConfig,
};
use serde::de::DeserializeOwned;

const SIZES: [usize; 2] = [1_000, 1_000_000];

/// The losses of these names with default settings.
fn losses<T: DeserializeOwned>(names: &'static [&str]) -> Vec<(&'static str, T)> {
    names
        .iter()
        .map(|&name| {
            let settings = match name {
                // Nothing to sum by default.
                "sum" => serde_json::json!({
                    "type": "sum",
                    "terms": [{"loss": {"type": "dpo"}}, {"loss": {"type": "bco"}, "weight": 0.5}],
                    "sft_weight": 0.2,
                }),
                name => serde_json::json!({ "type": name }),
            };
            let loss = serde_json::from_value(settings).expect("all settings have defaults");
            (name, loss)
        })
        .collect()
}

/// Random log-probs of responses.
fn log_probs(count: usize) -> Tensor<1> {
    let device = Device::flex().autodiff();
    Tensor::random([count], Distribution::Uniform(-60.0, -10.0), &device)
}

fn lengths(count: usize) -> Tensor<1> {
    let device = Device::flex().autodiff();
    Tensor::random([count], Distribution::Uniform(20.0, 200.0), &device)
}

fn verdicts(count: usize) -> Tensor<1, Bool> {
    log_probs(count).greater_elem(-35.0)
}

fn kl() -> Tensor<1> {
    Tensor::from_floats([1.0], &Device::flex().autodiff())
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    group
}

fn preference(criterion: &mut Criterion) {
    let mut group = group(criterion, "preference");
    for (name, config) in losses::<PreferenceLossConfig>(PreferenceLossConfig::NAMES) {
        let loss = config.init().expect("defaults are valid");
        if loss.needs().tokens || loss.needs().turns || loss.needs().log_weights {
            // They are sums, or products, around another one.
            continue;
        }
        for pairs in SIZES {
            let chosen = log_probs(pairs).require_grad();
            let rejected = log_probs(pairs).require_grad();
            let inputs = PairLogProbs {
                policy_chosen: chosen.clone(),
                policy_rejected: rejected.clone(),
                reference_chosen: log_probs(pairs),
                reference_rejected: log_probs(pairs),
            };
            let context = PairContext {
                lengths: Some(PairLengths {
                    chosen: lengths(pairs),
                    rejected: lengths(pairs),
                }),
                kl: Some(kl()),
                ..PairContext::default()
            };
            group.throughput(Throughput::Elements(pairs as u64));
            group.bench_function(BenchmarkId::new(name, pairs), |bencher| {
                bencher.iter(|| {
                    let output = loss.forward(inputs.clone(), &context);
                    let gradients = output
                        .expect("everything is given")
                        .losses
                        .mean()
                        .backward();
                    black_box((chosen.grad(&gradients), rejected.grad(&gradients)))
                });
            });
        }
    }
    group.finish();
}

fn unpaired(criterion: &mut Criterion) {
    let mut group = group(criterion, "unpaired");
    for (name, config) in losses::<UnpairedLossConfig>(UnpairedLossConfig::NAMES) {
        let loss = config.init().expect("defaults are valid");
        for responses in SIZES {
            let policy = log_probs(responses).require_grad();
            let inputs = UnpairedLogProbs {
                policy: policy.clone(),
                reference: log_probs(responses),
                desirable: verdicts(responses),
            };
            let context = UnpairedContext {
                kl: Some(kl()),
                ..UnpairedContext::default()
            };
            group.throughput(Throughput::Elements(responses as u64));
            group.bench_function(BenchmarkId::new(name, responses), |bencher| {
                bencher.iter(|| {
                    let output = loss.forward(inputs.clone(), &context);
                    let gradients = output
                        .expect("everything is given")
                        .losses
                        .mean()
                        .backward();
                    black_box(policy.grad(&gradients))
                });
            });
        }
    }
    group.finish();
}

fn reward(criterion: &mut Criterion) {
    let mut group = group(criterion, "reward");
    for (name, config) in losses::<RewardLossConfig>(RewardLossConfig::NAMES) {
        let loss = config.init().expect("defaults are valid");
        for pairs in SIZES {
            let chosen = log_probs(pairs).require_grad();
            let rejected = log_probs(pairs).require_grad();
            let context = RewardContext {
                rank_only: Some(verdicts(pairs)),
                distances: Some(RepresentationDistances {
                    distances: lengths(pairs),
                    mean: 1.0,
                }),
                ..RewardContext::default()
            };
            group.throughput(Throughput::Elements(pairs as u64));
            group.bench_function(BenchmarkId::new(name, pairs), |bencher| {
                bencher.iter(|| {
                    let losses = loss.forward(chosen.clone(), rejected.clone(), &context);
                    let losses = losses.expect("everything is given");
                    let gradients = losses.mean().backward();
                    black_box((chosen.grad(&gradients), rejected.grad(&gradients)))
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, preference, unpaired, reward);
criterion_main!(benches);
