//! A tiny model, and trees to train it on.

use burn::tensor::Device;
use eurus_models::{Decoder, DecoderConfig};
use eurus_train::{NodePair, PairedTree};
use token_forest::TokenTree;

pub fn model(seed: u64) -> Decoder {
    let mut config = DecoderConfig::llama(32, 24, 2, 4);
    config.initializer_range = 0.2;
    Decoder::init(&config, seed, &Device::flex())
}

/// Trees of two turns: two pairs, the first rejected action expanded.
pub fn trees(count: u32) -> Vec<PairedTree> {
    (0..count)
        .map(|i| {
            let token = |offset: u32| 1 + (7 * i + offset) % 30;
            let mut tree = TokenTree::new(vec![token(0), token(3), 31], false);
            let chosen = tree.push(0, vec![token(1), token(4), 0], true);
            let rejected = tree.push(0, vec![token(2), 0], true);
            let observation = tree.push(rejected, vec![token(9), token(8), 31], false);
            let second_chosen = tree.push(observation, vec![token(1), token(5), token(6), 0], true);
            let second_rejected = tree.push(observation, vec![token(2), token(2), 0], true);
            tree.push(observation, vec![token(13), 0], true);
            let pairs = [
                NodePair { chosen, rejected },
                NodePair {
                    chosen: second_chosen,
                    rejected: second_rejected,
                },
            ];
            PairedTree::new(format!("tree-{i}"), &tree, &pairs).expect("whole trees")
        })
        .collect()
}
