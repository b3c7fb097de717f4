//! Which recipe, and where its files are: the same for all commands that take one.

use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use eurus::recipes::{Places, Recipe};

/// A recipe, as a command is told of it.
#[derive(Debug, Args)]
pub struct Chosen {
    /// Name of a recipe, or a file
    #[arg(value_name = "RECIPE")]
    recipe: String,

    /// Its small twin
    #[arg(long)]
    small: bool,

    /// Another value, as in sft.learning_rate=1e-5; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Folders of a recipe.
#[derive(Debug, Args)]
pub struct Folders {
    /// Folder that the files of mixtures are in
    #[arg(long, value_name = "DIR", default_value = "data")]
    mixtures: PathBuf,

    /// Folder that the data of benchmarks are in
    #[arg(long, value_name = "DIR", default_value = "benchmarks")]
    benchmarks: PathBuf,

    /// Folder for all that the recipe makes
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
}

impl Chosen {
    /// The recipe, small and with other values if that is said.
    pub fn find(&self) -> Result<Recipe> {
        let mut recipe = named(&self.recipe)?;
        if self.small {
            let Some(small) = recipe.small()? else {
                bail!("`{}` has no small twin; leave out --small", recipe.name());
            };
            recipe = small;
        }
        for given in &self.set {
            recipe = recipe.with_override(given)?;
        }
        Ok(recipe)
    }
}

impl Folders {
    pub fn places(&self) -> Places {
        Places {
            data: plain(&self.mixtures),
            benchmarks: plain(&self.benchmarks),
            runs: plain(&self.out),
        }
    }
}

/// The same path without what is not needed: `./runs/` is `runs`, so that a step is told by what it reads and writes.
fn plain(path: &Path) -> PathBuf {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    let plain: PathBuf = parts.collect();
    match plain.as_os_str().is_empty() {
        true => ".".into(),
        false => plain,
    }
}

/// A recipe by its name, or of a file.
fn named(recipe: &str) -> Result<Recipe> {
    let is_file = recipe.ends_with(".toml") || Path::new(recipe).is_file();
    Ok(match is_file {
        true => Recipe::read(recipe)?,
        false => Recipe::built_in(recipe)?,
    })
}
