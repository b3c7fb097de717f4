//! `eurus eval`: benchmarks.
//!
//! `task` finds a task and its data, `sent` makes what a model reads of a request; one file for each command has the rest.

mod list;
mod sent;
mod show;
mod task;

use anyhow::Result;
use clap::{Args, Subcommand};

pub const EXAMPLES: &str = "\
A task is built in, or a TOML file of yours. Data are files that you have, in the form in which they are published, \
compressed with gzip or not.

Examples:
  eurus eval list
  eurus eval show svamp --data SVAMP.json --model runs/kto
  eurus eval show own.toml

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
}

impl Eval {
    pub fn run(&self) -> Result<()> {
        match &self.command {
            Command::List(command) => command.run(),
            Command::Show(command) => command.run(),
        }
    }
}
