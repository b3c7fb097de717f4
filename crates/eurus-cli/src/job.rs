//! One run, the same for every command: train, watch, write, sum up. Whatever fails on the way, what was trained is kept.

use std::io::{self, Write};
use std::sync::OnceLock;

use anyhow::{Error, Result, anyhow};
use eurus::models::Checkpoint;
use eurus::train::{Event, Snapshots, StopReason};

use crate::event_log::{self, EventLog};
use crate::interrupt::{self, Interrupted, Phase};
use crate::invocation;
use crate::output::Output;
use crate::progress::Progress;
use crate::record::Record;
use crate::summary;

/// A run that is about to begin.
pub struct Job<'a> {
    /// On the first rank alone.
    pub output: Option<Output>,
    pub snapshots: &'a Snapshots,
    /// What is told of the run beside its result.
    pub record: Record,
    pub title: &'a str,
    /// What the run begins with.
    pub phase: Phase,
}

/// What the events of a run leave behind.
#[derive(Default)]
struct Seen {
    steps: Vec<Event>,
    warnings: usize,
    /// Evaluations and snapshots that failed.
    faults: Vec<Error>,
    /// The step after which the run was interrupted.
    interrupted: Option<(usize, usize)>,
}

impl Seen {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Collapse { .. } => self.warnings += 1,
            Event::NotEvaluated { step, problem } => self.faults.push(anyhow!(
                "the model could not be judged after step {step}: {problem}"
            )),
            Event::Saved { step, path } | Event::Resumed { step, path } => {
                interrupt::state().saved = Some((*step, path.clone()));
            }
            Event::Stopped {
                step,
                steps,
                reason: StopReason::Requested,
            } => self.interrupted = Some((*step, *steps)),
            Event::Reference { done: now, pairs } => {
                if let Phase::Reference { done, of, .. } = &mut interrupt::state().phase {
                    (*done, *of) = (*now, *pairs);
                }
            }
            step => {
                if step.progress().is_some() {
                    self.steps.push(step.clone());
                }
            }
        }
    }
}

/// Trains, writes the checkpoint with `write`, prints the summary and returns the model. Without an output, on a rank that
/// is not the first, it trains and is silent.
pub fn run<M>(
    job: Job<'_>,
    train: impl FnOnce(&mut dyn FnMut(&Event)) -> eurus::train::Result<M>,
    write: impl Fn(&Checkpoint, &M) -> eurus::models::Result<()>,
) -> Result<M> {
    let Job {
        output,
        snapshots,
        record,
        title,
        phase,
    } = job;
    interrupt::enter(phase);
    let mut seen = Seen::default();
    let Some(mut output) = output else {
        let model = train(&mut |event| seen.take(event))?;
        return match seen.interrupted {
            Some(_) => Err(Interrupted::now().into()),
            None => Ok(model),
        };
    };
    let mut progress = Progress::new(title);
    let mut log = EventLog::open(snapshots)?;
    record.write(&snapshots.folder)?;
    let trained = train(&mut |event| {
        let mut take = |event: &Event| {
            output.record(event);
            seen.take(event);
        };
        if let Event::Resumed { step, .. } = event {
            log.keep_until(*step).iter().for_each(&mut take);
        }
        let event = &with_memory(event);
        take(event);
        output.show(event);
        progress.show(event);
        log.add(event);
    });
    progress.finish();
    let Seen {
        steps,
        warnings,
        mut faults,
        interrupted,
    } = seen;
    if let Some((step, of)) = interrupted {
        tell_of_interrupt(step, of);
        return Err(Interrupted::now().into());
    }
    let model = trained.map_err(|error| {
        if steps.is_empty() {
            event_log::tidy_unused(snapshots);
        }
        failed(error.into(), steps.last(), snapshots)
    })?;
    let taken = steps.last().and_then(Event::progress).map(|it| it.step);
    let mut written = output.commit(&record, taken, |checkpoint| write(checkpoint, &model))?;
    faults.append(&mut written.faults);
    // After the result: there may be room again.
    faults.extend(log.finish().err());
    if snapshots.every_steps.is_none() {
        event_log::tidy(snapshots);
    }
    print(&summary::of_run(title, &steps, warnings, &written));
    let but = match faults.is_empty() {
        true => String::new(),
        false => {
            let faults: Vec<String> = faults.iter().map(crate::with_causes).collect();
            format!(", but: {}", faults.join("; "))
        }
    };
    let out = written.out.display();
    if interrupt::state().exit_code.is_some() {
        tell!("interrupted; {out} is complete{but}");
        return Err(Interrupted::now().into());
    }
    match faults.is_empty() {
        true => Ok(model),
        false => Err(anyhow!("the model is complete in {out}{but}")),
    }
}

/// The event, with the memory of this process if it is a step.
fn with_memory(event: &Event) -> Event {
    let mut event = event.clone();
    if let Some(progress) = event.progress_mut() {
        progress.peak_resident_bytes = eurus_memory::peak_resident_bytes();
    }
    event
}

/// Says where an interrupted run is kept, and how it goes on.
fn tell_of_interrupt(step: usize, of: usize) {
    let state = interrupt::state();
    let go_on = invocation::to_go_on();
    match &state.saved {
        Some((saved, path)) if *saved == step => tell!(
            "interrupted after step {step} of {of}; the state is kept in {}. Go on with:\n  {go_on}",
            path.display()
        ),
        Some((saved, path)) => tell!(
            "interrupted after step {step} of {of}, which could not be saved; the state after step {saved} is kept in {}. Go on with:\n  {go_on}",
            path.display()
        ),
        None if step == 0 => tell!(
            "interrupted before the first step; there is nothing to save yet, and the same command begins again:\n  {}",
            invocation::again()
        ),
        None => tell!("interrupted after step {step} of {of}, which could not be saved"),
    }
}

/// An error of training, with what is left of the run and how to go on with it.
fn failed(error: Error, last: Option<&Event>, snapshots: &Snapshots) -> Error {
    let Some(progress) = last.and_then(Event::progress) else {
        return error;
    };
    let kept = match &interrupt::state().saved {
        Some((step, path)) => format!(
            "the state after step {step} is kept in {}; go on with:\n  {}",
            path.display(),
            invocation::to_go_on()
        ),
        None => format!(
            "the metrics through step {} are kept in {}",
            progress.step,
            snapshots.folder.display()
        ),
    };
    let message = crate::with_causes(&error);
    error.context(format!("{message}\n{kept}"))
}

/// What standard output refused, beside a reader that has gone away.
static UNPRINTED: OnceLock<io::Error> = OnceLock::new();

/// Prints to standard output. The work is done by then: a reader that has gone away does not undo it, and a file that is
/// full is told [in the end](unprinted).
pub fn print(text: &str) {
    if let Err(error) = writeln!(io::stdout(), "{text}")
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = UNPRINTED.set(error);
    }
}

/// The error of a command that did all it was to do, and could not say so where it was to.
pub fn unprinted() -> Result<()> {
    let Some(error) = UNPRINTED.get() else {
        return Ok(());
    };
    let cause = match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => error.kind().into(),
    };
    Err(Error::new(cause).context("standard output cannot be written"))
}
