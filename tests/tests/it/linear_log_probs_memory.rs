//! How much memory log-probs take with and without logits: the peak of what is allocated at a time,
//! forward and backward, for both.
//!
//! The limit is on what the operation takes beyond its inputs, gradients among it. The weight and its
//! gradient are the same for both, and at the size of a model they alone are 18 % of all that the
//! version with logits holds; that share is printed as well.
//!
//! The test of the full size prints its table with
//! `cargo test -p eurus-tests at_the_size_of_a_model -- --ignored --nocapture`.

#![allow(clippy::print_stdout)]

use std::fmt;

use crate::ALLOCATOR;
use burn::tensor::{Device, Distribution, Int, Tensor, activation::log_softmax};
use pref_losses::linear_log_probs::{WeightGradient, linear_log_probs, tied_linear_log_probs};
use test_support::in_own_process;

/// Largest share of what the version with logits takes beyond its inputs.
const LARGEST_SHARE: f64 = 0.15;
const CHUNK_TOKENS: usize = 64;

#[derive(Debug, Clone, Copy)]
struct Size {
    tokens: usize,
    d_model: usize,
    vocab: usize,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tokens,
            d_model,
            vocab,
        } = self;
        write!(f, "[{tokens}, {d_model}] x {vocab}")
    }
}

type LogProbs = fn(Tensor<2>, Tensor<2>, Tensor<1, Int>) -> Tensor<1>;

fn with_logits(hidden: Tensor<2>, weight: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    log_softmax(hidden.matmul(weight), 1)
        .gather(1, targets.unsqueeze_dim(1))
        .squeeze_dim(1)
}

fn in_blocks(hidden: Tensor<2>, weight: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    linear_log_probs(hidden, weight, targets, CHUNK_TOKENS)
}

fn in_blocks_tied(hidden: Tensor<2>, embedding: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    tied_linear_log_probs(
        hidden,
        embedding,
        targets,
        CHUNK_TOKENS,
        WeightGradient::OfWeight,
    )
}

/// Bytes at the peak of a forward and a backward pass: all of them, and those beyond the inputs.
#[derive(Debug, Clone, Copy)]
struct Peak {
    all: usize,
    beyond_inputs: usize,
}

fn peak(log_probs: LogProbs, size: Size, weight: [usize; 2]) -> Peak {
    let before = ALLOCATOR.current_usage();
    let device = Device::flex().autodiff();
    let spread = Distribution::Normal(0.0, 0.1);
    let hidden = Tensor::<2>::random([size.tokens, size.d_model], spread, &device).require_grad();
    let weight = Tensor::<2>::random(weight, spread, &device).require_grad();
    let words = Distribution::Uniform(0.0, size.vocab as f64);
    let targets = Tensor::<1, Int>::random([size.tokens], words, &device);
    let inputs = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let values = log_probs(hidden.clone(), weight.clone(), targets);
    let gradients = values.mean().backward();
    let peak = ALLOCATOR.peak_usage();
    assert!(hidden.grad(&gradients).is_some() && weight.grad(&gradients).is_some());
    Peak {
        all: peak - before,
        beyond_inputs: peak - inputs,
    }
}

fn compare(size: Size) {
    let Size { d_model, vocab, .. } = size;
    // Threads and their buffers come to life before anything is counted.
    let small = Size {
        tokens: 64,
        d_model: 64,
        vocab: 256,
    };
    peak(in_blocks, small, [64, 256]);
    let naive = peak(with_logits, size, [d_model, vocab]);
    let mebibytes = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    println!(
        "{size}: with logits {:.0} MiB, {:.0} beyond the inputs",
        mebibytes(naive.all),
        mebibytes(naive.beyond_inputs)
    );
    let variants: [(&str, LogProbs, [usize; 2]); 2] = [
        ("in blocks", in_blocks, [d_model, vocab]),
        ("in blocks, tied", in_blocks_tied, [vocab, d_model]),
    ];
    for (name, log_probs, weight) in variants {
        let got = peak(log_probs, size, weight);
        let share = got.all as f64 / naive.all as f64;
        let share_beyond = got.beyond_inputs as f64 / naive.beyond_inputs as f64;
        println!(
            "{size}: {name} {:.0} MiB ({:.1} %), {:.0} beyond the inputs ({:.1} %)",
            mebibytes(got.all),
            100.0 * share,
            mebibytes(got.beyond_inputs),
            100.0 * share_beyond
        );
        assert!(
            share_beyond <= LARGEST_SHARE,
            "{name} takes {share_beyond:.3} of the memory of logits; at most {LARGEST_SHARE} is allowed"
        );
    }
}

#[test]
fn blocks_take_a_small_share_of_the_memory_of_logits() {
    in_own_process(|| {
        compare(Size {
            tokens: 512,
            d_model: 64,
            vocab: 16384,
        });
    });
}

#[test]
#[ignore = "takes 2 GiB and half a minute"]
fn blocks_take_a_small_share_at_the_size_of_a_model() {
    in_own_process(|| {
        compare(Size {
            tokens: 2048,
            d_model: 576,
            vocab: 49152,
        });
    });
}
