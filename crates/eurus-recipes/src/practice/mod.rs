//! Data to practice with: what the recipes of the paper read, made of word problems from a seed.
//!
//! The files lie where the recipes of the paper look for their data, in the formats that those are published in, so that a small
//! twin goes the same way as its recipe and needs nothing of its user. What they teach is arithmetic of grade school, worked
//! in numbered sentences; no model was asked for any of it.

mod benchmarks;
mod exercise;
mod rows;

use std::fs;
use std::path::{Path, PathBuf};

use ultrainteract_synth::word_problems::{Options, WordProblem, train_and_held_out};

use self::exercise::Exercise;
use crate::{Error, Result};

/// How much is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amounts {
    /// Problems to learn from.
    pub problems: usize,
    /// Problems to be measured on; none shares eight words in a row with one to learn from.
    pub held_out: usize,
    /// Seed of all that is drawn.
    pub seed: u64,
}

/// The folder of the files of mixtures, within what is made.
pub const DATA: &str = "data";
/// The folder of the data of benchmarks, within what is made.
pub const BENCHMARKS: &str = "benchmarks";
/// The folder of the model that a recipe starts from, within what is made. It is made by whoever has tensors.
pub const MODEL: &str = "model";

/// Of so many problems that are drawn at least one is asked for a number, and those alone are used.
const DRAWN: usize = 3;

/// The most problems of a kind. There are fewer different ones.
const MOST: usize = 100_000;

/// Data to practice with, in memory.
#[derive(Debug, Clone)]
pub struct Practice {
    /// Paths within the folder, with what stands in them.
    files: Vec<(PathBuf, String)>,
    texts: Vec<String>,
}

impl Practice {
    /// Draws the problems and works them.
    ///
    /// ```
    /// use eurus_recipes::practice::{Amounts, Practice};
    ///
    /// let amounts = Amounts { problems: 20, held_out: 5, seed: 0 };
    /// let practice = Practice::make(amounts)?;
    /// assert!(practice.texts().iter().any(|text| text.contains("\\boxed{")));
    /// # Ok::<(), eurus_recipes::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When there are no so many different problems, or none are asked for.
    pub fn make(amounts: Amounts) -> Result<Self> {
        let fault = |problem: String| Error::Practice { problem };
        for (name, count) in [
            ("problems", amounts.problems),
            ("held_out", amounts.held_out),
        ] {
            if !(1..=MOST).contains(&count) {
                return Err(fault(format!("`{name}` is {count}; ask for 1 to {MOST}")));
            }
        }
        let drawn = |count: usize| DRAWN * count;
        let options = Options {
            dataset: "practice".to_owned(),
            // What a small model learns to calculate in minutes.
            largest_number: 10,
            largest_factor: 6,
            ..Options::default()
        };
        let (training, held_out) = train_and_held_out(
            amounts.seed,
            drawn(amounts.problems),
            drawn(amounts.held_out),
            &options,
        )
        .map_err(|error| {
            fault(format!(
                "there are no so many different word problems ({error}); ask for fewer"
            ))
        })?;
        let exercises = |words: &[WordProblem], count: usize| {
            let found: Vec<Exercise> = words.iter().filter_map(Exercise::of).take(count).collect();
            match found.len() == count {
                true => Ok(found),
                false => Err(fault(format!(
                    "only {} of {count} problems could be made; ask for fewer",
                    found.len()
                ))),
            }
        };
        let training = exercises(&training, amounts.problems)?;
        let held_out = exercises(&held_out, amounts.held_out)?;
        let mut files = Vec::new();
        for (path, rows) in rows::files(&training) {
            let lines = rows.iter().map(|row| format!("{row}\n")).collect();
            files.push((Path::new(DATA).join(path), lines));
        }
        for (path, text) in benchmarks::files(&held_out) {
            files.push((Path::new(BENCHMARKS).join(path), text));
        }
        let texts = training.iter().flat_map(Exercise::texts).collect();
        Ok(Self { files, texts })
    }

    /// What the training rows are made of, for a tokenizer to be trained on.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Writes all files into a folder.
    ///
    /// # Errors
    ///
    /// When one cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        for (path, content) in &self.files {
            let path = folder.join(path);
            let fault = |source| Error::Write {
                path: path.clone(),
                source,
            };
            fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(fault)?;
            fs::write(&path, content).map_err(fault)?;
        }
        Ok(())
    }
}
