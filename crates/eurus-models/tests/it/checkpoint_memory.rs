//! Loading keeps one copy of the weights: the most memory that the process has resident more than before while it loads,
//! mapped files included, is hardly more than the weights themselves.
//!
//! `EURUS_SMOLLM2_DIR` names a folder of a real model to measure as well; `--nocapture` prints the numbers.

#![allow(clippy::print_stdout, reason = "the numbers are the result")]

use std::path::Path;

use burn::tensor::Device;
use eurus_memory::{peak_resident_bytes, reset_peak};
use eurus_models::{Checkpoint, Decoder, DecoderConfig, WeightType};
use test_support::{in_own_process, skip};

const TOLD: &str = "a system that sets the peak back tells it";

/// Largest peak, as a multiple of the float32 weights.
const LARGEST: f64 = 1.15;

/// What loading adds to the memory of the process at its peak, as a multiple of the float32 weights.
///
/// `None` where the kernel does not let the peak be set back to what is resident now.
fn measure(name: &str, folder: &Path, float32_bytes: u64) -> Option<f64> {
    if !reset_peak() {
        return None;
    }
    let before = peak_resident_bytes().expect(TOLD);
    let start = std::time::Instant::now();
    let model = Checkpoint::new(folder)
        .decoder(&Device::flex())
        .expect("loaded");
    let seconds = start.elapsed().as_secs_f64();
    let peak = peak_resident_bytes().expect(TOLD) - before;
    drop(model);
    let share = peak as f64 / float32_bytes as f64;
    println!(
        "{name}: {:.1} MB of weights in float32, peak {:.1} MB: {share:.3} x, {seconds:.2} s",
        float32_bytes as f64 / 1e6,
        peak as f64 / 1e6,
    );
    Some(share)
}

fn check(name: &str, folder: &Path, float32_bytes: u64) {
    match measure(name, folder, float32_bytes) {
        Some(share) => assert!(share < LARGEST, "{name}: {share}"),
        None => skip(format_args!(
            "{name}: /proc/self/clear_refs cannot be written here"
        )),
    }
}

#[test]
fn loading_takes_little_more_than_the_weights() {
    in_own_process(|| {
        let place = tempfile::tempdir().expect("a temporary folder");
        let mut config = DecoderConfig::llama(32_000, 512, 4, 8);
        config.max_position_embeddings = 64;
        let model = Decoder::init(&config, 3, &Device::flex());
        let d = config.hidden_size;
        let layer = d * (4 * d + 3 * config.intermediate_size + 2);
        let bytes = 4 * (d * (config.vocab_size + 1) + config.layers * layer) as u64;

        let layouts = [
            ("float32", WeightType::F32, u64::MAX),
            ("bfloat16 shards", WeightType::Bf16, 20_000_000),
            ("float16 shards", WeightType::F16, 20_000_000),
        ];
        for (name, stored, shard) in layouts {
            Checkpoint::new(place.path().join(name))
                .with_weight_type(stored)
                .with_max_shard_bytes(shard)
                .write_decoder(&model, &config)
                .expect("written");
        }
        drop(model);
        for (name, _, _) in layouts {
            check(name, &place.path().join(name), bytes);
        }

        if let Some(folder) = std::env::var_os("EURUS_SMOLLM2_DIR") {
            let folder = Path::new(&folder);
            let config = DecoderConfig::from_folder(folder).expect("a configuration");
            let (d, kv) = (config.hidden_size, config.kv_heads * config.head_dim);
            let q = config.heads * config.head_dim;
            let layer = d * (2 * q + 2 * kv + 3 * config.intermediate_size + 2);
            let bytes = 4 * (d * (config.vocab_size + 1) + config.layers * layer) as u64;
            check("EURUS_SMOLLM2_DIR", folder, bytes);
        }
    });
}
