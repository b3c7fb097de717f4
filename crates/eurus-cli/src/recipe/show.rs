//! `eurus recipe show`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use eurus::recipes::{Places, Recipe, Work};

use super::find;
use crate::invocation::quoted;
use crate::job::print;

pub const EXAMPLES: &str = "\
With --commands the steps are printed as commands, in an order in which each finds what it needs.

Examples:
  eurus recipe show eurus-7b-kto
  eurus recipe show my-recipe.toml --set sft.learning_rate=1e-5
  eurus recipe show eurus-rm-7b --small --commands --mixtures data --benchmarks benchmarks --runs runs";

#[derive(Debug, Args)]
pub struct Show {
    /// Name of a recipe, or a file
    #[arg(value_name = "RECIPE")]
    recipe: String,

    /// Its small twin
    #[arg(long)]
    small: bool,

    /// Another value, as in sft.learning_rate=1e-5; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Print the commands that it stands for
    #[arg(long)]
    commands: bool,

    /// Folder that the files of mixtures are in
    #[arg(
        long,
        value_name = "DIR",
        default_value = "data",
        requires = "commands"
    )]
    mixtures: PathBuf,

    /// Folder that the data of benchmarks are in
    #[arg(
        long,
        value_name = "DIR",
        default_value = "benchmarks",
        requires = "commands"
    )]
    benchmarks: PathBuf,

    /// Folder for all that the commands make
    #[arg(
        long,
        value_name = "DIR",
        default_value = "runs",
        requires = "commands"
    )]
    runs: PathBuf,
}

impl Show {
    pub fn run(&self) -> Result<()> {
        let mut recipe = find(&self.recipe)?;
        if self.small {
            let Some(small) = recipe.small()? else {
                bail!("`{}` has no small twin; leave out --small", recipe.name());
            };
            recipe = small;
        }
        for given in &self.set {
            recipe = recipe.with_override(given)?;
        }
        print(
            match self.commands {
                true => self.steps(&recipe),
                false => recipe.resolved(),
            }
            .trim_end(),
        );
        Ok(())
    }

    fn steps(&self, recipe: &Recipe) -> String {
        let places = Places {
            data: self.mixtures.clone(),
            benchmarks: self.benchmarks.clone(),
            runs: self.runs.clone(),
        };
        let mut text = String::new();
        for step in recipe.steps(&places) {
            let line = match &step.work {
                Work::Report => continue,
                work => {
                    let words = work.words().iter().map(|word| quoted(word));
                    words.fold("eurus".to_owned(), |line, word| line + " " + &word)
                }
            };
            text.push_str(&format!("# {}\n{line}\n", step.name));
        }
        text
    }
}
