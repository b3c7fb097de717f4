//! `metrics.jsonl`, read as it grows.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::event::Row;
use super::training::{TrainingKind, TrainingRun};
use super::words::plain;
use crate::error::{Error, Result};

/// Lines that cannot be read and are told one by one.
const TOLD: usize = 3;

/// A metrics file, and what has been read of it.
#[derive(Debug, Default)]
pub(super) struct MetricsFile {
    path: PathBuf,
    /// Bytes of the whole lines that were read.
    read: u64,
    /// The last of them: if it is another one, the file was written anew.
    last_line: Vec<u8>,
    lines: usize,
    /// A line that is not whole stands at the end.
    cut: bool,
    /// One run for each stage, in the order of the file.
    pub runs: Vec<TrainingRun>,
    events: usize,
    unread: Vec<String>,
    unread_lines: usize,
}

impl MetricsFile {
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            ..Self::default()
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many lines there are.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// Whether some line was an event.
    pub fn has_events(&self) -> bool {
        self.events > 0
    }

    /// Reads what was added since the last time. Returns whether there was anything.
    pub fn update(&mut self) -> Result<bool> {
        let problem = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Read { path, source }
        };
        let mut file = File::open(&self.path).map_err(problem(&self.path))?;
        let anew = !self.goes_on(&mut file).map_err(problem(&self.path))?;
        if anew {
            *self = Self::new(std::mem::take(&mut self.path));
        }
        let mut added = Vec::new();
        file.seek(SeekFrom::Start(self.read))
            .and_then(|_| file.read_to_end(&mut added))
            .map_err(problem(&self.path))?;
        let whole = added
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let was_cut = std::mem::replace(&mut self.cut, whole < added.len());
        for line in added[..whole].split_inclusive(|&byte| byte == b'\n') {
            self.take(line);
        }
        self.read += whole as u64;
        Ok(anew || whole > 0 || was_cut != self.cut)
    }

    /// Whether the file still has what was read of it.
    fn goes_on(&self, file: &mut File) -> std::io::Result<bool> {
        if file.metadata()?.len() < self.read {
            return Ok(false);
        }
        let mut last_line = vec![0; self.last_line.len()];
        file.seek(SeekFrom::Start(self.read - last_line.len() as u64))?;
        file.read_exact(&mut last_line)?;
        Ok(last_line == self.last_line)
    }

    fn take(&mut self, line: &[u8]) {
        self.lines += 1;
        self.last_line = line.to_vec();
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let row: Row = match serde_json::from_slice(line) {
            Ok(row) => row,
            Err(error) => return self.cannot_read(&error.to_string()),
        };
        let Some(event) = row.event.as_deref() else {
            // A file of several stages has other rows than those of trainers, such as counts of trees.
            if row.stage.is_none() {
                self.cannot_read("has no field `event`");
            }
            return;
        };
        let (kind, event) = (TrainingKind::of(event), plain(event));
        let (stage, steps) = (row.stage.as_deref().map(plain), row.steps);
        let Some(said) = row.said() else {
            return self.cannot_read(&format!(
                "has an event `{event}` that is not known, or one without its fields"
            ));
        };
        self.events += 1;
        let known = self.runs.iter().position(|run| run.stage == stage);
        let place = known.unwrap_or_else(|| {
            self.runs.push(TrainingRun {
                stage,
                ..TrainingRun::default()
            });
            self.runs.len() - 1
        });
        let run = &mut self.runs[place];
        run.kind = run.kind.or(kind);
        run.planned_steps = steps.or(run.planned_steps);
        run.take(said);
    }

    fn cannot_read(&mut self, problem: &str) {
        self.unread_lines += 1;
        if self.unread.len() < TOLD {
            self.unread
                .push(format!("line {}: {}", self.lines, plain(problem)));
        }
    }

    /// What of the file is not in the report.
    pub fn notes(&self) -> Vec<String> {
        let path = self.path.display();
        let mut notes = Vec::new();
        if self.unread_lines > 0 {
            notes.push(format!(
                "{path}: {} of {} lines are left out because they cannot be read; {}{}",
                self.unread_lines,
                self.lines,
                self.unread.join("; "),
                if self.unread_lines > TOLD {
                    "; …"
                } else {
                    ""
                }
            ));
        }
        if self.cut {
            notes.push(format!(
                "{path}: the last line is not whole: it is being written, or the run was ended in the middle of it. It is left out."
            ));
        }
        notes
    }
}
