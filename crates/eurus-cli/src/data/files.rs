//! The input of a command: which files, in which format.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use eurus::data::formats::Format;
use eurus::data::input;
use eurus::data::validate::Limits;

use crate::usage::UsageError;

/// Input files of a command, and their format.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct Files {
    /// Files, or patterns in quotes
    #[arg(required = true, value_name = "FILES")]
    pub files: Vec<String>,

    /// Format of the files [default: found out by the first record]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,

    /// The most turns that a tree may have [default: 5]
    #[arg(long, value_name = "N")]
    pub max_turns: Option<usize>,
}

/// Files that are there, and their format.
pub struct Input {
    pub paths: Vec<PathBuf>,
    pub format: Format,
    pub limits: Limits,
    /// Bytes of all files together.
    pub bytes: u64,
}

impl Files {
    pub fn open(&self) -> Result<Input> {
        let paths = input::expand(&self.files)?;
        let format = match self.format {
            Some(format) => format,
            None => find_format(&paths)?,
        };
        if !has_trees(format) {
            self.refuse_max_turns(format!("on `{format}`, which has no trees"))?;
        }
        Ok(Input {
            bytes: bytes_of(&paths),
            paths,
            format,
            limits: self
                .max_turns
                .map_or_else(Limits::default, |max_turns| Limits { max_turns }),
        })
    }

    /// Refuses a limit of turns where no tree is looked at.
    pub fn refuse_max_turns(&self, why: impl std::fmt::Display) -> Result<()> {
        match self.max_turns {
            None => Ok(()),
            Some(_) => {
                let problem = format!("--max-turns has no effect {why}; leave it out");
                Err(UsageError::new(problem).into())
            }
        }
    }
}

fn has_trees(format: Format) -> bool {
    matches!(format, Format::Tree | Format::Pair)
}

impl Input {
    /// Bytes that are read on the way to trees: pair rows are looked through for their problems
    /// first.
    pub fn bytes_to_trees(&self) -> u64 {
        match self.format {
            Format::Pair => 2 * self.bytes,
            _ => self.bytes,
        }
    }

    /// Whether trees can be had from the files.
    pub fn has_trees(&self) -> bool {
        has_trees(self.format)
    }
}

/// The common format of files.
pub fn find_format(paths: &[PathBuf]) -> Result<Format> {
    let mut found: Option<(Format, &PathBuf)> = None;
    for path in paths {
        match (Format::of_file(path)?, found) {
            (None, _) => {}
            (Some(format), None) => found = Some((format, path)),
            (Some(format), Some((other, first))) if format != other => bail!(
                "{} is `{format}` and {} is `{other}`; give files of one format, or say --format",
                path.display(),
                first.display()
            ),
            _ => {}
        }
    }
    match (found, paths) {
        (Some((format, _)), _) => Ok(format),
        (None, [path]) => bail!("{}: there is no record in it", path.display()),
        (None, _) => bail!("there is no record in any of the {} files", paths.len()),
    }
}

/// Size of the files.
pub fn bytes_of(paths: &[PathBuf]) -> u64 {
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    paths.iter().map(size).sum()
}
