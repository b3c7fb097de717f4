//! The whole recipe in miniature: problems, tokenizer, SFT, preference trees with a Python interpreter, DPO, KTO and
//! NCA, two reward models, evaluation and a report. Takes some minutes on two CPU cores; `--quick` under one.
//!
//! `main` is the recipe; each stage is a module.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to its user"
)]

mod console;
mod corpus;
mod evaluation;
mod options;
mod policy;
mod preference;
mod report;
mod reward;
mod run_folder;
mod trees;

use std::time::Instant;

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use clap::Parser;
use code_interpreter::{Limits, Python};
use eurus_eval::terminal;
use eurus_models::{Checkpoint, LocalChatModel};
use process_memory::{TrainingAllocator, keep_freed_memory};
use ultrainteract_synth::PythonEnvironment;

use options::{Options, Scale};
use run_folder::RunFolder;

#[global_allocator]
static ALLOCATOR: TrainingAllocator = TrainingAllocator;

fn main() -> Result<()> {
    keep_freed_memory();
    let started = Instant::now();
    let options = Options::parse();
    let scale = if options.quick {
        Scale::quick()
    } else {
        Scale::full()
    };
    let seed = options.seed;
    let device = Device::flex();

    // What the machine must have is asked for before anything is computed.
    let python = Python::find().context("the trees need a Python interpreter")?;
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let environment = PythonEnvironment::start(&python, Limits::default(), workers)?;
    let mut folder = RunFolder::create(&options.out)?;

    let corpus = corpus::make(seed, &scale, &environment, &folder)?;
    let tokenizer = &corpus.tokenizer;
    println!(
        "{:>18}  {} training and {} held-out problems, {} tokens in the vocabulary",
        "Problems",
        corpus.training.len(),
        corpus.held_out.len(),
        tokenizer.vocab_size()
    );

    let sft = policy::fine_tune(seed, &scale, &corpus, &mut folder, &device)?;
    let config = policy::config(&scale, tokenizer);
    let checkpoint = |folder: &RunFolder, name: &str| {
        Checkpoint::new(folder.path(&name.to_lowercase().replace([' ', '+'], "-")))
            .with_tokenizer_from(folder.path("tokenizer"))
    };
    checkpoint(&folder, "SFT").write_decoder(&sft, &config)?;

    let actor = LocalChatModel::new("sft", &sft, tokenizer.clone());
    let problems = &corpus.training[corpus.training.len() - scale.tree_problems..];
    let built = trees::build(seed, &scale, &actor, problems, &environment, &mut folder)?;

    // KTO's KL estimate wants a mismatched completion per pair; DPO and NCA do not look at them.
    let mut paired = trees::sampled_pairs(&built.trees, tokenizer)?;
    token_forest::add_mismatched(&mut paired, seed)?;
    let settings = preference::settings(seed, &scale);
    let reference = preference::reference(&sft, &paired, &settings)?;
    let mut learned = Vec::new();
    for (name, loss) in preference::algorithms() {
        let run = preference::learn(
            name,
            &loss,
            &settings,
            &sft,
            &paired,
            &reference,
            &mut folder,
        )?;
        checkpoint(&folder, name).write_decoder(&run.model, &config)?;
        learned.push(run);
    }

    // The reward models will choose among first answers, of which a tree has one pair only.
    let first_answers = evaluation::sample(
        seed,
        &actor,
        tokenizer,
        problems,
        scale.samples_per_turn,
        &environment,
    )?;
    paired.extend(first_answers.pairs(problems)?);
    let settings = reward::settings(seed, &scale);
    let mut reward_models = Vec::new();
    for (name, loss) in reward::losses() {
        let model = reward::train(name, &loss, &settings, &sft, &paired, &mut folder)?;
        checkpoint(&folder, name).write_reward_model(&model, &config)?;
        reward_models.push((name, model));
    }

    let mut policies = vec![("SFT", &sft)];
    policies.extend(learned.iter().map(|run| (run.name, &run.model)));
    let pass = evaluation::pass_table(&policies, tokenizer, &corpus.held_out, &environment)?;
    let samples = evaluation::sample(
        seed,
        &actor,
        tokenizer,
        &corpus.held_out,
        scale.candidates,
        &environment,
    )?;
    let pairs = samples.pairs(&corpus.held_out)?;
    if pairs.is_empty() {
        println!(
            "No held-out problem has both correct and incorrect samples: no pairs to judge by."
        );
    }
    let rewards = reward_models
        .iter()
        .filter(|_| !pairs.is_empty())
        .map(|(name, model)| Ok((*name, evaluation::judge(model, &pairs, &settings)?)))
        .collect::<Result<Vec<_>>>()?;
    let scorers: Vec<_> = reward_models
        .iter()
        .map(|(name, model)| (*name, model))
        .collect();
    let reranking = samples.rerank(&scorers, &settings)?;

    let results = report::Results {
        seed,
        parameters: sft.num_params(),
        trees: built,
        learned,
        pass,
        rewards,
        reranking,
    };
    report::write(&results, &scale, &folder)?;
    let path = folder.finish()?;
    for table in report::tables(&results) {
        println!("\n{}", terminal::render(&table));
    }
    println!(
        "\nDone in {:.0} s. Open {}",
        started.elapsed().as_secs_f64(),
        path.join("report.html").display()
    );
    Ok(())
}
