//! The output of a command: rows, and the records it refused.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use eurus::data::formats::{Format, JsonlWriter};
use eurus::data::input::Rejected;
use eurus::data::output::{Output, Sealed};
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
        let create = || Output::create(&self.out, format);
        Ok(interrupt::temporary(create, Output::temporary)?)
    }

    /// Puts the files on the disk, then gives them their names. Returns the number of rows, and what there is to say of those that
    /// were refused.
    pub fn finish(&self, rows: Output, rejects: Rejects) -> Result<(usize, String)> {
        let (rows, rejects) = (rows.seal()?, rejects.seal()?);
        interrupt::written(&self.out, || {
            let left_out = rejects.name()?;
            Ok((rows.name()?, left_out))
        })
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
                let create = || JsonlWriter::create(path);
                Some(interrupt::temporary(create, JsonlWriter::temporary)?)
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

    /// Puts the file on the disk, if there is anything to write.
    pub fn seal(self) -> Result<SealedRejects> {
        let written = match (self.file, self.path) {
            (Some(file), Some(path)) if self.count > 0 => Some((file.seal()?, path)),
            _ => None,
        };
        Ok(SealedRejects {
            written,
            count: self.count,
        })
    }
}

/// Refused records that are on the disk, in a file without a name.
pub struct SealedRejects {
    written: Option<(Sealed, PathBuf)>,
    count: u64,
}

impl SealedRejects {
    /// Gives the file its name, if there is one, and says so.
    pub fn name(self) -> Result<String> {
        let Some((file, path)) = self.written else {
            return Ok(String::new());
        };
        file.name()?;
        Ok(format!(
            "; {} invalid records left out, see {}",
            count(self.count),
            path.display()
        ))
    }
}

/// A number for people.
pub fn count(number: u64) -> HumanCount {
    HumanCount(number)
}
