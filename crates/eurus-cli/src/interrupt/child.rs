//! A child process of this program, which does a step of a recipe: interrupts are passed on to it, and it ends with its parent,
//! whatever ends that.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

use super::{Interrupted, end_at_once, state};
use crate::invocation;

/// The variable that tells a child which file it keeps locked while it lives.
const LOCK: &str = "EURUS_STEP_LOCK";

/// The file that a step keeps locked while it lives.
pub fn lock_in(folder: &Path) -> PathBuf {
    folder.join(".eurus-recipe-step.lock")
}

/// Runs a command of this program to its end. Its messages name the command that goes on with this one.
pub fn run(mut command: Command, folder: &Path) -> Result<ExitStatus> {
    command
        .stdin(Stdio::piped())
        .env(invocation::GO_ON, invocation::again())
        .env(LOCK, lock_in(folder));
    // What a terminal sends goes to this process alone, which passes it on once.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = {
        let mut state = state();
        if state.exit_code.is_some() {
            drop(state);
            return Err(Interrupted::now().into());
        }
        let child = command.spawn().context("this program cannot be started")?;
        state.child = Some(child.id());
        child
    };
    // Its end of the pipe is what tells the child that this process is there.
    let here = child.stdin.take();
    let ended = child.wait();
    state().child = None;
    drop(here);
    ended.context("the end of the child process cannot be waited for")
}

/// Passes a signal on.
#[cfg(unix)]
pub fn pass_on(signal: i32, child: u32) {
    use rustix::process::{Pid, Signal, kill_process};

    let child = i32::try_from(child).ok().and_then(Pid::from_raw);
    if let (Some(child), Some(signal)) = (child, Signal::from_named_raw(signal)) {
        // It has ended already then.
        let _ = kill_process(child, signal);
    }
}

/// In a child: ends with its parent.
pub fn heed_parent() -> Result<()> {
    let Some(path) = std::env::var_os(LOCK) else {
        return Ok(());
    };
    let lock = File::create(&path)
        .with_context(|| format!("{}: cannot be written", Path::new(&path).display()))?;
    // A file system without locks has none to keep.
    let _ = lock.lock();
    std::thread::spawn(move || {
        let _until_the_process_is_gone = lock;
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let mut state = state();
        state.silent = true;
        end_at_once(&state, 1)
    });
    Ok(())
}
