//! What the steps of a recipe cost, by the shape of its model and what is known of its data.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use clap::Parser;
use eurus::burn::tensor::Device as Tensors;
use eurus::eval::tasks::Task;
use eurus::losses::Needs;
use eurus::models::DecoderConfig;
use eurus::models::generate::DEFAULT_MAX_ROWS;
use eurus::recipes::options::EvalOptions;
use eurus::recipes::{Counts, Mixture, Places, Recipe, Stage};
use eurus::train::plan::{Costs, Machine, Memory, Objective, Work};
use serde::Serialize;

use super::devices::Device;
use super::shape::{self, base, count};
use crate::options::DeviceName;
use crate::plan::{Time, matmul_flops_per_second};
use crate::{Cli, Command, Training};

/// Share of the tokens that are of actions, which are predicted.
const TARGETS: f64 = 0.5;
/// Tokens of a benchmark's prompt.
const PROMPT: usize = 500;
/// Bytes of a number of a key, a value or a weight while answers are written.
const NUMBER: usize = 4;

/// What a step is expected to cost.
#[derive(Debug, Serialize)]
pub struct StageCost {
    pub step: String,
    /// The command that does it.
    pub command: String,
    /// Rows of its data, or answers that are asked for.
    pub rows: u64,
    /// Problems of its data, or items of its benchmark.
    pub trees: u64,
    pub steps: Option<u64>,
    /// Tokens that go through the model with gradients, or at most are written.
    pub tokens: u64,
    pub parameters: u64,
    pub memory: Memory,
    pub operations: f64,
    /// On this machine, at the share of its speed that training reaches.
    pub seconds_here: f64,
    /// By the names of the devices; no answer where nobody knows their memory.
    pub fits: BTreeMap<String, Option<bool>>,
    /// Why it fits on none of them.
    pub fits_nowhere: Option<String>,
}

/// Costs of all steps that compute, and what of them is estimated.
pub fn of(
    recipe: &Recipe,
    places: &Places,
    devices: &[Device],
) -> Result<(Vec<StageCost>, Vec<String>)> {
    let config = shape::of(recipe)?;
    let speed = matmul_flops_per_second(&Tensors::flex(), &probe())?;
    let mut notes = vec![
        format!(
            "the shape of the model is {}",
            if Path::new(base(recipe)).is_dir() { "that of its folder" } else { "what the recipe says of it" }
        ),
        "trees, rows and tokens are counted by published_rows, published_problems and tokens_per_problem of the recipe; \
         rows that are too long or cannot be used are not known"
            .to_owned(),
        format!("{:.0} % of the tokens are taken to be of actions", 100.0 * TARGETS),
        "memory and time are estimates as those of `eurus plan`, with a forest as large as the token budget".to_owned(),
    ];
    let mut stages = Vec::new();
    for step in recipe.steps(places) {
        let words = step.work.words();
        let mixture = mixture(recipe, step.stage);
        let cost = match (parsed(words), mixture) {
            (Some(Command::Train(training)), Some(mixture)) => {
                let (counts, unknown) = mixture.counts();
                for source in unknown {
                    notes.push(format!(
                        "{}: how much source `{source}` has is unknown, and it is not counted; give published_rows and tokens_per_problem",
                        step.stage
                    ));
                }
                Some(training_cost(&training, &config, counts)?)
            }
            (_, _) if step.stage == Stage::Eval => {
                let options = recipe.file().eval.as_ref();
                let task = words.windows(2).find(|pair| pair[0] == "--task");
                let task = task.and_then(|pair| Task::built_in(&pair[1]).ok());
                match (options, task) {
                    (Some(options), Some(task)) => {
                        let made = recipe.file().practice.as_ref();
                        let items = match made {
                            Some(made) => made.held_out.unwrap_or(20),
                            None => task.file().data.items.unwrap_or_default() as u64,
                        };
                        Some(answers(&config, options, &task, items))
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        let Some(cost) = cost else { continue };
        stages.push(cost.of_step(&step.name, words, devices, speed));
    }
    if stages.iter().any(|it| it.command == "eval run") {
        notes.push(format!(
            "benchmarks: items as published, prompts of {PROMPT} tokens, no answer ends before it must; --max-rows takes less memory"
        ));
    }
    Ok((stages, notes))
}

/// A shape whose products tell the speed of this machine in a second or two.
fn probe() -> DecoderConfig {
    DecoderConfig::llama(32, 1024, 1, 8)
}

fn mixture(recipe: &Recipe, stage: Stage) -> Option<&Mixture> {
    let data = &recipe.file().data;
    match stage {
        Stage::Sft => data.sft.as_ref(),
        Stage::Preference => data.preference.as_ref(),
        Stage::Reward => data.reward.as_ref(),
        _ => None,
    }
}

/// The command of a step, with the defaults of its options.
fn parsed(words: &[String]) -> Option<Command> {
    let line = std::iter::once("eurus").chain(words.iter().map(String::as_str));
    Cli::try_parse_from(line).ok().map(|cli| cli.command)
}

/// A cost that no device has been looked at for.
struct Cost {
    counts: Counts,
    steps: Option<u64>,
    tokens: f64,
    memory: Memory,
    operations: f64,
    /// Bytes on this machine's CPU.
    on_cpu: usize,
    /// Bytes on a GPU, if there is a way to compute it there.
    on_gpu: Option<usize>,
    /// What of the memory every device has to have, however many there are.
    whole_on_each: usize,
}

fn training_cost(training: &Training, config: &DecoderConfig, counts: Counts) -> Result<Cost> {
    let (adapters, needs, objective) = match training {
        Training::Sft(run) => (&run.adapters, Needs::default(), Objective::LanguageModel),
        Training::Prefer(run) => (
            &run.adapters,
            run.learns_from()?.1,
            Objective::LanguageModel,
        ),
        Training::Reward(run) => (&run.adapters, Needs::default(), Objective::Reward),
    };
    let settings = training.steps().training();
    settings.validate().context("an option of the recipe")?;
    let adapters = adapters.config();
    let machine = match training.steps().device {
        DeviceName::Cuda | DeviceName::Wgpu => Machine::Gpu,
        DeviceName::Cpu | DeviceName::Tch => Machine::Cpu,
    };
    let costs = Costs::new(config, &settings, adapters.as_ref(), objective).on(machine);
    let path = counts.longest.min(settings.max_path_tokens as f64);
    let work = |tokens: f64| Work {
        tokens: tokens as usize,
        targets: (TARGETS * tokens) as usize,
        keys: (tokens * path / 2.0) as usize,
        keys_in_window: (tokens * path.min(config.sliding_window.map_or(path, |it| it as f64))
            / 2.0) as usize,
    };
    let trees = counts.problems.ceil();
    let of_epochs = settings.epochs as f64 * counts.tokens;
    let all_steps = match settings.forests_per_step {
        Some(forests) => (of_epochs / (forests * settings.token_budget).max(1) as f64).ceil(),
        None => settings.epochs as f64 * (trees / settings.trees_per_step.max(1) as f64).ceil(),
    };
    let steps = settings
        .max_steps
        .map_or(all_steps, |most| all_steps.min(most as f64));
    let trained = of_epochs * steps / all_steps.max(1.0);
    let mut operations = costs.training(work(trained));
    if needs.reference {
        operations += costs.forward(work(counts.tokens));
    }
    if needs.kl {
        // A mismatched response for each, which is scored alone.
        operations += costs.forward(work(trained));
    }
    let largest = Work {
        targets: settings.token_budget,
        ..work(settings.token_budget as f64)
    };
    let memory_of = |costs: &Costs<'_>| {
        let mut memory = Memory::estimate(costs, largest, settings.log_prob_chunk);
        if needs.reference {
            memory.add_own_reference(costs, largest);
        }
        memory
    };
    let memory = memory_of(&costs);
    Ok(Cost {
        on_cpu: memory_of(&costs.on(Machine::Cpu)).total,
        on_gpu: Some(memory_of(&costs.on(Machine::Gpu)).total),
        counts,
        steps: Some(steps as u64),
        tokens: trained,
        whole_on_each: memory.weights + memory.gradients,
        memory,
        operations,
    })
}

fn answers(config: &DecoderConfig, options: &EvalOptions, task: &Task, items: u64) -> Cost {
    let names = task.settings();
    let settings: Vec<Task> = match names.is_empty() {
        true => vec![task.clone()],
        false => names
            .iter()
            .filter_map(|name| task.with_setting(name).ok())
            .collect(),
    };
    let one = |name: &Task| {
        options
            .setting
            .as_deref()
            .is_none_or(|it| name.setting() == Some(it))
    };
    let settings: Vec<Task> = settings.into_iter().filter(one).collect();
    let items = options.limit.map_or(items, |limit| limit.min(items));
    let answers = items * options.samples.unwrap_or(1);
    let longest = settings.iter().map(|it| it.decoding().max_tokens).max();
    let longest = longest.unwrap_or_default().min(config.context_length());
    let written: f64 = settings
        .iter()
        .map(|it| answers as f64 * it.decoding().max_tokens.min(longest) as f64)
        .sum();
    let rows = count(
        options
            .max_rows
            .unwrap_or(DEFAULT_MAX_ROWS as u64)
            .min(answers),
    );
    let parameters = config.parameters();
    let bytes = match options.weights.as_deref() {
        Some("bf16") => 2,
        Some("int8") => 1,
        _ => NUMBER,
    };
    let weights = bytes * parameters;
    let cached = NUMBER * config.cached_per_token() * rows * (PROMPT + longest);
    let prompts = (settings.len() as f64) * items as f64 * PROMPT as f64;
    let cached_and_logits = cached + NUMBER * rows * config.vocab_size;
    Cost {
        counts: Counts {
            rows: answers as f64,
            problems: items as f64,
            ..Counts::default()
        },
        steps: None,
        tokens: written,
        operations: 2.0 * parameters as f64 * (written + prompts),
        memory: Memory {
            parameters,
            trained_parameters: 0,
            weights,
            moments: 0,
            gradients: 0,
            activations: 0,
            logits: NUMBER * rows * config.vocab_size,
            reference: 0,
            evaluation: cached,
            total: weights + cached_and_logits,
        },
        whole_on_each: weights,
        on_cpu: weights + cached_and_logits,
        // Weights are rounded for a CPU alone.
        on_gpu: (bytes == NUMBER).then_some(weights + cached_and_logits),
    }
}

impl Cost {
    fn of_step(self, step: &str, words: &[String], devices: &[Device], speed: f64) -> StageCost {
        let fits = |device: &Device| {
            let total = match device.name.starts_with("GPU") {
                true => self.on_gpu,
                false => Some(self.on_cpu),
            };
            match total {
                None => Some(false),
                Some(total) => device.bytes.map(|bytes| total as u64 <= bytes),
            }
        };
        let fits: BTreeMap<String, Option<bool>> = devices
            .iter()
            .map(|device| (device.name.clone(), fits(device)))
            .collect();
        let nowhere = fits.values().all(|fits| *fits == Some(false));
        let command: Vec<&str> = words.iter().take(2).map(String::as_str).collect();
        let command = match command.as_slice() {
            ["eval", which] => format!("eval {which}"),
            [first, ..] => (*first).to_owned(),
            [] => String::new(),
        };
        StageCost {
            fits_nowhere: nowhere.then(|| self.why_nowhere()),
            step: step.to_owned(),
            command,
            rows: self.counts.rows as u64,
            trees: self.counts.problems.ceil() as u64,
            steps: self.steps,
            tokens: self.tokens as u64,
            parameters: self.memory.parameters as u64,
            operations: self.operations,
            seconds_here: Time::at(self.operations, speed).seconds,
            memory: self.memory,
            fits,
        }
    }

    fn why_nowhere(&self) -> String {
        let gb = |bytes: usize| format!("{:.1} GB", bytes as f64 / 1e9);
        let memory = &self.memory;
        // Answers are no training.
        if self.steps.is_none() {
            return format!(
                "answers take weights of {}, and keys and values of {} for all that are written at once; fewer at once (max_rows) take \
                 less, and on a CPU so do rounded weights (weights)",
                gb(memory.weights),
                gb(memory.evaluation)
            );
        }
        format!(
            "it needs {}: weights {}, moments {}, gradients {}, activations {}, logits {}. Several GPUs share the moments alone: weights and gradients, {}, are whole on each",
            gb(memory.total),
            gb(memory.weights),
            gb(memory.moments),
            gb(memory.gradients),
            gb(memory.activations),
            gb(memory.logits),
            gb(self.whole_on_each)
        )
    }
}
