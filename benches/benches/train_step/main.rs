//! Optimizer steps on a workload of pre-tokenized trees: time, tokens, memory, share of the matmul peak.
//!
//! Trees are drawn from a seed, or read from the `trees_tok.jsonl` that a generator of preference trees writes: one tree a
//! line, `{"parent_id", "nodes": [{"parent", "ids"}], "pairs": [{"prompt", "chosen", "rejected"}]}`, parents before children
//! and -1 above the root. Every tree is trained on once, after a warm-up on the first few; the model has random weights. One
//! JSON line a run:
//!
//! `cargo bench -p eurus-benches --bench train_step -- --work FOLDER --what dpo`
//!
//! `benches/gpu.sh` measures a GPU.

#![allow(
    clippy::print_stdout,
    reason = "the result of a run goes to standard output"
)]

mod arithmetic;
mod shapes;
mod workload;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use burn::tensor::{DType, Device};
use clap::{Parser, ValueEnum};
use eurus_memory::{TrainingAllocator, keep_freed_memory, peak_resident_bytes, reset_peak};
use eurus_models::{Decoder, DecoderConfig, RewardModel};
use eurus_train::{
    Event, Precision, PreferenceTrainer, ReferenceLogProbs, RewardTrainer, SftTrainer,
    TrainingConfig,
};
use pref_losses::{
    BradleyTerryConfig, DpoConfig, KtoConfig, NcaConfig, PreferenceLossConfig, RewardLossConfig,
};
use serde_json::json;
use token_forest::{Group, TokenTree, TrainingTree, add_mismatched};

use arithmetic::{matmul_peak, training_flops};
use shapes::Shape;
use workload::Lengths;

#[global_allocator]
static ALLOCATOR: TrainingAllocator = TrainingAllocator;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Dpo,
    Nca,
    Kto,
    /// Reward model, Bradley-Terry.
    Rm,
    /// Chosen actions.
    Sft,
}

/// Times optimizer steps on whole trees.
#[derive(Parser)]
struct Options {
    /// Folder with trees_tok.jsonl, or the file [default: trees drawn from a seed]
    #[arg(long)]
    work: Option<PathBuf>,
    /// Multi-turn trees to draw
    #[arg(long, default_value_t = 20, conflicts_with = "work")]
    trees: usize,
    /// How long they are
    #[arg(long, value_enum, default_value = "short", conflicts_with = "work")]
    lengths: Lengths,
    /// What is trained
    #[arg(long, value_enum, default_value = "dpo")]
    what: What,
    /// Trees of an optimizer step
    #[arg(long, default_value_t = 2)]
    trees_per_step: usize,
    /// Forests of the token budget that the trees of a step fill, in place of a number of trees
    #[arg(long)]
    forests_per_step: Option<usize>,
    /// Tokens that go through the model at once
    #[arg(long, default_value_t = 2048)]
    token_budget: usize,
    /// Positions whose logits exist at once
    #[arg(long, default_value_t = 64)]
    log_prob_chunk: usize,
    /// Compute activations again instead of keeping them
    #[arg(long)]
    recompute: bool,
    /// Compute in bfloat16, with updated weights, sums of gradients and moments in float32
    #[arg(long)]
    bf16: bool,
    /// Trees of the warm-up
    #[arg(long, default_value_t = 2)]
    warmup_trees: usize,
    /// Train on the workload this many times over
    #[arg(long, default_value_t = 1)]
    epochs: usize,
    /// Shape of the model
    #[arg(long, value_enum, default_value = "smollm2-135m")]
    shape: Shape,
    /// Token ids of the model, if not those of its shape
    #[arg(long)]
    vocab: Option<usize>,
    /// Layers of the model, if not those of its shape
    #[arg(long)]
    layers: Option<usize>,
    /// Folder with the config.json of a model whose shape is taken
    #[arg(long, conflicts_with_all = ["shape", "vocab"])]
    config: Option<PathBuf>,
    /// Where to compute: cpu, or cuda in a build with that feature
    #[arg(long, default_value = "cpu", value_parser = device)]
    device: Device,
    /// Do not time matrix products, which the share of their speed is said by
    #[arg(long)]
    no_peak: bool,
    /// Set by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn device(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::flex()),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(0)),
        _ => anyhow::bail!("this build has no such device; `--features cuda` adds cuda"),
    }
}

/// The chosen actions of a tree.
fn imitation(tree: &TrainingTree) -> Result<TrainingTree> {
    let chosen = tree.groups().iter().map(|pair| pair.nodes[0]);
    let groups = chosen.map(Group::imitated).collect();
    Ok(TrainingTree::new(tree.id(), tree.tree(), groups)?)
}

#[derive(Default)]
struct Tally {
    seconds: f64,
    steps: usize,
    unique_tokens: usize,
    naive_tokens: usize,
    /// Tokens that the step's forests had room for.
    room: f64,
    /// Of the first steps.
    first_losses: Vec<f64>,
    last_loss: f64,
}

/// Steps whose losses are printed, to be compared with those of another device.
const FIRST_STEPS: usize = 10;

impl Tally {
    fn observe(&mut self, event: &Event) {
        if let Some(progress) = event.progress() {
            self.seconds += progress.seconds;
            self.steps += 1;
            self.unique_tokens += progress.unique_tokens;
            self.naive_tokens += progress.naive_tokens;
            self.room += progress.unique_tokens as f64 / progress.utilization;
            if self.first_losses.len() < FIRST_STEPS {
                self.first_losses.push(progress.loss);
            }
            self.last_loss = progress.loss;
        }
    }
}

struct Run<'a> {
    options: &'a Options,
    settings: TrainingConfig,
    config: DecoderConfig,
    reference_seconds: f64,
}

impl Run<'_> {
    fn preference(&mut self, loss: &PreferenceLossConfig, trees: &[TrainingTree]) -> Result<Tally> {
        let policy = Decoder::init(&self.config, 0, &self.options.device);
        let started = Instant::now();
        let reference = ReferenceLogProbs::compute(&policy, trees, &self.settings, &mut |_| {})?;
        self.reference_seconds = started.elapsed().as_secs_f64();
        let trainer = PreferenceTrainer::new(self.settings.clone(), loss)?;
        let (warmup, warmup_reference) = self.warmup(trees, &policy)?;
        let policy = trainer.train(policy, &warmup, &warmup_reference, &mut |_| {})?;
        self.measure(|tally| {
            trainer.train(policy, trees, &reference, &mut |event| tally.observe(event))?;
            Ok(())
        })
    }

    fn warmup(
        &self,
        trees: &[TrainingTree],
        policy: &Decoder,
    ) -> Result<(Vec<TrainingTree>, ReferenceLogProbs)> {
        let trees = trees[..self.options.warmup_trees.min(trees.len())].to_vec();
        let reference = ReferenceLogProbs::compute(policy, &trees, &self.settings, &mut |_| {})?;
        Ok((trees, reference))
    }

    fn reward(&mut self, trees: &[TrainingTree]) -> Result<Tally> {
        let model = RewardModel::from_decoder(Decoder::init(&self.config, 0, &self.options.device));
        let loss = RewardLossConfig::BradleyTerry(BradleyTerryConfig::default());
        let trainer = RewardTrainer::new(self.settings.clone(), &loss)?;
        let warmup = &trees[..self.options.warmup_trees.min(trees.len())];
        let model = trainer.train(model, warmup, &mut |_| {})?;
        self.measure(|tally| {
            trainer.train(model, trees, &mut |event| tally.observe(event))?;
            Ok(())
        })
    }

    fn sft(&mut self, trees: &[TrainingTree]) -> Result<Tally> {
        let model = Decoder::init(&self.config, 0, &self.options.device);
        let trainer = SftTrainer::new(self.settings.clone())?;
        let warmup = &trees[..self.options.warmup_trees.min(trees.len())];
        let model = trainer.train(model, warmup, &mut |_| {})?;
        self.measure(|tally| {
            trainer.train(model, trees, &mut |event| tally.observe(event))?;
            Ok(())
        })
    }

    /// Counts the peak of memory from here on.
    fn measure(&self, train: impl FnOnce(&mut Tally) -> Result<()>) -> Result<Tally> {
        reset_peak();
        let mut tally = Tally::default();
        train(&mut tally)?;
        Ok(tally)
    }
}

fn main() -> Result<()> {
    keep_freed_memory();
    let options = Options::parse();
    let mut config = match &options.config {
        Some(folder) => DecoderConfig::from_folder(folder)?,
        None => options.shape.config(options.vocab),
    };
    config.layers = options.layers.unwrap_or(config.layers);
    let mut trees = match &options.work {
        Some(path) => workload::read(path, config.vocab_size)?,
        None => workload::draw(options.trees, options.lengths, config.vocab_size, 0)?,
    };
    let pairs: usize = trees.iter().map(|tree| tree.groups().len()).sum();
    let nodes: usize = trees.iter().map(|tree| tree.tree().nodes.len()).sum();
    let settings = TrainingConfig {
        learning_rate: 5e-7,
        trees_per_step: options.trees_per_step,
        forests_per_step: options.forests_per_step,
        token_budget: options.token_budget,
        max_path_tokens: options.token_budget,
        log_prob_chunk: options.log_prob_chunk,
        recompute_activations: options.recompute,
        precision: match options.bf16 {
            true => Precision::Bf16,
            false => Precision::Full,
        },
        epochs: options.epochs,
        ..TrainingConfig::default()
    };
    let computed_in = match options.bf16 {
        true => DType::BF16,
        false => DType::F32,
    };
    let peak = match options.no_peak {
        true => None,
        false => Some(matmul_peak(&options.device, computed_in)?),
    };
    let mut run = Run {
        options: &options,
        settings,
        config: config.clone(),
        reference_seconds: 0.0,
    };
    let imitated: Vec<TrainingTree> = trees.iter().map(imitation).collect::<Result<_>>()?;
    let flops = match options.what {
        What::Sft => {
            let trees: Vec<&TokenTree> = imitated.iter().map(TrainingTree::tree).collect();
            training_flops(&config, &trees, true)
        }
        what => {
            let trees: Vec<&TokenTree> = trees.iter().map(TrainingTree::tree).collect();
            training_flops(&config, &trees, what != What::Rm)
        }
    };
    let tally = match options.what {
        What::Dpo => run.preference(&PreferenceLossConfig::Dpo(DpoConfig::default()), &trees)?,
        What::Nca => run.preference(&PreferenceLossConfig::Nca(NcaConfig::default()), &trees)?,
        What::Kto => {
            add_mismatched(&mut trees, 0)?;
            run.preference(&PreferenceLossConfig::Kto(KtoConfig::default()), &trees)?
        }
        What::Rm => run.reward(&trees)?,
        What::Sft => run.sft(&imitated)?,
    };
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    let flops = flops * options.epochs as f64;
    let mib = |bytes: u64| round(bytes as f64 / 1024.0 / 1024.0);
    // Pages are kept for the next allocation, so what is reserved at the end is what was needed at most.
    let device_memory = options.device.memory_pool_usage();
    println!(
        "{}",
        json!({
            "recompute": options.recompute,
            "bf16": options.bf16,
            "what": format!("{:?}", options.what).to_lowercase(),
            "trees": trees.len(),
            "pairs": pairs * options.epochs,
            "nodes": nodes,
            "forests": (tally.room / options.token_budget as f64).round(),
            "steps": tally.steps,
            "total_wall_s": round(tally.seconds),
            "ref_s": round(run.reference_seconds),
            "unique_tokens": tally.unique_tokens,
            "naive_tokens": tally.naive_tokens,
            "unique_tokens_per_s": round(tally.unique_tokens as f64 / tally.seconds),
            "naive_tokens_per_s": round(tally.naive_tokens as f64 / tally.seconds),
            "utilization": round(tally.unique_tokens as f64 / tally.room),
            "peak_rss_mib": peak_resident_bytes().map(mib),
            "device_memory_mib": device_memory.map(|it| mib(it.bytes_reserved)),
            "matmul_peak_gflops": peak.map(|peak| round(peak / 1e9)),
            "matmul_share": peak.map(|peak| round(flops / tally.seconds / peak)),
            "first_losses": tally.first_losses,
            "last_loss": tally.last_loss,
        })
    );
    Ok(())
}
