//! The events of a run beside its snapshots, so that a run that goes on has the metrics of the whole.

use std::fs;
use std::io;

use anyhow::{Context, Result};
use eurus::train::{Event, Snapshots};

use crate::lines::Lines;
use crate::record;

/// The events, among the snapshots.
const METRICS: &str = "metrics.jsonl";
/// Reference log-probs, among the snapshots unless another place is named.
pub const REFERENCE: &str = "reference.jsonl";

/// A file of events, one JSON object a line, that survives the run.
pub struct EventLog {
    lines: Lines,
    /// Events that the file had when it was opened, each with the byte after it.
    before: Vec<(Event, u64)>,
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
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text.with_context(problem)?,
        };
        let mut end = 0;
        // The last line of a killed run may be half a line.
        let before: Vec<(Event, u64)> = text
            .split_inclusive(|&byte| byte == b'\n')
            .take_while(|line| line.ends_with(b"\n"))
            .map_while(|line| {
                end += line.len() as u64;
                Some((serde_json::from_slice(line).ok()?, end))
            })
            .collect();
        let mut lines = Lines::append_to(path)?;
        lines.truncate(before.last().map_or(0, |(_, end)| *end));
        Ok(Self { lines, before })
    }

    /// Drops what came after a step, and returns the steps and warnings that came before.
    pub fn keep_until(&mut self, step: usize) -> Vec<Event> {
        // Steps come one after another.
        let is_kept = |event: &Event| step_of(event).is_some_and(|of_event| of_event <= step);
        let kept: Vec<_> = std::mem::take(&mut self.before)
            .into_iter()
            .take_while(|(event, _)| is_kept(event))
            .collect();
        self.lines.truncate(kept.last().map_or(0, |(_, end)| *end));
        kept.into_iter().map(|(event, _)| event).collect()
    }

    /// Adds an event that belongs to a step.
    pub fn add(&mut self, event: &Event) {
        if step_of(event).is_none() {
            return;
        }
        if !std::mem::take(&mut self.before).is_empty() {
            // They are of a run that is not gone on with.
            self.lines.truncate(0);
        }
        self.lines.add(event);
    }

    /// Reports a fault of the run's time.
    pub fn finish(self) -> Result<()> {
        self.lines.finish().map(drop)
    }
}

/// Removes what a finished run that was not to save its state leaves among its snapshots, unless there are any.
pub fn tidy(snapshots: &Snapshots) {
    let folder = &snapshots.folder;
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let ours = [METRICS, record::FILE, REFERENCE];
    if names.into_iter().all(|name| ours.contains(&name.as_str())) {
        for name in ours {
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
