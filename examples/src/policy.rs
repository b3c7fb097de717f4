//! The policy: supervised fine-tuning, and what it solves.

use anyhow::Result;
use eurus_models::generate::{
    Continuation, Flow, GenerationEvent, Generator, Prompt, SamplingParams,
};
use eurus_models::{Decoder, DecoderConfig};
use eurus_train::{Event, SftTrainer, TrainingConfig, WeightDecayOn};
use token_forest::{ChatTokenizer, Message, TrainingTree};
use ultrainteract::Verdict;
use ultrainteract_synth::{Attempt, Environment, Outcome, Problem, PythonEnvironment};

use crate::Scale;
use crate::console::Stage;
use crate::run_folder::RunFolder;

/// The model's shape.
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

/// A response to imitate.
pub fn imitated(
    id: &str,
    instruction: &str,
    response: &str,
    tokenizer: &ChatTokenizer,
) -> Result<TrainingTree> {
    let messages = [Message::user(instruction), Message::assistant(response)];
    let tokens = tokenizer.encode_messages(&messages)?;
    Ok(TrainingTree::imitated(id, &tokens)?)
}

/// Trains a model on worked solutions, loss on actions only.
pub fn fine_tune(
    name: &str,
    seed: u64,
    scale: &Scale,
    model: Decoder,
    examples: &[TrainingTree],
    folder: &mut RunFolder,
) -> Result<Decoder> {
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
    let stage = Stage::start(name, settings.steps(examples.len()), "steps");
    let mut last = 0.0;
    let mut failed = None;
    let trained = SftTrainer::new(settings)?.train(model, examples, &mut |event: &Event| {
        if let Some(progress) = event.progress() {
            last = progress.loss;
            let rate = progress.unique_tokens as f64 / progress.seconds;
            stage.position(
                progress.step,
                format!("loss {:.3}, {rate:.0} tokens/s", progress.loss),
            );
        }
        if let Err(error) = folder.metric(name, event) {
            failed.get_or_insert(error);
        }
    })?;
    failed.map_or(Ok(()), Err)?;
    stage.finish(&format!("loss {last:.3} per token"));
    Ok(trained)
}

/// How a solution is written down; its first word tells which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// A plan and a program in a code block.
    Program,
    /// Numbered sentences with a boxed answer.
    Sentences,
}

impl Habit {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Program, Self::Sentences];

    const fn first_word(self) -> &'static str {
        match self {
            Self::Program => "```",
            Self::Sentences => "Step",
        }
    }

    /// What an action begins with; `None` if with neither.
    pub fn of(action: &str) -> Option<Self> {
        let is_it = |habit: &Self| action.trim_start().starts_with(habit.first_word());
        Self::ALL.into_iter().find(is_it)
    }
}

/// How solutions are drawn.
pub struct Draws {
    /// How many a problem.
    pub samples: usize,
    /// Zero takes the most likely token.
    pub temperature: f32,
    /// What is drawn depends on it and on the place of the problem.
    pub seed: u64,
    /// Longest solution, in tokens.
    pub max_tokens: usize,
    /// The habit whose first word every solution begins with; `None` leaves it to the model.
    pub habit: Option<Habit>,
}

impl Draws {
    /// The most likely solution of each problem.
    pub fn greedy(scale: &Scale) -> Self {
        Self {
            samples: 1,
            temperature: 0.0,
            seed: 0,
            max_tokens: scale.max_action_tokens,
            habit: None,
        }
    }

    /// Solutions as the policy would write them by itself.
    pub fn sampled(seed: u64, scale: &Scale, samples: usize) -> Self {
        Self {
            samples,
            temperature: 1.0,
            seed,
            ..Self::greedy(scale)
        }
    }
}

/// An action and what the environment says of it.
pub struct Answered {
    /// The text.
    pub action: String,
    /// What became of it.
    pub outcome: Outcome,
}

impl Answered {
    /// Whether it solves its problem.
    pub fn is_correct(&self) -> bool {
        self.outcome.verdict == Verdict::Correct
    }
}

/// What a policy writes after each instruction, in tokens with their log-probs at temperature 1.
fn draw<'a>(
    model: &Decoder,
    tokenizer: &ChatTokenizer,
    instructions: impl IntoIterator<Item = &'a str>,
    draws: &Draws,
) -> Result<Vec<Vec<Continuation>>> {
    let first_word = draws.habit.map_or("", Habit::first_word);
    let first_tokens = tokenizer.encode_text(first_word)?;
    let prompts = instructions
        .into_iter()
        .enumerate()
        .map(|(index, instruction)| {
            let mut tokens = tokenizer.encode_prompt(&[Message::user(instruction)])?;
            tokens.extend(&first_tokens);
            let seed = draws.seed.wrapping_mul(1_000_003);
            let seed = seed.wrapping_add(index as u64);
            Ok(Prompt::new(tokens, draws.samples, seed))
        })
        .collect::<Result<Vec<_>>>()?;
    let generator = Generator::new(model, vec![tokenizer.eos_id()]);
    let params = SamplingParams::at_temperature(draws.temperature, draws.max_tokens);
    let stage = Stage::start("Writing", prompts.len() * draws.samples, "begun");
    let (mut begun, mut tokens) = (0, 0);
    let drawn = generator.generate(&prompts, &params, &mut |event| {
        if let GenerationEvent::Token { tokens: so_far, .. } = event {
            begun += usize::from(so_far.len() == 1);
            tokens += 1;
            if tokens % 64 == 0 {
                stage.position(begun, format!("{tokens} tokens"));
            }
        }
        Flow::Continue
    });
    stage.clear();
    Ok(drawn?)
}

/// How undecided a policy is, in nats for a whole solution: the mean of minus the log-prob of what it draws.
pub fn entropy(
    model: &Decoder,
    tokenizer: &ChatTokenizer,
    problems: &[Problem],
    seed: u64,
    scale: &Scale,
) -> Result<f64> {
    let draws = Draws::sampled(seed, scale, 4);
    let instructions = problems.iter().map(|problem| &*problem.instruction);
    let drawn = draw(model, tokenizer, instructions, &draws)?;
    let surprises = drawn.iter().flatten().map(|solution| {
        let log_prob: f32 = solution.log_probs.iter().sum();
        -f64::from(log_prob)
    });
    Ok(surprises.sum::<f64>() / (problems.len() * draws.samples).max(1) as f64)
}

/// What a policy writes after each instruction.
pub fn write(
    model: &Decoder,
    tokenizer: &ChatTokenizer,
    instructions: &[&str],
    draws: &Draws,
) -> Result<Vec<Vec<String>>> {
    let first_word = draws.habit.map_or("", Habit::first_word);
    let text = |it: &Continuation| -> Result<String> {
        Ok(format!("{first_word}{}", tokenizer.decode(&it.tokens)?))
    };
    draw(model, tokenizer, instructions.iter().copied(), draws)?
        .iter()
        .map(|samples| samples.iter().map(text).collect())
        .collect()
}

/// Draws solutions of every problem from its instruction alone, and tries them.
pub fn solve(
    model: &Decoder,
    tokenizer: &ChatTokenizer,
    problems: &[Problem],
    draws: &Draws,
    environment: &PythonEnvironment,
) -> Result<Vec<Vec<Answered>>> {
    let instructions: Vec<&str> = problems.iter().map(|it| &*it.instruction).collect();
    let actions = write(model, tokenizer, &instructions, draws)?;
    let attempts: Vec<Attempt<'_>> = problems
        .iter()
        .zip(&actions)
        .flat_map(|(problem, actions)| {
            actions.iter().map(move |action| Attempt {
                problem,
                history: &[],
                action,
            })
        })
        .collect();
    let mut outcomes = environment.execute(&attempts)?.into_iter();
    Ok(actions
        .into_iter()
        .map(|actions| {
            let pairs = actions.into_iter().zip(outcomes.by_ref());
            let answered = pairs.map(|(action, outcome)| Answered { action, outcome });
            answered.collect()
        })
        .collect())
}

/// Share of the problems that a policy's greedy solutions solve.
pub fn solved(
    model: &Decoder,
    tokenizer: &ChatTokenizer,
    problems: &[Problem],
    scale: &Scale,
    environment: &PythonEnvironment,
) -> Result<f64> {
    let answered = solve(
        model,
        tokenizer,
        problems,
        &Draws::greedy(scale),
        environment,
    )?;
    let right = answered.iter().flatten().filter(|it| it.is_correct());
    Ok(right.count() as f64 / problems.len().max(1) as f64)
}
