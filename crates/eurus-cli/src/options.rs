//! The options that all commands share.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use eurus::data::formats::Format;
use eurus::forest::OverLong;
use eurus::models::{MAX_SHARD_BYTES, WeightType};
use eurus::train::{
    Decay, NotFinitePolicy, Optimizer, Precision, Snapshots, TrainingConfig, WeightDecayOn,
};

use crate::score_by::ScoreBy;

/// The model and data to read, and where the result goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub struct Files {
    /// Checkpoint folder in the Hugging Face layout (Llama, Mistral, Mixtral or Qwen architecture): config.json,
    /// model.safetensors or shards, tokenizer.json, tokenizer_config.json. What is no folder is looked for on the hub as
    /// organization/name or organization/name@revision, and kept in the cache of Hugging Face's tools; HF_ENDPOINT,
    /// HF_HOME, HF_TOKEN and HF_HUB_OFFLINE are honored. An adapter folder of PEFT is merged into the base that it names
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,

    /// What lies there, once it has been looked at
    #[arg(skip)]
    pub found: Found,

    /// Files to train on, or patterns of them: JSON lines, a JSON array, Parquet or Arrow, compressed or not, in any format that
    /// `eurus data` reads. What is not here is looked for on the hub as organization/name, organization/name@revision, or one of
    /// these with /file behind it, and kept where models are
    #[arg(long, value_name = "FILES", num_args = 1.., required = true)]
    pub data: Vec<String>,

    /// Folder for the trained checkpoint; written whole or not at all
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// Replace --out if it is there and holds a checkpoint
    #[arg(long)]
    pub overwrite: bool,

    /// Number type of the written weights; the weights that are trained are float32 either way [default: that of --model]
    #[arg(long, value_enum)]
    pub weight_type: Option<WeightType>,

    /// Write weights beyond this many bytes to several files with an index
    #[arg(long, value_name = "N", default_value_t = MAX_SHARD_BYTES)]
    pub max_shard_bytes: u64,

    /// File for the events of the run as JSON lines [default: metrics.jsonl in --out]
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,

    /// Folder for the numbers of the run as TensorBoard reads them, written while it goes on
    #[arg(long, value_name = "DIR")]
    pub tensorboard: Option<PathBuf>,
}

/// What `--model` names.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The folder of adapters that are merged into the model, which is their base then.
    pub adapter: Option<PathBuf>,
    pub wanted: WantedModel,
}

/// What a command starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WantedModel {
    #[default]
    LanguageModel,
    /// A reward model, or a body to make one of.
    RewardModel,
}

/// The state of the run on disk, to go on from after an interruption.
#[derive(Debug, Args)]
#[command(next_help_heading = "Snapshots")]
pub struct SnapshotOptions {
    /// Save weights, optimizer and metrics after every so many steps and at the end. With or without it, Ctrl-C and SIGTERM
    /// save the state before the run ends, and --keep-best every new best
    #[arg(long, value_name = "STEPS", value_parser = at_least_one)]
    pub snapshot_every: Option<usize>,

    /// Snapshots to keep, the newest ones; that of the best evaluation stays with --keep-best
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = at_least_one)]
    pub snapshots_keep: usize,

    /// Folder of the snapshots [default: --out with .snapshots at its end]
    #[arg(long, value_name = "DIR")]
    pub snapshots: Option<PathBuf>,

    /// Go on from the newest whole snapshot, with the same options and data; the rest of the run is what it would have
    /// been. Starts from the beginning if there is none
    #[arg(long)]
    pub resume: bool,

    /// Go on from the last snapshot of a finished run to more --epochs or --max-steps than it had; its other options must be
    /// the same. Steps that are left get the learning rates that they have in a run of the new length: after a decay to 0 the
    /// rate rises again, without a warm-up
    #[arg(long)]
    pub extend: bool,
}

impl SnapshotOptions {
    /// The snapshots for the trainers. Without --snapshot-every there are some only if the run ends before its last step, or keeps
    /// its best.
    pub fn snapshots(&self, out: &Path) -> Snapshots {
        let folder = self.snapshots.clone().unwrap_or_else(|| {
            let mut name = out.as_os_str().to_owned();
            name.push(".snapshots");
            name.into()
        });
        Snapshots::new(folder)
            .with_every_steps(self.snapshot_every)
            .with_keep(self.snapshots_keep)
            .with_resume(self.resume)
            .with_extend(self.extend)
    }
}

/// How rows become tokens.
#[derive(Debug, Args)]
#[command(next_help_heading = "Text")]
pub struct Text {
    /// Chat template for a model that has none, or in place of its own: mistral, llama-2, chatml, qwen3, qwen3-thinking,
    /// smollm3, llama-3 or a jinja file. It becomes part of the result, unless it renders one turn as the model's own does,
    /// which is kept then. auto is the model's own; if that rewrites earlier turns, the one of these that agrees with it
    /// otherwise [default: auto]
    #[arg(long, value_name = "NAME|FILE")]
    pub chat_template: Option<String>,

    #[command(flatten)]
    pub rows: Rows,
}

/// How files are read as rows, and which rows are left out.
#[derive(Debug, Args)]
#[command(next_help_heading = "Text")]
pub struct Rows {
    /// Format of the rows; told by the fields of each file's first record if not given [possible values: those of `eurus data
    /// convert --help`]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,

    /// Policy for a row that is longer than --max-path-tokens, or a pair whose actions do not fit in --token-budget
    /// together. Responses are never cut
    #[arg(long, value_enum, default_value_t)]
    pub over_long: OverLong,

    /// Leave out rows that are invalid or that nothing can be learned from (a blank text, two actions that are the same) and
    /// rows that repeat an earlier one, and count them. Without this the former are an error, and the latter are used
    #[arg(long)]
    pub drop_unusable: bool,

    #[command(flatten)]
    pub score_by: ScoreBy,

    /// Print where tokens made node by node differ from those of the whole text; that they do is counted either way
    #[arg(long)]
    pub show_tokenization: bool,
}

/// How the model is optimized, whatever the loss.
#[derive(Debug, Args)]
#[command(next_help_heading = "Optimization")]
pub struct Steps {
    /// Peak learning rate
    #[arg(long, value_name = "RATE")]
    pub learning_rate: f64,

    /// Passes over the data
    #[arg(long, value_name = "N", default_value_t = TrainingConfig::default().epochs)]
    pub epochs: usize,

    /// End after this many steps, if the epochs have more
    #[arg(long, value_name = "N")]
    pub max_steps: Option<usize>,

    /// Trees per step. A tree is one problem with all its pairs, or one row of SFT data
    #[arg(long, value_name = "N", default_value_t = TrainingConfig::default().trees_per_step)]
    pub trees_per_step: usize,

    /// Take as many trees into a step as fill this many forests of --token-budget tokens
    #[arg(long, value_name = "N", conflicts_with = "trees_per_step")]
    forests_per_step: Option<usize>,

    /// Tokens that go through the model at once: the knob for memory. A step that has more is split and its
    /// gradients are added, which changes nothing else
    #[arg(long, value_name = "N", default_value_t = TrainingConfig::default().token_budget)]
    pub token_budget: usize,

    /// Longest history with its action, in tokens; --over-long says what becomes of a longer row
    #[arg(
        long,
        visible_alias = "max-length",
        value_name = "N",
        default_value_t = TrainingConfig::default().max_path_tokens
    )]
    pub max_path_tokens: usize,

    /// Share of the steps over which the learning rate climbs to its peak
    #[arg(long, value_name = "SHARE", default_value_t = TrainingConfig::default().warmup_ratio)]
    pub warmup_ratio: f64,

    /// Shape of the learning rate after that
    #[arg(long, value_enum, default_value_t = TrainingConfig::default().decay)]
    pub decay: Decay,

    /// How parameters are moved by their gradients. What each keeps of a parameter is in memory and in snapshots
    #[arg(long, value_enum, default_value_t = TrainingConfig::default().optimizer)]
    pub optimizer: Optimizer,

    /// Decay of AdamW's mean of gradients
    #[arg(long = "adam-beta1", value_name = "X", default_value_t = TrainingConfig::default().beta_1)]
    pub adam_beta1: f32,

    /// Decay of AdamW's mean of squared gradients; short runs with high learning rates want less
    #[arg(long = "adam-beta2", value_name = "X", default_value_t = TrainingConfig::default().beta_2)]
    pub adam_beta2: f32,

    /// Added to the root of AdamW's mean of squared gradients
    #[arg(long, value_name = "X", default_value_t = TrainingConfig::default().epsilon)]
    pub adam_eps: f32,

    /// Decoupled weight decay
    #[arg(long, value_name = "X", default_value_t = TrainingConfig::default().weight_decay)]
    pub weight_decay: f32,

    /// Parameters that weight decay makes smaller
    #[arg(long, value_enum, default_value_t = TrainingConfig::default().weight_decay_on)]
    pub weight_decay_on: WeightDecayOn,

    /// Scale gradients down to this global norm; 0 switches that off
    #[arg(long, value_name = "X", default_value_t = TrainingConfig::default().max_grad_norm)]
    pub max_grad_norm: f64,

    /// Keep the inputs of the layers alone and compute each layer again for its gradients: much less memory per token for a
    /// third more time. Changes nothing else
    #[arg(long)]
    pub recompute_activations: bool,

    /// Number type to compute in: that of the weights, or bfloat16, with updated weights, sums of gradients and AdamW's
    /// moments in float32. The latter is for GPUs; on a CPU it saves a little memory and takes longer
    #[arg(long, value_enum, default_value_t = TrainingConfig::default().precision)]
    precision: Precision,

    /// Policy for a step whose loss or gradient is not a finite number. It is reported in every case
    #[arg(long, value_enum, default_value_t = TrainingConfig::default().on_not_finite)]
    pub on_not_finite: NotFinitePolicy,

    /// Seed of all random choices; the same seed gives the same run on the same machine
    #[arg(long, value_name = "N", default_value_t = TrainingConfig::default().seed)]
    pub seed: u64,

    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    pub device: DeviceName,

    /// Train on this many GPUs of this machine, each with a share of every step's trees and of the optimizer's state; NCCL
    /// sums their gradients. With --device cpu as many models share the cores, for trying it out
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one, conflicts_with = "mpi")]
    pub devices: usize,

    /// Train on all processes that `mpirun` or `srun` started, each with a share of every step's trees and of the
    /// optimizer's state; needs a build with `--features mpi`. The first process reads and writes the files
    #[arg(long)]
    pub mpi: bool,
}

/// Devices by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceName {
    /// All cores of the processor
    Cpu,
    /// NVIDIA GPUs, the first one if nothing else is said; needs a build with `--features cuda`
    Cuda,
    /// The best GPU that WebGPU finds; needs a build with `--features wgpu`
    Wgpu,
    /// LibTorch on the processor; needs a build with `--features tch`
    Tch,
}

impl DeviceName {
    /// As it is given.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
            Self::Tch => "tch",
        }
    }

    /// What files of answers and scores say of it. Another device rounds otherwise, and no file is to have lines of two; those that
    /// say nothing are the CPU's.
    pub fn recorded(self) -> Option<&'static str> {
        (self != Self::Cpu).then(|| self.as_str())
    }
}

pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

impl Steps {
    /// The trainers' settings.
    pub fn training(&self) -> TrainingConfig {
        TrainingConfig {
            learning_rate: self.learning_rate,
            decay: self.decay,
            warmup_ratio: self.warmup_ratio,
            optimizer: self.optimizer,
            beta_1: self.adam_beta1,
            beta_2: self.adam_beta2,
            epsilon: self.adam_eps,
            weight_decay: self.weight_decay,
            weight_decay_on: self.weight_decay_on,
            max_grad_norm: self.max_grad_norm,
            epochs: self.epochs,
            max_steps: self.max_steps,
            trees_per_step: self.trees_per_step,
            forests_per_step: self.forests_per_step,
            token_budget: self.token_budget,
            max_path_tokens: self.max_path_tokens,
            recompute_activations: self.recompute_activations,
            precision: self.precision,
            on_not_finite: self.on_not_finite,
            seed: self.seed,
            ..TrainingConfig::default()
        }
    }
}
