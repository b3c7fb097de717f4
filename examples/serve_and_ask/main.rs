//! A tiny model is served over HTTP and asked by a client, as any other server is.
//!
//! You will see what it answers, that the answers over HTTP are those of the model in this process from the same seed, how many
//! tokens a second eight clients get at once and one after another, and the numbers that the server counts meanwhile. It takes some
//! seconds.
//!
//! The same from the command line: `eurus serve --model DIR`, then `eurus chat --model http://127.0.0.1:8080/v1`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use chat_model::{
    ChatModel, ChatRequest, Completion, Message, OpenAiClient, OpenAiConfig, Piece, Sampling,
};
use clap::Parser;
use eurus_models::{Decoder, DecoderConfig, LocalChatModel};
use eurus_serve::{ServeConfig, Served, Server};
use token_forest::{ChatTokenizer, train_bpe};

/// Serves a tiny model and asks it.
#[derive(Parser, Debug)]
#[command(
    name = "serve_and_ask",
    after_help = "Examples:\n  cargo run --release --example serve_and_ask"
)]
struct Arguments {
    /// Tokens of an answer
    #[arg(long, value_name = "N", default_value_t = 64)]
    max_tokens: usize,
}

/// Clients that ask at once.
const CLIENTS: u64 = 8;

#[allow(clippy::print_stdout, reason = "an example shows what it did")]
fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let model = model()?;
    let request = |seed| {
        let asked = ChatRequest::new([Message::user("one two three")]);
        asked.with_samples(2).with_sampling(Sampling {
            max_tokens: arguments.max_tokens,
            seed,
            ..Sampling::default()
        })
    };
    let here = model.complete(&request(1))?;

    // A port that is free, and a flag that ends the server.
    let server = Server::bind("127.0.0.1", 0)?;
    let url = format!("http://{}", server.address());
    let ending = Arc::new(AtomicBool::new(false));
    let flag = ending.clone();
    let serving = std::thread::spawn(move || {
        server.run(
            Served::Chat(Box::new(model)),
            ServeConfig::new("tiny"),
            flag,
        )
    });
    let client = OpenAiClient::new(OpenAiConfig::new(format!("{url}/v1"), "tiny"))?;

    println!("an answer at {url}, piece by piece:");
    let mut pieces = 0;
    let there = client.stream(&request(1), &mut |piece| {
        if let Piece::Text { sample: 0, text } = piece {
            pieces += 1;
            print!("{}|", text.escape_debug());
        }
    })?;
    println!("\n{pieces} pieces");
    ensure!(
        texts(&there) == texts(&here),
        "the same seed, other answers"
    );
    println!("both answers are those of the model in this process, from the same seed");

    let before = client.usage().completion_tokens;
    let alone = Instant::now();
    let mut one_by_one = Vec::new();
    for seed in 0..CLIENTS {
        one_by_one.push(texts(&client.complete(&request(seed))?));
    }
    let alone = alone.elapsed().as_secs_f64();
    let together = Instant::now();
    let at_once = std::thread::scope(|scope| {
        let mut asking = Vec::new();
        for seed in 0..CLIENTS {
            let (client, request) = (&client, request(seed));
            asking.push(scope.spawn(move || client.complete(&request)));
        }
        let answers = asking.into_iter().map(|it| it.join().ok());
        answers.collect::<Option<Vec<_>>>()
    });
    let together = together.elapsed().as_secs_f64();
    for (one, at_once) in one_by_one.iter().zip(at_once.context("a thread ended")?) {
        ensure!(*one == texts(&at_once?), "company changes nothing");
    }
    let tokens = (client.usage().completion_tokens - before) as f64 / 2.0;
    println!(
        "{CLIENTS} clients: {:.0} tokens/s one after another, {:.0} at once, and the same answers",
        tokens / alone,
        tokens / together
    );

    ending.store(true, Ordering::Relaxed);
    serving.join().ok().context("the server panicked")??;
    println!("the server has ended in order");
    Ok(())
}

/// A model with random weights: what it says means nothing, and is always the same.
fn model() -> Result<LocalChatModel> {
    let texts = ["one two three four five six seven eight nine ten"];
    let bpe = train_bpe(texts, 320, &["<|im_start|>", "<|im_end|>"])?;
    let tokenizer = ChatTokenizer::from_files(bpe.files()?)?;
    let config = DecoderConfig::llama(tokenizer.vocab_size(), 256, 6, 4);
    let decoder = Decoder::init(&config, 1, &Device::flex());
    Ok(LocalChatModel::new("tiny", &decoder, tokenizer))
}

fn texts(completions: &[Completion]) -> Vec<String> {
    completions.iter().map(|it| it.text.clone()).collect()
}
