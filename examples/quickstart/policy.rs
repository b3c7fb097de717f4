//! The policy: supervised fine-tuning, and what it solves.

use anyhow::Result;
use burn::tensor::Device;
use chat_model::{ChatModel, ChatRequest, Completion, Message, Sampling};
use eurus_models::generate::{Flow, Generator, Prompt, SamplingParams};
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
        // Of norms too: the other settings were chosen with it.
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

/// How a solution is written down; its first word tells which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    Program,
    Sentences,
}

impl Habit {
    pub const ALL: [Self; 2] = [Self::Program, Self::Sentences];

    const fn first_word(self) -> &'static str {
        match self {
            Self::Program => "```",
            Self::Sentences => "Step",
        }
    }

    pub fn of(action: &str) -> Option<Self> {
        let is_it = |habit: &Self| action.trim_start().starts_with(habit.first_word());
        Self::ALL.into_iter().find(is_it)
    }
}

/// A solution and what the environment says of it.
pub struct Solved {
    pub action: String,
    pub outcome: Outcome,
}

impl Solved {
    pub fn is_correct(&self) -> bool {
        self.outcome.verdict == Verdict::Correct
    }
}

/// The most likely solution of each problem, of all or of those that begin with the first word of a habit.
pub fn greedy(
    model: &Decoder,
    tokenizer: &ChatTokenizer,
    problems: &[Problem],
    habit: Option<Habit>,
    environment: &PythonEnvironment,
) -> Result<Vec<Solved>> {
    let first_word = habit.map_or("", Habit::first_word);
    let first_tokens = tokenizer.encode_text(first_word)?;
    let prompts = problems
        .iter()
        .map(|problem| {
            let mut tokens =
                tokenizer.encode_prompt(&[token_forest::Message::user(&problem.instruction)])?;
            tokens.extend(&first_tokens);
            Ok(Prompt {
                tokens,
                samples: 1,
                seed: 0,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let generator = Generator::new(model, vec![tokenizer.eos_id()]);
    let params = SamplingParams::greedy(MAX_ACTION_TOKENS);
    let continuations = generator.generate(&prompts, &params, &mut |_| Flow::Continue)?;
    let actions = continuations
        .iter()
        .flatten()
        .map(|it| Ok(format!("{first_word}{}", tokenizer.decode(&it.tokens)?)))
        .collect::<Result<Vec<_>>>()?;
    let attempts: Vec<Attempt<'_>> = problems
        .iter()
        .zip(&actions)
        .map(|(problem, action)| Attempt {
            problem,
            history: &[],
            action,
        })
        .collect();
    let outcomes = environment.execute(&attempts)?;
    Ok(actions
        .into_iter()
        .zip(outcomes)
        .map(|(action, outcome)| Solved { action, outcome })
        .collect())
}
