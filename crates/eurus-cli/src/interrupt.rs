//! Ctrl-C and its kin: the first one ends a run in order, the second at once, and each says what there is to go on with.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use eurus::train::StopRequest;

use crate::invocation;

pub mod child;

/// What a shell adds to the number of the signal that ended a program.
const BY_SIGNAL: i32 = 128;

/// What the program is at, as far as an interrupt is concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Phase {
    /// A command that does not train.
    #[default]
    Elsewhere,
    /// Options, rows, weights: nothing to keep yet.
    Preparing,
    /// Reference log-probs, and the file that keeps those that are done.
    Reference {
        file: PathBuf,
        done: usize,
        of: usize,
    },
    /// Steps, which a request ends.
    Training,
    /// Answers of models, which a request ends after those under way; and the file or store that keeps them.
    Answers(String),
    /// Work that an interrupt ends at once, and the folder that keeps what is done of it: steps of a recipe, answers that are
    /// judged.
    Kept(PathBuf),
    /// A conversation, of which is kept what its user saved.
    Talking,
    /// Requests over HTTP, of which those that have begun are answered after the first interrupt.
    Serving,
    /// The trained model becomes the result.
    Writing,
    /// There is no room for the result.
    Waiting,
    /// The result is whole.
    Written(PathBuf),
}

/// What an interrupt must know of.
#[derive(Debug, Default)]
pub struct State {
    /// Folders and files to remove when the program ends at once.
    temporary: Vec<PathBuf>,
    pub phase: Phase,
    /// The newest snapshot of the run, and its step.
    pub saved: Option<(usize, PathBuf)>,
    /// Whether another process says that the run was interrupted.
    pub silent: bool,
    /// The exit code that the first interrupt asks for.
    pub exit_code: Option<i32>,
    /// The program that does a step of a recipe: interrupts are its.
    child: Option<u32>,
}

static STATE: Mutex<State> = Mutex::new(State {
    temporary: Vec::new(),
    phase: Phase::Elsewhere,
    saved: None,
    silent: false,
    exit_code: None,
    child: None,
});

static STOP: LazyLock<StopRequest> = LazyLock::new(StopRequest::default);

static ANSWERS_STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// The run was interrupted: what there is to say has been said, and the program ends with this code.
#[derive(Debug)]
pub struct Interrupted {
    pub exit_code: u8,
}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

impl Interrupted {
    /// As an interrupt asked for it; on a rank that heard of none, as Ctrl-C does.
    pub fn now() -> Self {
        let exit_code = state().exit_code.unwrap_or(BY_SIGNAL + 2);
        Self {
            exit_code: u8::try_from(exit_code).unwrap_or(u8::MAX),
        }
    }
}

impl State {
    /// Leaves it where it is after all.
    pub fn keep(&mut self, path: &Path) {
        self.temporary.retain(|it| it != path);
    }
}

/// The request that an interrupt makes of a trainer.
pub fn stop_request() -> StopRequest {
    STOP.clone()
}

/// What an interrupt sets for those who ask models.
pub fn answers_stop() -> Arc<AtomicBool> {
    ANSWERS_STOP.clone()
}

/// What an interrupt knows. It waits while the guard is held: hold it for what must not be cut in two, and not for long.
pub fn state() -> MutexGuard<'static, State> {
    // The paths are valid whatever another thread did while it held them.
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a hidden folder or file, which is removed when the program ends at once. An interrupt waits until it is made and known.
pub fn temporary<T, E>(
    make: impl FnOnce() -> Result<T, E>,
    path: impl FnOnce(&T) -> &Path,
) -> Result<T, E> {
    let mut state = state();
    let made = make()?;
    state.temporary.push(path(&made).to_path_buf());
    Ok(made)
}

/// Says what the program is at from now on.
pub fn enter(phase: Phase) {
    state().phase = phase;
}

/// Gives results their names, which an interrupt waits for; from then on they are whole.
pub fn written<T>(out: &Path, finish: impl FnOnce() -> Result<T>) -> Result<T> {
    let mut state = state();
    let done = finish()?;
    state.phase = Phase::Written(out.to_path_buf());
    Ok(done)
}

/// The code that an interrupt asked for, of a command that came to its end all the same.
pub fn asked_for() -> Option<u8> {
    let code = state().exit_code?;
    Some(u8::try_from(code).unwrap_or(u8::MAX))
}

/// Handles interrupts from now on.
#[cfg(unix)]
pub fn install() -> Result<()> {
    use anyhow::Context;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::iterator::Signals;

    let problem = "cannot listen for interrupts";
    // `nohup` has the program ignore it, and means that.
    let hang_up = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    let signals = [SIGINT, SIGTERM].into_iter().chain(hang_up);
    let mut signals = Signals::new(signals).context(problem)?;
    // A file that grows beyond the limit of the system is an error of writing then, which is reported and survived.
    signal_hook::flag::register(SIGXFSZ, Arc::<AtomicBool>::default()).context(problem)?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            handle(BY_SIGNAL + signal);
        }
    });
    Ok(())
}

/// Whether the program was started with this signal ignored, as far as the system tells it.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| (mask >> (signal - 1)) & 1 == 1)
}

/// Interrupts end the program as the system does it.
#[cfg(not(unix))]
pub fn install() -> Result<()> {
    Ok(())
}

#[cfg_attr(not(unix), allow(dead_code))]
fn handle(exit_code: i32) {
    let mut state = state();
    let again = state.exit_code.replace(exit_code).is_some();
    #[cfg(unix)]
    if let Some(child) = state.child {
        // It says what it does about it.
        child::pass_on(exit_code - BY_SIGNAL, child);
        return;
    }
    let waits = match state.phase {
        Phase::Training if !again => {
            STOP.make();
            "the step is finished and the state saved, then the run ends"
        }
        Phase::Answers(_) if !again => {
            ANSWERS_STOP.store(true, Ordering::Relaxed);
            "answers under way are waited for and kept, then the run ends"
        }
        Phase::Serving if !again => {
            ANSWERS_STOP.store(true, Ordering::Relaxed);
            "requests that have begun are answered, and no more are taken"
        }
        Phase::Writing if !again => "the result is written to its end",
        // The guard is held until the process is gone, so that nothing is begun meanwhile.
        _ => end_at_once(&state, exit_code),
    };
    if !state.silent {
        tell!("\ninterrupted: {waits}; a second interrupt ends the program at once");
    }
}

#[cfg_attr(not(unix), allow(dead_code))]
fn end_at_once(state: &State, exit_code: i32) -> ! {
    for path in &state.temporary {
        remove(path);
    }
    if !state.silent {
        tell!("\ninterrupted{}", kept(state));
    }
    std::process::exit(exit_code)
}

/// How often a folder is emptied that is still written into.
const REMOVALS: usize = 100;

/// Removes a hidden folder or file. Nobody is left to be told of a failure; what stays is harmless.
fn remove(path: &Path) {
    if !path.is_dir() {
        let _ = std::fs::remove_file(path);
        return;
    }
    // Other threads go on: a file that one makes meanwhile keeps its folder.
    for _ in 0..REMOVALS {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {}
            _ => return,
        }
    }
}

/// What is left of the work, and how to go on with it.
fn kept(state: &State) -> String {
    let (go_on, again) = (invocation::to_go_on(), invocation::again());
    match (&state.phase, &state.saved) {
        (Phase::Written(out), _) => format!("; {} is complete", out.display()),
        (Phase::Training | Phase::Writing | Phase::Waiting, Some((step, path))) => format!(
            "; no result was written. The state after step {step} is kept in {}; go on with:\n  {go_on}",
            path.display()
        ),
        (Phase::Training | Phase::Writing | Phase::Waiting, None) => {
            "; no result was written, and no state was saved".to_owned()
        }
        (Phase::Reference { file, done, of }, _) => format!(
            " after {done} of {of} reference log-probs; there is nothing to save, and those that were finished are kept in {}. Go on with:\n  {go_on}",
            file.display()
        ),
        (Phase::Preparing, Some((step, path))) => format!(
            " before the run went on; its state after step {step} is still in {}. Go on with:\n  {go_on}",
            path.display()
        ),
        (Phase::Preparing, None) => format!(
            " before the first step; there is nothing to save yet, and the same command begins again:\n  {again}"
        ),
        (Phase::Answers(store), _) => {
            format!("; what was answered and finished is kept in {store}. Go on with:\n  {again}")
        }
        (Phase::Serving, _) => {
            format!("; requests that had begun were not answered. Serve again with:\n  {again}")
        }
        (Phase::Kept(folder), _) => format!(
            "; what is done is kept in {}. Go on with:\n  {again}",
            folder.display()
        ),
        (Phase::Talking, _) => {
            format!("; what /save wrote is kept. Begin again with:\n  {again}")
        }
        (Phase::Elsewhere, _) => format!("; nothing was written. Begin again with:\n  {again}"),
    }
}
