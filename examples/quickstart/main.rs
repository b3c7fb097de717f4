//! The whole recipe in miniature: problems, tokenizer, SFT, preference trees with a Python interpreter, DPO, KTO and
//! NCA, two reward models, evaluation and a report. Takes some minutes on two CPU cores; `--quick` about one.
//!
//! `main` is the recipe; each stage is a module of `eurus_examples`.

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

use anyhow::Result;
use burn::module::Module;
use clap::Parser;
use eurus_eval::terminal;
use eurus_examples::run_folder::RunFolder;
use eurus_examples::start::{Start, python_environment};
use eurus_examples::{corpus, evaluation, preference, reward};
use eurus_memory::{TrainingAllocator, keep_freed_memory};
use eurus_models::Checkpoint;
use ultrainteract_synth::PythonEnvironment;

use options::Options;
use summary::Summary;

#[global_allocator]
static ALLOCATOR: TrainingAllocator = TrainingAllocator;

fn main() -> Result<()> {
    keep_freed_memory();
    let options = Options::parse();
    // What the machine must have is asked for before anything is computed.
    let environment = python_environment()?;

    if options.run.seeds().count() == 1 {
        run(options.run.seed, &options, &options.out, &environment)?;
        return Ok(());
    }
    let mut summaries = Vec::new();
    for seed in options.run.seeds() {
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
    let folder = RunFolder::create(out)?;
    let corpus = corpus::make(seed, &options.run.scale(), environment, &folder)?;
    let (mut start, trees) = Start::of_corpus(seed, &options.run, &corpus, folder, environment)?;
    let tokenizer = &start.tokenizer;
    let config = start.config.clone();
    let checkpoint = |folder: &RunFolder, name: &str| {
        Checkpoint::new(folder.path(&name.to_lowercase().replace([' ', '+'], "-")))
            .with_tokenizer_from(folder.path("tokenizer"))
    };
    checkpoint(&start.folder, "SFT").write_decoder(&start.policy, &config)?;

    let settings = preference::settings(seed, &start.scale);
    let paired = preference::with_mismatched(&start.paired, seed)?;
    let reference = preference::reference(&start.policy, &paired, &settings)?;
    let mut learned = Vec::new();
    for (name, loss) in preference::algorithms() {
        let run = preference::learn(
            name,
            &loss,
            &settings,
            &start.policy,
            &paired,
            &reference,
            &mut start.folder,
        )?;
        checkpoint(&start.folder, name).write_decoder(&run.model, &config)?;
        learned.push(run);
    }

    // The reward models will choose among first answers, of which a tree has one pair only.
    let first_answers = start.first_answers(start.scale.samples_per_turn, environment)?;
    let pairs: Vec<_> = start.paired.iter().cloned().chain(first_answers).collect();
    let settings = reward::settings(seed, &start.scale);
    let mut reward_models = Vec::new();
    for (name, loss) in reward::losses() {
        let model = reward::train(
            name,
            &loss,
            &settings,
            &start.policy,
            &pairs,
            &mut start.folder,
        )?;
        checkpoint(&start.folder, name).write_reward_model(&model, &config)?;
        reward_models.push((name, model));
    }

    let policies: Vec<_> = learned
        .iter()
        .map(|run| (run.name.as_str(), &run.model))
        .collect();
    let pass = evaluation::pass_table(
        &start,
        &policies,
        options.run.unseen_of(&corpus),
        &corpus.tree_problems,
        environment,
    )?;
    let samples = evaluation::sample(
        &start,
        &start.policy,
        &start.unseen,
        start.scale.candidates,
        environment,
    )?;
    let pairs = samples.pairs(&start.unseen)?;
    if pairs.is_empty() {
        println!(
            "No {} problem has both correct and incorrect samples: no pairs to judge by.",
            options.run.unseen()
        );
    }
    let mut rewards = Vec::new();
    for (name, model) in &reward_models {
        if let Some(report) = evaluation::judge(model, &pairs, &settings)? {
            rewards.push((*name, report));
        }
    }
    let scorers: Vec<_> = reward_models
        .iter()
        .map(|(name, model)| (*name, model))
        .collect();
    let candidates = samples.candidates(&scorers, &settings)?;

    let results = report::Results {
        seed,
        unseen: options.run.unseen(),
        parameters: start.policy.num_params(),
        trees,
        learned,
        pass,
        programs_ranked_right: evaluation::programs_ranked_right(&pairs, tokenizer)?,
        rewards,
        reranking: candidates.first(start.scale.best_of)?.report()?,
        candidates,
    };
    report::write(&results, &start.scale, &start.folder)?;
    let summary = Summary::of(&results, started.elapsed().as_secs_f64());
    summary.write(&start.folder.path("summary.json"))?;
    let path = start.folder.finish()?;
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
