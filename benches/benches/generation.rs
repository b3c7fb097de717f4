//! Tokens per second of a real checkpoint: one prompt, 20 samples of 128 tokens.
//!
//! `EURUS_SMOLLM2_DIR` names the folder of SmolLM2-135M-Instruct (float32). Run with
//! `cargo bench -p eurus-benches --bench generation`; `python benches/generation.py FOLDER` times
//! `transformers.generate` on the same work.

#![allow(missing_docs)] // criterion's macros make undocumented functions
#![allow(
    clippy::print_stderr,
    reason = "the reason of a skip belongs on the terminal"
)]

use std::time::Duration;

use burn::tensor::Device;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use eurus_models::Checkpoint;
use eurus_models::generate::{Flow, Generator, Prompt, SamplingParams};
use token_forest::{ChatTokenizer, Message};

const SAMPLES: usize = 20;
const NEW_TOKENS: usize = 128;
const QUESTION: &str = "A farmer has 48 apples. He sells a third of them in the morning and half of what is left in \
                        the afternoon. How many apples does he have in the evening? Reason step by step.";

fn generation(criterion: &mut Criterion) {
    let Ok(folder) = std::env::var("EURUS_SMOLLM2_DIR") else {
        eprintln!(
            "SKIPPED: no SmolLM2 checkpoint; set EURUS_SMOLLM2_DIR to the folder to run this bench"
        );
        return;
    };
    let (model, _) = Checkpoint::new(&folder)
        .decoder(&Device::flex())
        .expect("a checkpoint");
    let tokenizer = ChatTokenizer::from_folder(&folder).expect("a tokenizer");
    let tokens = tokenizer
        .encode_prompt(&[Message::user(QUESTION)])
        .expect("a prompt");
    // No stop token: every sample has all its tokens, here and there.
    let generator = Generator::new(&model, Vec::new());
    let mut group = criterion.benchmark_group("generation");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(60))
        .throughput(Throughput::Elements((SAMPLES * NEW_TOKENS) as u64));
    group.bench_function("one_prompt_20x128", |bencher| {
        bencher.iter(|| {
            let prompt = Prompt::new(tokens.clone(), SAMPLES, 1);
            let params = SamplingParams::at_temperature(1.0, NEW_TOKENS);
            generator
                .generate(&[prompt], &params, &mut |_| Flow::Continue)
                .expect("it generates")
        });
    });
    group.finish();
}

criterion_group!(benches, generation);
criterion_main!(benches);
