//! The recipe on a real model: SmolLM2-135M-Instruct, or any checkpoint of the architectures that eurus reads, and problems
//! such as SVAMP's or GSM8K's.
//!
//! The checkpoint is fine-tuned on worked solutions; then it answers other problems, Python judges, a rule-based critic says what
//! is wrong, and it tries again: so its trees grow, and a policy learns from them by each algorithm. All are judged on
//! problems that none of this has seen.
//!
//! Programs that the model writes are run. The interpreter is a process of its own, with limits of time, memory and output, in
//! an empty folder; that keeps accidents in, and no one who means harm. `docs/src/building-trees.md` says what it is.

#![allow(clippy::print_stdout, reason = "a program talks to its user")]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use burn::module::Module;
use clap::Parser;
use eurus_eval::{Table, terminal};
use eurus_examples::evaluation::{PassRow, row, solved};
use eurus_examples::policy::{self, Answered, Draws, fine_tune};
use eurus_examples::problems::{self, Given, Split};
use eurus_examples::run_folder::RunFolder;
use eurus_examples::start::{Start, at_least_one, python_environment};
use eurus_examples::{Scale, preference};
use eurus_memory::{TrainingAllocator, keep_freed_memory};
use eurus_models::{Checkpoint, Decoder};
use token_forest::{ChatTokenizer, TrainingTree};
use ultrainteract_synth::PythonEnvironment;

#[global_allocator]
static ALLOCATOR: TrainingAllocator = TrainingAllocator;

/// The recipe on a real checkpoint: SFT on worked solutions, trees of its own answers, preference learning, pass@1 after each.
#[derive(Parser, Debug)]
#[command(
    name = "smollm2",
    after_help = "Example:\n  cargo run --release --example smollm2 -- --model SmolLM2-135M-Instruct --problems SVAMP.json.gz"
)]
struct Arguments {
    /// The checkpoint: a folder as Hugging Face has it, with a tokenizer that has a chat template.
    #[arg(long)]
    model: PathBuf,

    /// JSONL or a JSON array, compressed or not, with the fields of GSM8K, GSM-Plus, SVAMP or MATH.
    #[arg(long)]
    problems: PathBuf,

    /// What follows each question, or a text with `{question}` in it. SVAMP's solutions are equations, from which programs are
    /// made; those of the others are sentences with a boxed answer.
    #[arg(long, default_value = "Write a Python program that prints the answer.")]
    ask: String,

    /// Problems whose solutions are imitated.
    #[arg(long, default_value_t = 220, value_parser = at_least_one())]
    sft_problems: usize,

    /// Problems that trees are built for.
    #[arg(long, default_value_t = 180, value_parser = at_least_one())]
    tree_problems: usize,

    /// Other problems, that all is judged on.
    #[arg(long, default_value_t = 150, value_parser = at_least_one())]
    unseen_problems: usize,

    /// Samples of a problem at each turn of its tree.
    #[arg(long, default_value_t = 8, value_parser = at_least_one())]
    samples: usize,

    /// The most turns of a tree.
    #[arg(long, default_value_t = 2, value_parser = at_least_one())]
    turns: usize,

    /// Longest answer, in tokens.
    #[arg(long, default_value_t = 48, value_parser = at_least_one())]
    max_tokens: usize,

    /// Learning rate of SFT.
    #[arg(long, default_value_t = 1e-4)]
    sft_learning_rate: f64,

    /// Passes over the solutions.
    #[arg(long, default_value_t = 3, value_parser = at_least_one())]
    sft_epochs: usize,

    /// Learning rate of preference learning.
    #[arg(long, default_value_t = 2e-5)]
    learning_rate: f64,

    /// Passes over the pairs.
    #[arg(long, default_value_t = 1, value_parser = at_least_one())]
    epochs: usize,

    /// What learns from the pairs.
    #[arg(long, value_delimiter = ',', default_value = "KTO,NCA", value_parser = preference::NAMES)]
    algorithms: Vec<String>,

    /// Which problems are drawn, and what is sampled.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Folder for trees, metrics and the policies; replaced if it is one of this program's.
    #[arg(long, default_value = "target/smollm2")]
    out: PathBuf,
}

fn main() -> Result<()> {
    keep_freed_memory();
    let arguments = Arguments::parse();
    let started = Instant::now();
    let environment = python_environment()?;
    let scale = Scale {
        tree_problems: arguments.tree_problems,
        held_out_problems: arguments.unseen_problems,
        samples_per_turn: arguments.samples,
        samples_per_round: arguments.samples,
        turns: arguments.turns,
        max_action_tokens: arguments.max_tokens,
        sft_epochs: arguments.sft_epochs,
        sft_learning_rate: arguments.sft_learning_rate,
        preference_epochs: arguments.epochs,
        preference_learning_rate: arguments.learning_rate,
        ..Scale::of_checkpoint()
    };
    let folder = RunFolder::create(&arguments.out)?;
    let Split { unseen, mut others } = problems::split(
        &arguments.problems,
        &arguments.ask,
        arguments.unseen_problems,
        arguments.seed,
    )?;
    let rest = others.split_off(arguments.sft_problems.min(others.len()));
    let model = &arguments.model;
    let mut start = Start::of_checkpoint(arguments.seed, scale, model, rest, unseen, folder)?;
    let solutions = solutions(&others, &start.tokenizer)?;
    println!(
        "{:>18}  {:.1} million parameters, {} unseen problems",
        "Model",
        start.policy.num_params() as f64 / 1e6,
        start.unseen.len()
    );

    let before = answers(&start, &start.policy, &environment)?;
    let mut rows = vec![row("The checkpoint", &before, None)?];
    println!(
        "{:>18}  {} solved by the checkpoint",
        "pass@1", rows[0].rate.pass
    );
    let config = start.config.clone();
    // Saves a policy, and judges it against the answers of another one.
    let judge = |name: &str, policy: &Decoder, start: &Start, against: &[Answered]| {
        let checkpoint = Checkpoint::new(start.folder.path(&name.to_lowercase()))
            .with_tokenizer_from(&arguments.model);
        checkpoint.write_decoder(policy, &config)?;
        let answered = answers(start, policy, &environment)?;
        let row = row(name, &answered, Some(&solved(against)))?;
        println!("{:>18}  {} solved by {name}", "pass@1", row.rate.pass);
        anyhow::Ok((row, answered))
    };

    let (seed, policy) = (start.seed, start.policy.clone());
    let folder = &mut start.folder;
    start.policy = fine_tune("SFT", seed, &start.scale, policy, &solutions, folder)?;
    let (row, imitating) = judge("SFT", &start.policy, &start, &before)?;
    rows.push(row);
    let (mut start, _) = start.grow(&environment)?;
    let settings = preference::settings(start.seed, &start.scale);
    let pairs = preference::with_mismatched(&start.paired, start.seed)?;
    let reference = preference::reference(&start.policy, &pairs, &settings)?;
    for name in &arguments.algorithms {
        let (name, loss) = preference::algorithm(name)?;
        let (policy, folder) = (&start.policy, &mut start.folder);
        let run = preference::learn(name, &loss, &settings, policy, &pairs, &reference, folder)?;
        let (row, _) = judge(name, &run.model, &start, &imitating)?;
        rows.push(row);
    }
    println!("\n{}", terminal::render(&table(&rows)));
    let out = start.folder.finish()?;
    println!(
        "Done in {:.0} s. Trees, metrics and policies are in {}",
        started.elapsed().as_secs_f64(),
        out.display()
    );
    Ok(())
}

/// Greedy answers to the unseen problems.
fn answers(
    start: &Start,
    policy: &Decoder,
    environment: &PythonEnvironment,
) -> Result<Vec<Answered>> {
    let draws = Draws::greedy(&start.scale);
    let solved = policy::solve(policy, &start.tokenizer, &start.unseen, &draws, environment)?;
    Ok(solved.into_iter().flatten().collect())
}

/// The solutions of problems, to imitate.
fn solutions(problems: &[Given], tokenizer: &ChatTokenizer) -> Result<Vec<TrainingTree>> {
    let of_problem = |Given { problem, .. }: &Given| {
        let solution = problem.rationale().with_context(|| {
            format!(
                "{} has no solution to imitate: {}",
                problem.id, problem.instruction
            )
        })?;
        policy::imitated(&problem.id, &problem.instruction, solution, tokenizer)
    };
    problems.iter().map(of_problem).collect()
}

fn table(rows: &[PassRow]) -> Table {
    let mut table = Table::new("Greedy pass@1 on problems that nothing was trained on.").headers([
        "Policy",
        "Solved",
        "pass@1",
        "Gain",
        "Programs",
        "Characters",
    ]);
    for row in rows {
        table = table.row([
            row.rate.name.clone(),
            row.rate.solved.to_string(),
            row.rate.pass.to_string(),
            row.rate
                .over_baseline
                .map_or("–".to_owned(), |gain| gain.in_points()),
            format!("{:.0} %", 100.0 * row.programs),
            format!("{:.0}", row.characters),
        ]);
    }
    table.note("± is the standard error over problems. Gains are points of pass@1, of SFT over the checkpoint, of the others over SFT, paired problem by problem.")
}
