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
mod card;
mod rates;
mod run;
mod shapes;
mod weights;
mod workload;

use std::path::PathBuf;

use anyhow::Result;
use burn::tensor::{DType, Device};
use clap::{Parser, ValueEnum};
use eurus_benches::device;
use eurus_memory::{TrainingAllocator, keep_freed_memory, peak_resident_bytes};
use eurus_models::DecoderConfig;
use eurus_train::{Precision, TrainingConfig};
use pref_losses::{DpoConfig, KtoConfig, NcaConfig, PreferenceLossConfig};
use serde_json::json;
use token_forest::{Group, TokenTree, TrainingTree, add_mismatched};

use arithmetic::{matmul_peak, training_flops};
use card::{MemoryWatch, data_sheet_tflops};
use run::Run;
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
    /// Draw weights on the device: other numbers than those drawn on the host, which takes minutes for billions
    #[arg(long)]
    device_weights: bool,
    /// Do not time matrix products, which the share of their speed is said by
    #[arg(long)]
    no_peak: bool,
    /// Tera-operations per second of the card's data sheet (bfloat16, dense) [default: by the card's name, where it is known]
    #[arg(long)]
    data_sheet_tflops: Option<f64>,
    /// Train nothing: how fast the products and the attention of one layer are
    #[arg(long, conflicts_with = "what")]
    rates: bool,
    /// Train nothing: write the trees to a file, for `--work` or for another trainer
    #[arg(long, value_name = "FILE")]
    write_trees: Option<PathBuf>,
    /// Set by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// The chosen actions of a tree.
fn imitation(tree: &TrainingTree) -> Result<TrainingTree> {
    let chosen = tree.groups().iter().map(|pair| pair.nodes[0]);
    let groups = chosen.map(Group::imitated).collect();
    Ok(TrainingTree::new(tree.id(), tree.tree(), groups)?)
}

/// What the card's data sheet says of products in bfloat16.
fn data_sheet_of(options: &Options) -> Option<f64> {
    let by_name = || data_sheet_tflops(&card::name(&options.device)?);
    options.data_sheet_tflops.or_else(by_name)
}

fn print_rates(
    options: &Options,
    config: &DecoderConfig,
    trees: &[TrainingTree],
    dtype: DType,
) -> Result<()> {
    let (tokens, device) = (options.token_budget, &options.device);
    let products = rates::products(config, tokens, dtype, device)?;
    let attention = rates::attention(config, trees, tokens, dtype, device)?;
    let rates = json!({
        "card": card::name(device),
        "data_sheet_tflops": data_sheet_of(options),
        "bf16": options.bf16,
        "products": products,
        "attention": attention,
    });
    println!("{rates}");
    Ok(())
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
    if let Some(path) = &options.write_trees {
        return workload::write(path, &trees);
    }
    let computed_in = match options.bf16 {
        true => DType::BF16,
        false => DType::F32,
    };
    if options.rates {
        return print_rates(&options, &config, &trees, computed_in);
    }
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
    let watch = MemoryWatch::start(&options.device);
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
    let per_second = flops / tally.seconds;
    let data_sheet = data_sheet_of(&options).filter(|_| options.bf16);
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
            "card": card::name(&options.device),
            "device_peak_mib": watch.and_then(MemoryWatch::peak).map(|it| mib(it as u64)),
            "tflops": round(per_second / 1e12),
            "data_sheet_tflops": data_sheet,
            "mfu": data_sheet.map(|tflops| round(per_second / tflops / 1e12)),
            "matmul_peak_gflops": peak.map(|peak| round(peak / 1e9)),
            "matmul_share": peak.map(|peak| round(per_second / peak)),
            "first_seconds": tally.first_seconds,
            "first_losses": tally.first_losses,
            "last_loss": tally.last_loss,
        })
    );
    Ok(())
}
