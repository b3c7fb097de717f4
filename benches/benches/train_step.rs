//! Optimizer steps on a workload of pre-tokenized trees: time, tokens, memory, share of the matmul peak.
//!
//! Reads the `trees_tok.jsonl` that a generator of preference trees writes: one tree a line,
//! `{"parent_id", "nodes": [{"parent", "ids"}], "pairs": [{"prompt", "chosen", "rejected"}]}`, parents before children and
//! -1 above the root. Every tree is trained on once, after a warm-up on the first few; the model has the shape of
//! SmolLM2-135M and random weights. One JSON line a run:
//!
//! `cargo bench -p eurus-benches --bench train_step -- --work FOLDER --what dpo`

#![allow(
    clippy::print_stdout,
    reason = "the result of a run goes to standard output"
)]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use burn::tensor::{Device, Distribution, Tensor};
use clap::{Parser, ValueEnum};
use eurus_models::{Decoder, DecoderConfig, RewardModel};
use eurus_train::{
    Event, NodePair, Optimization, PairedTree, Precision, PreferenceTrainer, ReferenceLogProbs,
    RewardTrainer, SftTrainer, SftTree, add_mismatched,
};
use pref_losses::{
    BradleyTerryConfig, DpoConfig, KtoConfig, NcaConfig, PreferenceLossConfig, RewardLossConfig,
};
use process_memory::{MiMalloc, keep_freed_memory, peak_resident_bytes, reset_peak};
use serde::Deserialize;
use serde_json::json;
use token_forest::TokenTree;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
    /// Folder with trees_tok.jsonl, or the file
    #[arg(long)]
    work: PathBuf,
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
    /// Folder with the config.json of a model whose shape is taken, with random weights [default: SmolLM2-135M's]
    #[arg(long)]
    config: Option<PathBuf>,
    /// Token ids of the model, if its shape is the default one
    #[arg(long, default_value_t = 49152)]
    vocab: usize,
    /// Where to compute: cpu, or cuda in a build with that feature. On a GPU `peak_rss_mib` is not its memory
    #[arg(long, default_value = "cpu", value_parser = device)]
    device: Device,
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

#[derive(Deserialize)]
struct WorkTree {
    parent_id: String,
    nodes: Vec<WorkNode>,
    pairs: Vec<WorkPair>,
}

#[derive(Deserialize)]
struct WorkNode {
    parent: i64,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct WorkPair {
    chosen: usize,
    rejected: usize,
}

impl WorkTree {
    fn paired(self, vocab: u32) -> Result<PairedTree> {
        let mut nodes = self.nodes.into_iter().map(|node| {
            let small = |id: u32| if id < vocab { id } else { id % vocab };
            (node.parent, node.ids.into_iter().map(small).collect())
        });
        let (_, root) = nodes.next().context("a tree without nodes")?;
        let mut tree = TokenTree::new(root, false);
        for (parent, ids) in nodes {
            tree.push(usize::try_from(parent)?, ids, false);
        }
        let pairs: Vec<NodePair> = self
            .pairs
            .iter()
            .map(|pair| NodePair {
                chosen: pair.chosen,
                rejected: pair.rejected,
            })
            .collect();
        Ok(PairedTree::new(self.parent_id, &tree, &pairs)?)
    }
}

fn read_trees(options: &Options, vocab: usize) -> Result<Vec<PairedTree>> {
    let mut path = options.work.clone();
    if path.is_dir() {
        path.push("trees_tok.jsonl");
    }
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    text.lines()
        .map(|line| {
            serde_json::from_str::<WorkTree>(line)
                .context("a line that is no tree")?
                .paired(vocab as u32)
        })
        .collect()
}

/// The chosen actions of a tree.
fn imitation(tree: &PairedTree) -> Result<SftTree> {
    let chosen: Vec<usize> = tree.pairs.iter().map(|pair| pair.chosen).collect();
    let part = tree.tree.subtree(&chosen)?;
    let mut tokens = part.tree;
    for (node, old) in tokens.nodes.iter_mut().zip(part.nodes) {
        node.trainable = chosen.contains(&old);
    }
    Ok(SftTree::new(tree.id.clone(), tokens)?)
}

fn smollm2(vocab: usize) -> DecoderConfig {
    DecoderConfig {
        intermediate_size: 1536,
        kv_heads: 3,
        rope_theta: 100_000.0,
        tie_word_embeddings: true,
        max_position_embeddings: 8192,
        initializer_range: 1.0 / 24.0,
        ..DecoderConfig::llama(vocab, 576, 30, 9)
    }
}

/// Floating-point operations of a training pass over these trees: matrix products, attention and the output projection at
/// the targets, forward once and backward twice. What is computed again is not counted.
fn training_flops(config: &DecoderConfig, trees: &[&TokenTree], with_head: bool) -> f64 {
    let weights = config.layer_weights_per_token() as f64;
    let queries = (config.layers * config.heads * config.head_dim) as f64;
    let mut forward = 0.0;
    for tree in trees {
        let ends = tree.path_lengths();
        let mut attended = 0.0;
        let mut targets = 0.0;
        for (node, &end) in tree.nodes.iter().zip(&ends) {
            let (end, len) = (end as f64, node.tokens.len() as f64);
            attended += len * (end - len) + len * (len + 1.0) / 2.0;
            targets += if node.trainable { len } else { 0.0 };
        }
        let tokens = tree.unique_tokens() as f64;
        forward += 2.0 * weights * tokens + 4.0 * queries * attended;
        if with_head {
            forward += 2.0 * config.output_weights() as f64 * targets;
        }
    }
    3.0 * forward
}

/// Operations per second of the best of many square matrix products.
fn matmul_peak(device: &Device) -> f64 {
    const SIDE: usize = 1024;
    let square = || Tensor::<2>::random([SIDE, SIDE], Distribution::Normal(0.0, 1.0), device);
    let (a, b) = (square(), square());
    let started = Instant::now();
    let mut best = Duration::MAX;
    while started.elapsed() < Duration::from_secs(2) {
        let start = Instant::now();
        let _ = a.clone().matmul(b.clone()).into_data();
        best = best.min(start.elapsed());
    }
    2.0 * (SIDE as f64).powi(3) / best.as_secs_f64()
}

#[derive(Default)]
struct Tally {
    seconds: f64,
    steps: usize,
    unique_tokens: usize,
    naive_tokens: usize,
    /// Tokens that the step's forests had room for.
    room: f64,
    last_loss: f64,
}

impl Tally {
    fn observe(&mut self, event: &Event) {
        if let Some(progress) = event.progress() {
            self.seconds += progress.seconds;
            self.steps += 1;
            self.unique_tokens += progress.unique_tokens;
            self.naive_tokens += progress.naive_tokens;
            self.room += progress.unique_tokens as f64 / progress.utilisation;
            self.last_loss = progress.loss;
        }
    }
}

struct Run<'a> {
    options: &'a Options,
    settings: Optimization,
    config: DecoderConfig,
    reference_seconds: f64,
}

impl Run<'_> {
    fn preference(&mut self, loss: &PreferenceLossConfig, trees: &[PairedTree]) -> Result<Tally> {
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
        trees: &[PairedTree],
        policy: &Decoder,
    ) -> Result<(Vec<PairedTree>, ReferenceLogProbs)> {
        let trees = trees[..self.options.warmup_trees.min(trees.len())].to_vec();
        let reference = ReferenceLogProbs::compute(policy, &trees, &self.settings, &mut |_| {})?;
        Ok((trees, reference))
    }

    fn reward(&mut self, trees: &[PairedTree]) -> Result<Tally> {
        let model = RewardModel::from_decoder(Decoder::init(&self.config, 0, &self.options.device));
        let loss = RewardLossConfig::BradleyTerry(BradleyTerryConfig::new());
        let trainer = RewardTrainer::new(self.settings.clone(), &loss)?;
        let warmup = &trees[..self.options.warmup_trees.min(trees.len())];
        let model = trainer.train(model, warmup, &mut |_| {})?;
        self.measure(|tally| {
            trainer.train(model, trees, &mut |event| tally.observe(event))?;
            Ok(())
        })
    }

    fn sft(&mut self, trees: &[SftTree]) -> Result<Tally> {
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
    let config = match &options.config {
        Some(folder) => DecoderConfig::from_folder(folder)?,
        None => smollm2(options.vocab),
    };
    let mut trees = read_trees(&options, config.vocab_size)?;
    let pairs: usize = trees.iter().map(|tree| tree.pairs.len()).sum();
    let settings = Optimization {
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
        ..Optimization::default()
    };
    let peak = matmul_peak(&options.device);
    let mut run = Run {
        options: &options,
        settings,
        config: config.clone(),
        reference_seconds: 0.0,
    };
    let imitated: Vec<SftTree> = trees.iter().map(imitation).collect::<Result<_>>()?;
    let flops = match options.what {
        What::Sft => {
            let trees: Vec<&TokenTree> = imitated.iter().map(|tree| &tree.tree).collect();
            training_flops(&config, &trees, true)
        }
        what => {
            let trees: Vec<&TokenTree> = trees.iter().map(|tree| &tree.tree).collect();
            training_flops(&config, &trees, what != What::Rm)
        }
    };
    let tally = match options.what {
        What::Dpo => run.preference(&PreferenceLossConfig::Dpo(DpoConfig::new()), &trees)?,
        What::Nca => run.preference(&PreferenceLossConfig::Nca(NcaConfig::new()), &trees)?,
        What::Kto => {
            add_mismatched(&mut trees, 0)?;
            run.preference(&PreferenceLossConfig::Kto(KtoConfig::new()), &trees)?
        }
        What::Rm => run.reward(&trees)?,
        What::Sft => run.sft(&imitated)?,
    };
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    let flops = flops * options.epochs as f64;
    println!(
        "{}",
        json!({
            "recompute": options.recompute,
            "bf16": options.bf16,
            "what": format!("{:?}", options.what).to_lowercase(),
            "trees": trees.len(),
            "pairs": pairs * options.epochs,
            "steps": tally.steps,
            "total_wall_s": round(tally.seconds),
            "ref_s": round(run.reference_seconds),
            "unique_tokens": tally.unique_tokens,
            "naive_tokens": tally.naive_tokens,
            "unique_tokens_per_s": round(tally.unique_tokens as f64 / tally.seconds),
            "naive_tokens_per_s": round(tally.naive_tokens as f64 / tally.seconds),
            "utilisation": round(tally.unique_tokens as f64 / tally.room),
            "peak_rss_mib": peak_resident_bytes().map(|it| round(it as f64 / 1024.0 / 1024.0)),
            "matmul_peak_gflops": round(peak / 1e9),
            "matmul_share": round(flops / tally.seconds / peak),
            "last_loss": tally.last_loss,
        })
    );
    Ok(())
}
