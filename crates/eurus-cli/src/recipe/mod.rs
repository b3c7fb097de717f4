//! `eurus recipe`: the recipes of the paper, and recipes of one's own.

mod list;
mod show;

use std::path::Path;

use anyhow::Result;
use clap::{Args, Subcommand};
use eurus::recipes::Recipe;

pub const EXAMPLES: &str = "\
A recipe is a TOML file: base model, mixtures of data, and the options of every stage, each with its source: a place in the
paper, or `ours`. A small twin differs in sizes, data and steps alone.

Examples:
  eurus recipe list
  eurus recipe show eurus-7b-kto
  eurus recipe show eurus-7b-kto --small --set preference.learning_rate=1e-6 --commands";

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
    #[command(after_help = show::EXAMPLES)]
    Show(show::Show),
}

impl Recipes {
    pub fn run(&self) -> Result<()> {
        match &self.command {
            Command::List(command) => command.run(),
            Command::Show(command) => command.run(),
        }
    }
}

/// A recipe by its name, or of a file.
fn find(recipe: &str) -> Result<Recipe> {
    let is_file = recipe.ends_with(".toml") || Path::new(recipe).is_file();
    Ok(match is_file {
        true => Recipe::read(recipe)?,
        false => Recipe::built_in(recipe)?,
    })
}
