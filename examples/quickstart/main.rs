//! The whole recipe in miniature: problems, tokenizer, SFT, preference trees with a Python interpreter, DPO, KTO and
//! NCA, two reward models, evaluation and a report. Takes some minutes on two CPU cores; `--quick` about one.
//!
//! `main` is the recipe; each stage is a module.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to its user"
)]

mod options;
mod report;
mod summary;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use clap::Parser;
use code_interpreter::{Limits, Python};
use eurus_eval::terminal;
use eurus_examples::run_folder::RunFolder;
use eurus_examples::{Scale, corpus, evaluation, policy, preference, reward, trees};
use eurus_models::{Checkpoint, LocalChatModel};
use process_memory::{TrainingAllocator, keep_freed_memory};
use ultrainteract_synth::{Problem, PythonEnvironment};

use options::Options;
use summary::Summary;

#[global_allocator]
static ALLOCATOR: TrainingAllocator = TrainingAllocator;

fn main() -> Result<()> {
    keep_freed_memory();
    let options = Options::parse();
    // What the machine must have is asked for before anything is computed.
    let python = Python::find().context("the trees need a Python interpreter")?;
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let environment = PythonEnvironment::start(&python, Limits::default(), workers)?;

    let seeds = options.seed..options.seed.saturating_add(options.seeds);
    if seeds.clone().count() == 1 {
        run(options.seed, &options, &options.out, &environment)?;
        return Ok(());
    }
    let mut summaries = Vec::new();
    for seed in seeds {
        println!("Seed {seed}");
        let out = options.out.join(format!("seed-{seed}"));
        summaries.push(run(seed, &options, &out, &environment)?);
    }
    println!("\n{}", terminal::render(&summary::over_seeds(&summaries)?));
    Ok(())
}

/// The recipe for one seed.
fn run(
    seed: u64,
    options: &Options,
    out: &Path,
    environment: &PythonEnvironment,
) -> Result<Summary> {
    let started = Instant::now();
    let scale = if options.quick {
        Scale::quick()
    } else {
        Scale::full()
    };
    let device = Device::flex();
    let mut folder = RunFolder::create(out)?;

    let corpus = corpus::make(seed, &scale, environment, &folder)?;
    let tokenizer = &corpus.tokenizer;
    println!(
        "{:>18}  {} to imitate, {} for trees, {} held out, {} tokens in the vocabulary",
        "Problems",
        corpus.worked,
        corpus.tree_problems.len(),
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
    let problems: Vec<Problem> = (corpus.tree_problems.iter())
        .map(|word| word.problem.clone())
        .collect();
    let built = trees::build(seed, &scale, &actor, &problems, environment, &mut folder)?;

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
        &sft,
        tokenizer,
        &problems,
        scale.samples_per_turn,
        environment,
    )?;
    paired.extend(first_answers.pairs(&problems)?);
    let settings = reward::settings(seed, &scale);
    let mut reward_models = Vec::new();
    for (name, loss) in reward::losses() {
        let model = reward::train(name, &loss, &settings, &sft, &paired, &mut folder)?;
        checkpoint(&folder, name).write_reward_model(&model, &config)?;
        reward_models.push((name, model));
    }

    let (unseen_name, unseen) = if options.development {
        ("development", &corpus.development)
    } else {
        ("held-out", &corpus.held_out)
    };
    let policies: Vec<_> = learned.iter().map(|run| (run.name, &run.model)).collect();
    let pass = evaluation::pass_table(
        seed,
        &sft,
        &policies,
        tokenizer,
        unseen,
        &corpus.tree_problems,
        environment,
    )?;
    let unseen: Vec<Problem> = unseen.iter().map(|word| word.problem.clone()).collect();
    let samples = evaluation::sample(
        seed,
        &sft,
        tokenizer,
        &unseen,
        scale.candidates,
        environment,
    )?;
    let pairs = samples.pairs(&unseen)?;
    if pairs.is_empty() {
        println!(
            "No {unseen_name} problem has both correct and incorrect samples: no pairs to judge by."
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
    let candidates = samples.candidates(&scorers, &settings)?;

    let results = report::Results {
        seed,
        unseen: unseen_name,
        parameters: sft.num_params(),
        trees: built,
        learned,
        pass,
        programs_ranked_right: evaluation::programs_ranked_right(&pairs, tokenizer)?,
        rewards,
        reranking: candidates.first(scale.best_of)?.report()?,
        candidates,
    };
    report::write(&results, &scale, &folder)?;
    let summary = Summary::of(&results, started.elapsed().as_secs_f64());
    summary.write(&folder.path("summary.json"))?;
    let path = folder.finish()?;
    for table in report::tables(&results) {
        println!("\n{}", terminal::render(&table));
    }
    println!(
        "\nDone in {:.0} s. Open {}",
        summary.seconds,
        path.join("report.html").display()
    );
    Ok(summary)
}
