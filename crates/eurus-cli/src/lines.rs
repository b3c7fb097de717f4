//! A file of JSON lines that are on the disk as they come, and are not lost when it is full for a while.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Error, Result};
use serde::Serialize;

/// Lines that could not be written wait in memory, and are tried again with the next one and at the end.
pub struct Lines {
    path: PathBuf,
    file: File,
    /// Bytes of the lines that are written.
    written: u64,
    waiting: Vec<u8>,
    items: usize,
    /// The first item that has no JSON form.
    fault: Option<Error>,
}

impl Lines {
    /// Begins a file.
    pub fn create(path: PathBuf) -> Result<Self> {
        let mut lines = Self::append_to(path)?;
        lines.truncate(0);
        Ok(lines)
    }

    /// Goes on with a file, or begins one.
    pub fn append_to(path: PathBuf) -> Result<Self> {
        let problem = || format!("{}: cannot write the metrics", path.display());
        let mut options = OpenOptions::new();
        let opened = options.create(true).append(true).open(&path);
        let file = opened.with_context(problem)?;
        let written = file.metadata().with_context(problem)?.len();
        Ok(Self {
            path,
            file,
            written,
            waiting: Vec::new(),
            items: 0,
            fault: None,
        })
    }

    /// Drops what comes after so many bytes.
    pub fn truncate(&mut self, bytes: u64) {
        self.written = self.written.min(bytes);
        // If it fails, what cannot be cut off is found when the next line is written.
        let _ = self.file.set_len(self.written);
    }

    /// Adds a line.
    pub fn add(&mut self, item: &impl Serialize) {
        match serde_json::to_vec(item) {
            Ok(line) => {
                self.waiting.extend(line);
                self.waiting.push(b'\n');
                self.items += 1;
            }
            Err(error) => {
                self.fault.get_or_insert(error.into());
            }
        }
        // It is tried again.
        let _ = self.flush();
    }

    fn flush(&mut self) -> io::Result<()> {
        // Half a line of an attempt that failed must not stay before the next one.
        if self.file.metadata()?.len() != self.written {
            self.file.set_len(self.written)?;
        }
        self.file.write_all(&self.waiting)?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Writes what waits. Returns the number of lines.
    pub fn finish(mut self) -> Result<usize> {
        let flushed = self.flush().map_err(Error::from);
        let fault = self.fault.map_or(Ok(()), Err);
        flushed
            .and(fault)
            .with_context(|| format!("{}: the metrics are not complete", self.path.display()))?;
        Ok(self.items)
    }
}
