//! What goes to the driver process and comes back, as JSON lines.

use serde::{Deserialize, Serialize};

use crate::execution::{SyntaxError, WireCell, WireProgram};
use crate::limits::WireLimits;
use crate::protection::WireFacts;
use crate::sandbox::{WireOutcome, WirePlan, WireProbe};

/// A request to the driver process.
#[derive(Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Request<'a> {
    Syntax {
        snippets: &'a [&'a str],
    },
    Run {
        cells: &'a [&'a str],
        /// Whether the code has `call_out`.
        calls: bool,
        modules: &'a [Module],
        /// In place of the interpreter's time and memory.
        limits: Option<WireLimits>,
    },
    Session {
        cell: &'a str,
    },
    Reset,
    Open,
    Fork {
        state: u64,
        cells: &'a [&'a str],
        keep: bool,
    },
    Close {
        state: u64,
    },
    Program {
        source: &'a str,
        stdin: &'a str,
        /// In place of the interpreter's time and memory.
        limits: Option<WireLimits>,
    },
}

/// What a call of the code is answered with; `None` ends the run.
#[derive(Serialize)]
pub(crate) struct Answer {
    pub answer: Option<String>,
}

/// A Python module of this crate's, for code that runs on its behalf: its name and its source. The driver runs it once.
pub(crate) type Module = (&'static str, &'static str);

/// A reply of the driver process.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// Not the end: the code asks something, and goes on with the answer.
    Call(String),
    Ready(Ready),
    Refused(Refusal),
    Error(String),
    Syntax(Vec<Option<SyntaxError>>),
    Cells(Vec<WireCell>),
    Session(WireSession),
    Reset(()),
    Opened(u64),
    /// None if the state is not what it was.
    Forked(Option<WireFork>),
    Program(WireProgram),
}

#[derive(Deserialize)]
pub(crate) struct Ready {
    #[serde(flatten)]
    pub facts: WireFacts,
    /// None at a level that promises nothing.
    pub probes: Option<WireOutcome>,
}

/// The system did not allow a step of putting the sandbox up.
#[derive(Deserialize)]
pub(crate) struct Refusal {
    pub step: String,
    pub detail: String,
}

#[derive(Deserialize)]
pub(crate) struct WireFork {
    pub cells: Vec<WireCell>,
    pub kept: Option<u64>,
    pub dirty: bool,
}

#[derive(Deserialize)]
pub(crate) struct WireSession {
    pub cell: WireCell,
    /// The process had ended since the last cell, so this one started from nothing.
    pub was_lost: bool,
    /// The process ended with this cell.
    pub is_lost: bool,
}

#[derive(Serialize)]
pub(crate) struct Config<'a> {
    pub limits: WireLimits,
    pub preload: &'a [String],
    pub short_tracebacks: bool,
    pub sandbox: WirePlan,
    pub probe: Option<WireProbe>,
}
