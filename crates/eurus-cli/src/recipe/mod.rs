//! `eurus recipe`: the recipes of the paper, and recipes of one's own.

mod alone;
mod check;
mod chosen;
mod list;
mod missing;
mod practice;
mod run;
mod show;

use anyhow::Result;
use clap::{Args, Subcommand};

pub use alone::StepFailed;

pub const EXAMPLES: &str = "\
A recipe is a TOML file: base model, mixtures of data, and the options of every stage, each with its source: a place in the
paper, or `ours`. A small twin differs in sizes, data and steps alone.

Examples:
  eurus recipe list
  eurus recipe show eurus-7b-kto
  eurus recipe show eurus-7b-kto --small --set preference.learning_rate=1e-6 --commands
  eurus recipe check eurus-7b-kto
  eurus recipe run small-eurus --out runs/small";

/// `eurus recipe`.
#[derive(Debug, Args)]
pub struct Recipes {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The recipes that come along.
    #[command(after_help = list::EXAMPLES)]
    List(list::List),
    /// A recipe with the source of every value, or the commands that it stands for.
    #[command(
        after_help = show::EXAMPLES,
        mut_arg("mixtures", |arg| arg.requires("commands")),
        mut_arg("benchmarks", |arg| arg.requires("commands")),
        mut_arg("out", |arg| arg.requires("commands")),
    )]
    Show(show::Show),
    /// What every stage will cost, on which devices it fits, and what is missing.
    #[command(after_help = check::EXAMPLES)]
    Check(check::Check),
    /// Run all stages, those that are done excepted; the same command goes on.
    #[command(after_help = run::EXAMPLES)]
    Run(run::Run),
    /// Make data, benchmarks and a small model to practice with.
    #[command(after_help = practice::EXAMPLES)]
    Practice(practice::MakePractice),
}

impl Recipes {
    pub fn run(&self) -> Result<()> {
        match &self.command {
            Command::List(command) => command.run(),
            Command::Show(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Run(command) => command.run(),
            Command::Practice(command) => command.run(),
        }
    }
}
