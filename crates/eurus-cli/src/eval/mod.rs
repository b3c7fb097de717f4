//! `eurus eval`: benchmarks, and the analyses of the paper.
//!
//! `task` finds a task and its data, `sent` makes what a model reads of a request; one file for each command has the rest.

mod compare;
mod drawing;
mod grade;
mod judging;
mod kept_judge;
mod list;
mod process;
mod rerank;
mod reward_models;
mod run;
mod sent;
mod show;
mod task;
mod trajectories;

use std::path::Path;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use eurus::eval::report::Report;

pub const EXAMPLES: &str = "\
A task is built in, or a TOML file of yours. Data are files that you have, in the form in which they are published, \
compressed with gzip or not.

Examples:
  eurus eval list
  eurus eval show svamp --data SVAMP.json --model runs/kto
  eurus eval run --task svamp --data SVAMP.json --model runs/kto --out evals/kto-svamp
  eurus eval grade evals/kto-svamp --grader fixed
  eurus eval compare evals/sft-svamp evals/kto-svamp
  eurus eval rerank evals/sft-svamp --scores rm.jsonl
  eurus eval rm rewardbench --data rewardbench.jsonl --model runs/rm
  eurus eval process scores.jsonl
  eurus eval trajectories runs/dpo runs/kto

`eurus eval COMMAND --help` has more.";

/// The group of commands.
#[derive(Debug, Args)]
pub struct Eval {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the built-in tasks, with the data that each wants
    #[command(after_help = list::EXAMPLES)]
    List(list::List),
    /// Show the first prompt of a task as it is sent, its tokens, and the right answer
    #[command(after_help = show::EXAMPLES)]
    Show(show::Show),
    /// Draw a model's answers to a task, grade them, and tell what they come to
    #[command(after_help = run::EXAMPLES)]
    Run(Box<run::Run>),
    /// Grade the answers of a run again, without a model
    #[command(after_help = grade::EXAMPLES)]
    Grade(grade::Grade),
    /// Compare two runs item by item
    #[command(after_help = compare::EXAMPLES)]
    Compare(compare::Compare),
    /// Judge a reward model, or the implicit reward of a policy, on a benchmark or on pairs
    #[command(after_help = reward_models::EXAMPLES)]
    Rm(reward_models::RewardModels),
    /// Choose among the samples of each item: by scores, by vote, at random
    #[command(after_help = rerank::EXAMPLES)]
    Rerank(rerank::Rerank),
    /// Hold the rewards of every turn of trees against the verdicts
    #[command(after_help = process::EXAMPLES)]
    Process(process::Process),
    /// Tell where the rewards of chosen and rejected responses went in training
    #[command(after_help = trajectories::EXAMPLES)]
    Trajectories(trajectories::Trajectories),
}

impl Eval {
    pub fn run(&self) -> Result<()> {
        match &self.command {
            Command::List(command) => command.run(),
            Command::Show(command) => command.run(),
            Command::Run(command) => command.run(),
            Command::Grade(command) => command.run(),
            Command::Compare(command) => command.run(),
            Command::Rm(command) => command.run(),
            Command::Rerank(command) => command.run(),
            Command::Process(command) => command.run(),
            Command::Trajectories(command) => command.run(),
        }
    }
}

/// Writes a page where one is wanted (`--out`), and returns what there is to tell of it.
fn write_page(report: &Report, out: &Path) -> Result<String> {
    report.write(out).context("the page (--out)")?;
    Ok(format!("report: {}", out.display()))
}
