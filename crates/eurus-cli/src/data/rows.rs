//! The output of a command: rows, and the records it refused.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use eurus::data::formats::{Format, JsonlWriter};
use eurus::data::input::Rejected;
use eurus::data::output::Output;
use indicatif::HumanCount;

use crate::interrupt;

/// Where rows go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Out {
    /// File for the rows: .parquet, .jsonl.gz, .jsonl.zst, or JSONL; written whole or not at all
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Replace files that are there
    #[arg(long)]
    pub overwrite: bool,
}

/// The policy for records that cannot be read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct Invalid {
    /// Leave invalid records out and write them to this file, each with its place and the reason [default: stop at the
    /// first]
    #[arg(long, value_name = "REJECTS")]
    pub skip_invalid: Option<PathBuf>,
}

impl Out {
    pub fn create(&self, format: Format) -> Result<Output> {
        check_new(&self.out, "--out", self.overwrite)?;
        let out = Output::create(&self.out, format)?;
        interrupt::state().remove_when_interrupted(out.temporary());
        Ok(out)
    }
}

/// Refuses a file that is there and may not be replaced.
pub fn check_new(path: &Path, option: &str, overwrite: bool) -> Result<()> {
    if path.is_dir() {
        bail!("{}: {option} is a folder; name a file", path.display());
    }
    if path.exists() && !overwrite {
        bail!(
            "{}: the file ({option}) exists; choose another name, or replace it with --overwrite",
            path.display()
        );
    }
    Ok(())
}

/// Counts refused records and writes them down, or stops at the first.
pub struct Rejects {
    file: Option<JsonlWriter>,
    path: Option<PathBuf>,
    count: u64,
}

impl Rejects {
    pub fn new(invalid: &Invalid, overwrite: bool) -> Result<Self> {
        let file = match &invalid.skip_invalid {
            None => None,
            Some(path) => {
                check_new(path, "--skip-invalid", overwrite)?;
                let file = JsonlWriter::create(path)?;
                interrupt::state().remove_when_interrupted(file.temporary());
                Some(file)
            }
        };
        Ok(Self {
            file,
            path: invalid.skip_invalid.clone(),
            count: 0,
        })
    }

    pub fn add(&mut self, rejected: Rejected) -> Result<()> {
        match &mut self.file {
            None => Err(anyhow::Error::new(rejected.error)
                .context("an invalid record; leave such out with --skip-invalid REJECTS")),
            Some(file) => {
                self.count += rejected.records();
                Ok(file.write(&rejected)?)
            }
        }
    }

    /// Writes the file, if there is anything to write, and says so.
    pub fn finish(self) -> Result<String> {
        match (self.file, self.path) {
            (Some(file), Some(path)) if self.count > 0 => {
                file.finish()?;
                Ok(format!(
                    "; {} invalid records left out, see {}",
                    count(self.count),
                    path.display()
                ))
            }
            _ => Ok(String::new()),
        }
    }
}

/// A number for people.
pub fn count(number: u64) -> HumanCount {
    HumanCount(number)
}
