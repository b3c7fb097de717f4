//! Tokens per second of a checkpoint beside another program: does one piece of work for every line that comes in.
//!
//! `generation_speed FOLDER [exact|bf16|int8]` reads lines `PROMPTS SAMPLES NEW_TOKENS` and answers each with the seconds it took
//! and a sum over the tokens that were drawn. The word says how weights are kept. `benches/generation.py` asks it in turn with `transformers.generate`.

#![allow(
    clippy::print_stdout,
    reason = "the answers are what the program is for"
)]

use std::io::{BufRead, Write};
use std::time::Instant;

use burn::tensor::Device;
use eurus_models::Checkpoint;
use eurus_models::generate::{DecodeWeights, Flow, Generator, Prompt, SamplingParams};
use token_forest::{ChatTokenizer, Message};

const QUESTION: &str = "A farmer has 48 apples. He sells a third of them in the morning and half of what is left in \
                        the afternoon. How many apples does he have in the evening? Reason step by step.";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args()
        .nth(1)
        .ok_or("the folder of a checkpoint")?;
    let (model, _) = Checkpoint::new(&folder).decoder(&Device::flex())?;
    let tokenizer = ChatTokenizer::from_folder(&folder)?;
    let tokens = tokenizer.encode_prompt(&[Message::user(QUESTION)])?;
    // No stop token: every sample has all its tokens, here and there.
    let weights = match std::env::args().nth(2).as_deref() {
        None | Some("exact") => DecodeWeights::Exact,
        Some("bf16") => DecodeWeights::Bf16,
        Some("int8") => DecodeWeights::Int8,
        Some(other) => return Err(format!("`{other}` is not exact, bf16 or int8").into()),
    };
    let generator = Generator::with_weights(model, weights, Vec::new())?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let numbers: Vec<usize> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let &[prompts, samples, new_tokens] = numbers.as_slice() else {
            return Err("three numbers a line".into());
        };
        let prompts: Vec<Prompt> = (0..prompts)
            .map(|prompt| Prompt::new(tokens.clone(), samples, prompt as u64))
            .collect();
        let params = SamplingParams::at_temperature(1.0, new_tokens);
        let started = Instant::now();
        let drawn = generator.generate(&prompts, &params, &mut |_| Flow::Continue)?;
        let seconds = started.elapsed().as_secs_f64();
        let sum: u64 = drawn
            .iter()
            .flatten()
            .flat_map(|continuation| &continuation.tokens)
            .map(|&token| u64::from(token))
            .sum();
        println!("{seconds} {sum}");
        std::io::stdout().flush()?;
    }
    Ok(())
}
