//! Errors outside the code that is run; its own failures are a [`Status`](crate::Status).

use std::io;
use std::path::PathBuf;

use crate::Protection;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Trouble with the machine or the settings, never with the code under test.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // --- finding Python ---
    /// No usable interpreter on `PATH`.
    #[error(
        "no usable Python: looked for `python3`, version 3.8 or newer, in {searched}{rejected}; \
         install Python 3.8 or newer, or name one with `Python::at`"
    )]
    PythonNotFound {
        /// The folders of `PATH`, as it was written.
        searched: String,
        /// The interpreters found there and why each cannot be used; empty if there were none.
        rejected: String,
    },
    /// The named interpreter cannot be used.
    #[error("{} cannot be used as Python: {reason}; name an interpreter of version 3.8 or newer", path.display())]
    PythonUnusable {
        /// The interpreter's path as it was given.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },

    // --- settings ---
    /// A limit that no process could run under.
    #[error("limit `{field}` is {value}: {rule}")]
    InvalidLimit {
        /// The field of [`Limits`](crate::Limits), or `sandbox.` and one of [`Sandbox`](crate::Sandbox).
        field: &'static str,
        /// Its value.
        value: String,
        /// The rule that the value breaks.
        rule: &'static str,
    },
    /// A pool without interpreters.
    #[error("a pool of 0 interpreters can run nothing; ask for at least 1")]
    EmptyPool,
    /// A pool of one interpreter for work that takes two.
    #[error("a pool of 1 interpreter has no pair for tests and candidate; ask for at least 2")]
    NoPair,

    /// No level of protection that the settings accept can be had on this machine.
    #[error(
        "protection `{required}` is required and cannot be had here: {probe}: {detail}; {}",
        remedy(probe)
    )]
    ProtectionTooLow {
        /// What [`Sandbox::require`](crate::Sandbox::require) asks for.
        required: Protection,
        /// The step or the attempt that denied it.
        probe: String,
        /// What happened.
        detail: String,
    },

    // --- running ---
    /// The driver process cannot be started.
    #[error("cannot start {}: {source}", python.display())]
    Start {
        /// The interpreter.
        python: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The temporary working folder cannot be made.
    #[error("cannot make a temporary folder in {}: {source}; free space there or set TMPDIR", parent.display())]
    WorkFolder {
        /// Where it was to be.
        parent: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The driver process ended, was stopped, or said something that is no answer.
    #[error(
        "lost the Python driver process while {doing}: {reason}{}",
        stderr_part(stderr)
    )]
    DriverLost {
        /// The request it was working on.
        doing: &'static str,
        /// How it was lost.
        reason: String,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// The driver could not do its part: no more processes, no space, a module to preload that is not there.
    #[error("the Python driver process failed while {doing}: {message}")]
    Driver {
        /// The request that failed.
        doing: &'static str,
        /// The driver's own message.
        message: String,
    },
}

impl Error {
    pub(crate) fn no_thread(doing: &'static str, error: &io::Error) -> Self {
        Self::Driver {
            doing,
            message: format!("cannot start a thread: {error}"),
        }
    }

    /// Whether it is trouble with the machine, which may be gone at the next attempt or in another interpreter.
    pub fn is_trouble(&self) -> bool {
        matches!(
            self,
            Self::Start { .. }
                | Self::WorkFolder { .. }
                | Self::DriverLost { .. }
                | Self::Driver { .. }
        )
    }
}

fn remedy(probe: &str) -> &'static str {
    if probe.contains("landlock") {
        "a kernel with Landlock (5.13 or newer, `lsm=` naming it) is needed, or a lower level must be accepted"
    } else if probe.contains("user") || probe.contains("unshare") || probe.contains("mount") {
        "allow user namespaces to unprivileged processes (`sysctl kernel.apparmor_restrict_unprivileged_userns=0` or \
         `kernel.unprivileged_userns_clone=1`; in a container a seccomp profile that allows `unshare` and `mount`), or \
         accept a lower level"
    } else {
        "`code_interpreter::probe` shows all that was tried; run on Linux with user namespaces and Landlock, or accept a \
         lower level"
    }
}

fn stderr_part(stderr: &str) -> String {
    if stderr.is_empty() {
        String::new()
    } else {
        format!("; it wrote: {stderr}")
    }
}
