//! `eurus recipe show`.

use anyhow::Result;
use clap::Args;
use eurus::recipes::{Places, Recipe};

use super::chosen::{Chosen, Folders};
use crate::invocation::quoted;
use crate::job::print;

pub const EXAMPLES: &str = "\
With --commands the steps are printed as commands, in an order in which each finds what it needs; the folders are said for that \
alone.

Examples:
  eurus recipe show eurus-7b-kto
  eurus recipe show my-recipe.toml --set sft.learning_rate=1e-5
  eurus recipe show eurus-rm-7b --small --commands --mixtures data --benchmarks benchmarks --out runs";

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    chosen: Chosen,

    /// Print the commands that it stands for
    #[arg(long)]
    commands: bool,

    #[command(flatten)]
    folders: Folders,
}

impl Show {
    pub fn run(&self) -> Result<()> {
        let recipe = self.chosen.find()?;
        print(
            match self.commands {
                true => commands(&recipe, &self.folders.places()),
                false => recipe.resolved(),
            }
            .trim_end(),
        );
        Ok(())
    }
}

fn commands(recipe: &Recipe, places: &Places) -> String {
    let mut text = String::new();
    for step in recipe.steps(places) {
        let words = step.work.words().iter().map(|word| quoted(word));
        let line = words.fold("eurus".to_owned(), |line, word| line + " " + &word);
        text.push_str(&format!("# {}\n{line}\n", step.name));
    }
    text
}
