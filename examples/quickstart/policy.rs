//! The policy: supervised fine-tuning, and what it solves.

use anyhow::Result;
use burn::tensor::Device;
use chat_model::{ChatModel, ChatRequest, Completion, Message, Sampling};
use eurus_models::{Decoder, DecoderConfig, LocalChatModel};
use eurus_train::{Event, SftTrainer, TrainingConfig, WeightDecayOn};
use token_forest::ChatTokenizer;
use ultrainteract::Verdict;
use ultrainteract_synth::{Attempt, Environment, Outcome, Problem, PythonEnvironment};

use crate::console::Stage;
use crate::corpus::Corpus;
use crate::options::Scale;
use crate::run_folder::RunFolder;

/// Longest action, in tokens.
pub const MAX_ACTION_TOKENS: usize = 128;

pub fn config(scale: &Scale, tokenizer: &ChatTokenizer) -> DecoderConfig {
    let mut config = DecoderConfig::llama(
        tokenizer.vocab_size(),
        scale.hidden_size,
        scale.layers,
        scale.heads,
    );
    config.kv_heads = scale.kv_heads;
    config.initializer_range = scale.initializer_range;
    config
}

/// Trains a fresh model on worked solutions, loss on actions only.
pub fn fine_tune(
    seed: u64,
    scale: &Scale,
    corpus: &Corpus,
    folder: &mut RunFolder,
    device: &Device,
) -> Result<Decoder> {
    let model = Decoder::init(&config(scale, &corpus.tokenizer), seed, device);
    let settings = TrainingConfig {
        learning_rate: scale.sft_learning_rate,
        epochs: scale.sft_epochs,
        trees_per_step: scale.sft_trees_per_step,
        weight_decay: 0.01,
        // As when the numbers of the guide were made.
        weight_decay_on: WeightDecayOn::All,
        beta_2: scale.sft_beta_2,
        seed,
        ..TrainingConfig::default()
    };
    let stage = Stage::start("SFT", settings.steps(corpus.sft.len()), "steps");
    let mut last = 0.0;
    let mut failed = None;
    let trained = SftTrainer::new(settings)?.train(model, &corpus.sft, &mut |event: &Event| {
        if let Some(progress) = event.progress() {
            last = progress.loss;
            let rate = progress.unique_tokens as f64 / progress.seconds;
            stage.position(
                progress.step,
                format!("loss {:.3}, {rate:.0} tokens/s", progress.loss),
            );
        }
        if let Err(error) = folder.metric("sft", event) {
            failed.get_or_insert(error);
        }
    })?;
    failed.map_or(Ok(()), Err)?;
    stage.finish(&format!("loss {last:.3} per token"));
    Ok(trained)
}

/// One turn of solving: the instruction alone.
fn request(problem: &Problem, samples: usize, sampling: Sampling) -> ChatRequest {
    ChatRequest::new([Message::user(&problem.instruction)])
        .with_samples(samples)
        .with_sampling(sampling)
}

/// A completion and what the environment says of it.
pub struct Answered {
    pub completion: Completion,
    pub outcome: Outcome,
}

impl Answered {
    pub fn is_correct(&self) -> bool {
        self.outcome.verdict == Verdict::Correct
    }
}

/// Samples solutions of every problem and tries them.
pub fn solve(
    model: &LocalChatModel,
    problems: &[Problem],
    samples: usize,
    temperature: f32,
    seed: u64,
    environment: &PythonEnvironment,
) -> Result<Vec<Vec<Answered>>> {
    let requests: Vec<ChatRequest> = problems
        .iter()
        .enumerate()
        .map(|(index, problem)| {
            let sampling = Sampling {
                temperature,
                max_tokens: MAX_ACTION_TOKENS,
                seed: seed.wrapping_mul(1_000_003).wrapping_add(index as u64),
                ..Sampling::default()
            };
            request(problem, samples, sampling)
        })
        .collect();
    let completions = model
        .complete_batch(&requests)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    let attempts: Vec<Attempt<'_>> = problems
        .iter()
        .zip(&completions)
        .flat_map(|(problem, completions)| {
            completions.iter().map(move |completion| Attempt {
                problem,
                history: &[],
                action: &completion.text,
            })
        })
        .collect();
    let mut outcomes = environment.execute(&attempts)?.into_iter();
    Ok(completions
        .into_iter()
        .map(|completions| {
            completions
                .into_iter()
                .zip(outcomes.by_ref())
                .map(|(completion, outcome)| Answered {
                    completion,
                    outcome,
                })
                .collect()
        })
        .collect())
}

/// Whether the greedy solution of each problem is right.
pub fn greedy_pass(
    model: &LocalChatModel,
    problems: &[Problem],
    environment: &PythonEnvironment,
) -> Result<Vec<bool>> {
    let answered = solve(model, problems, 1, 0.0, 0, environment)?;
    Ok(answered
        .iter()
        .map(|answers| answers.iter().all(Answered::is_correct))
        .collect())
}
