//! Gradients of a step in bfloat16 are summed in float32 where they are computed: a step of many forests takes no more memory than
//! one of a single forest, but for the gradient of the largest weight.

#![allow(clippy::print_stdout)]

use crate::ALLOCATOR;
use burn::tensor::Device;
use eurus_models::{Decoder, DecoderConfig};
use eurus_train::{Precision, SftTrainer, TrainingConfig};
use test_support::in_own_process;
use token_forest::{Group, TokenTree, TrainingTree};

const TREES: usize = 4;
const TOKENS: usize = 8;

/// A model whose weights are nearly all that there is.
fn config() -> DecoderConfig {
    DecoderConfig {
        intermediate_size: 512,
        tie_word_embeddings: true,
        ..DecoderConfig::llama(64, 256, 6, 4)
    }
}

/// Trees of two nodes.
fn trees() -> Vec<TrainingTree> {
    let tree = |index: usize| {
        let token = |place: usize| (7 * index + 3 * place) as u32 % 64;
        let tokens: Vec<u32> = (0..TOKENS / 2).map(token).collect();
        let mut tree = TokenTree::new(tokens.clone(), false);
        let action = tree.push(0, tokens, true);
        let groups = vec![Group::imitated(action)];
        TrainingTree::new(index.to_string(), &tree, groups).expect("a tree")
    };
    (0..TREES).map(tree).collect()
}

/// Bytes at the peak of a run of two steps: in the second one the optimizer's moments are there.
fn peak(token_budget: usize) -> usize {
    let settings = TrainingConfig {
        trees_per_step: TREES,
        epochs: 2,
        token_budget,
        max_path_tokens: token_budget,
        precision: Precision::Bf16,
        ..TrainingConfig::default()
    };
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let model = Decoder::init(&config(), 0, &Device::flex());
    SftTrainer::new(settings)
        .expect("valid settings")
        .train(model, &trees(), &mut |_| {})
        .expect("training");
    ALLOCATOR.peak_usage() - before
}

#[test]
fn many_forests_of_a_step_take_no_second_gradient_of_the_model() {
    in_own_process(|| {
        // Threads and their buffers come to life before anything is counted.
        peak(TOKENS);
        let [one, many] = [TREES * TOKENS, TOKENS].map(peak);
        let parameters = config().parameters();
        println!("one forest {one}, {TREES} forests {many}, {parameters} parameters");
        assert!(
            many < one + parameters / 2,
            "{TREES} forests take {many} bytes, one takes {one}; {parameters} parameters"
        );
    });
}
