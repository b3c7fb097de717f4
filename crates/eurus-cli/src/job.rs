//! One run, the same for every command: train, watch, write, sum up.

use std::io::Write;

use anyhow::Result;
use eurus::models::Checkpoint;
use eurus::train::{Event, Snapshots};

use crate::event_log::EventLog;
use crate::output::Output;
use crate::progress::Progress;
use crate::summary;

/// Trains, writes the checkpoint with `write`, prints the summary and returns the model. Without an output, on a rank that
/// is not the first, it trains and is silent.
pub fn run<M>(
    output: Option<Output>,
    snapshots: Option<&Snapshots>,
    title: &str,
    train: impl FnOnce(&mut dyn FnMut(&Event)) -> eurus::train::Result<M>,
    write: impl FnOnce(&Checkpoint, &M) -> eurus::models::Result<()>,
) -> Result<M> {
    let Some(mut output) = output else {
        return Ok(train(&mut |_| {})?);
    };
    let mut progress = Progress::new(title);
    let mut steps = Vec::new();
    let mut warnings = 0;
    let mut log = snapshots.map(EventLog::open).transpose()?;
    let model = train(&mut |event| {
        let mut take = |event: &Event| {
            output.record(event);
            if event.progress().is_some() {
                steps.push(event.clone());
            }
            warnings += usize::from(matches!(event, Event::Collapse { .. }));
        };
        if let (Some(log), Event::Resumed { step, .. }) = (&mut log, event) {
            log.keep_until(*step).iter().for_each(&mut take);
        }
        take(event);
        output.show(event);
        progress.show(event);
        if let Some(log) = &mut log {
            log.add(event);
        }
    })?;
    if let Some(log) = log {
        log.finish()?;
    }
    progress.finish();
    let written = output.commit(|checkpoint| write(checkpoint, &model))?;
    print(&summary::of_run(title, &steps, warnings, &written));
    Ok(model)
}

/// Prints to standard output. The work is done by then: a reader that has gone away does not undo it.
pub fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
