//! Tokens per second of generation with random weights: prompts with several samples each, all of the same length.
//!
//! One JSON line a run. On a driver that keeps the books, runs of several lengths and depths say what one token and layer ask
//! of it: `tools/null-cuda/decode.py`.
//!
//! `cargo bench -p eurus-benches --bench decode -- --prompts 2 --samples 8`

#![allow(
    clippy::print_stdout,
    reason = "the result of a run goes to standard output"
)]

#[path = "train_step/shapes.rs"]
mod shapes;

use std::time::Instant;

use anyhow::Result;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor};
use clap::Parser;
use eurus_benches::device;
use eurus_models::Decoder;
use eurus_models::generate::{Flow, GenerationEvent, Generator, Prompt, SamplingParams};
use serde_json::json;

use shapes::Shape;

/// Times the continuation of prompts.
#[derive(Parser)]
struct Options {
    /// Shape of the model
    #[arg(long, value_enum, default_value = "smollm2-135m")]
    shape: Shape,
    /// Token ids of the model, if not those of its shape
    #[arg(long)]
    vocab: Option<usize>,
    /// Layers of the model, if not those of its shape
    #[arg(long)]
    layers: Option<usize>,
    /// Prompts that are continued together
    #[arg(long, default_value_t = 1)]
    prompts: usize,
    /// Tokens of each
    #[arg(long, default_value_t = 128)]
    prompt_tokens: usize,
    /// Continuations of each
    #[arg(long, default_value_t = 8)]
    samples: usize,
    /// Tokens of each continuation
    #[arg(long, default_value_t = 64)]
    new_tokens: usize,
    /// 0 takes the likeliest token
    #[arg(long, default_value_t = 0.0)]
    temperature: f32,
    /// Keep the likeliest tokens whose probabilities add up to this
    #[arg(long, default_value_t = 1.0)]
    top_p: f32,
    /// Compute in bfloat16
    #[arg(long)]
    bf16: bool,
    /// Where to compute: cpu, or cuda in a build with that feature
    #[arg(long, default_value = "cpu", value_parser = device)]
    device: Device,
    /// Set by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// Rounds parameters to bfloat16.
struct Narrow;

impl ModuleMapper for Narrow {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        Param::from_mapped_value(id, tensor.cast(DType::BF16), mapper)
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mut config = options.shape.config(options.vocab);
    config.layers = options.layers.unwrap_or(config.layers);
    let mut model = Decoder::init(&config, 0, &options.device);
    if options.bf16 {
        model = model.map(&mut Narrow);
    }
    let prompts: Vec<Prompt> = (0..options.prompts)
        .map(|prompt| {
            let token = |place: usize| ((31 * prompt + 7 * place) % config.vocab_size) as u32;
            let tokens = (0..options.prompt_tokens).map(token).collect();
            Prompt::new(tokens, options.samples, prompt as u64)
        })
        .collect();
    let params = SamplingParams {
        top_p: options.top_p,
        ..SamplingParams::at_temperature(options.temperature, options.new_tokens)
    };
    let generator = Generator::new(&model, Vec::new());
    let started = Instant::now();
    let mut first = None;
    generator.generate(&prompts, &params, &mut |event| {
        if let GenerationEvent::Token { .. } = event {
            first.get_or_insert_with(|| started.elapsed().as_secs_f64());
        }
        Flow::Continue
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let rows = options.prompts * options.samples;
    let prefill = first.unwrap_or(seconds);
    let after = rows * (options.new_tokens - 1);
    println!(
        "{}",
        json!({
            "layers": config.layers,
            "rows": rows,
            "new_tokens": options.new_tokens,
            "prefill_s": prefill,
            "decode_s": seconds - prefill,
            "tokens_per_s": after as f64 / (seconds - prefill).max(1e-9),
        })
    );
    Ok(())
}
