//! The events of a run beside its snapshots, so that a run that goes on has the metrics of the whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use eurus::train::{Event, Snapshots};

use crate::record;

/// The events, among the snapshots.
const METRICS: &str = "metrics.jsonl";
/// Reference log-probs, among the snapshots unless another place is named.
pub const REFERENCE: &str = "reference.jsonl";

/// The file while it is written anew. It always has this name, so a kill leaves one at most, and the next run takes it.
const PARTIAL: &str = ".metrics.jsonl.part";

/// A file of events, one JSON object a line, that survives the run.
pub struct EventLog {
    path: PathBuf,
    file: File,
    /// Events that the file had when it was opened.
    before: Vec<Event>,
    /// The first event that could not be written; training goes on, but the run fails.
    fault: Option<io::Error>,
}

/// The step that an event belongs to.
fn step_of(event: &Event) -> Option<usize> {
    match event {
        Event::Collapse { step, .. }
        | Event::Evaluated { step, .. }
        | Event::NotEvaluated { step, .. }
        | Event::NotFinite { step, .. } => Some(*step),
        other => other.progress().map(|progress| progress.step),
    }
}

impl EventLog {
    /// Opens the log of these snapshots.
    pub fn open(snapshots: &Snapshots) -> Result<Self> {
        let folder = &snapshots.folder;
        fs::create_dir_all(folder).with_context(|| {
            format!(
                "{}: cannot create the folder (--snapshots)",
                folder.display()
            )
        })?;
        let path = folder.join(METRICS);
        let problem = || {
            format!(
                "{}: cannot keep the metrics of the snapshots",
                path.display()
            )
        };
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.with_context(problem)?,
        };
        // The last line of a killed run may be half a line.
        let before = text
            .lines()
            .map_while(|line| serde_json::from_str(line).ok())
            .collect();
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(problem)?;
        Ok(Self {
            path,
            file,
            before,
            fault: None,
        })
    }

    /// Drops what came after a step, and returns the steps and warnings that came before.
    pub fn keep_until(&mut self, step: usize) -> Vec<Event> {
        let kept: Vec<Event> = std::mem::take(&mut self.before)
            .into_iter()
            .filter(|event| step_of(event).is_some_and(|of_event| of_event <= step))
            .collect();
        if let Err(error) = self.rewrite(&kept) {
            self.fault.get_or_insert(error);
        }
        kept
    }

    /// Puts these events in place of the file's. A kill in between leaves the old ones.
    fn rewrite(&mut self, events: &[Event]) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let partial = folder.join(PARTIAL);
        let mut file = File::create(&partial)?;
        for event in events {
            serde_json::to_writer(&mut file, event)?;
            writeln!(file)?;
        }
        fs::rename(&partial, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        Ok(())
    }

    /// Adds an event that belongs to a step.
    pub fn add(&mut self, event: &Event) {
        if step_of(event).is_none() || self.fault.is_some() {
            return;
        }
        if !std::mem::take(&mut self.before).is_empty() {
            // They are of a run that is not gone on with.
            self.fault = self.rewrite(&[]).err();
        }
        let written = serde_json::to_string(event)
            .map_err(io::Error::other)
            .and_then(|line| writeln!(self.file, "{line}"));
        self.fault = self.fault.take().or(written.err());
    }

    /// Reports a fault of the run's time.
    pub fn finish(self) -> Result<()> {
        match self.fault {
            None => Ok(()),
            Some(fault) => Err(fault)
                .with_context(|| format!("{}: the metrics of the snapshots", self.path.display())),
        }
    }
}

/// Removes what a finished run that was not to save its state leaves among its snapshots, unless there are any.
pub fn tidy(snapshots: &Snapshots) {
    let folder = &snapshots.folder;
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut ours = vec![METRICS, PARTIAL, record::FILE, REFERENCE];
    if names.into_iter().all(|name| ours.contains(&name.as_str())) {
        for name in ours.drain(..) {
            let _ = fs::remove_file(folder.join(name));
        }
        let _ = fs::remove_dir(folder);
    }
}

/// As [`tidy`], after a failure before the first step: reference log-probs are worth keeping, and so are the metrics of a run
/// that was to be gone on with.
pub fn tidy_unused(snapshots: &Snapshots) {
    let folder = &snapshots.folder;
    let is_used = |name: &str| fs::metadata(folder.join(name)).is_ok_and(|it| it.len() > 0);
    if ![METRICS, REFERENCE].into_iter().any(is_used) {
        tidy(snapshots);
    }
}
