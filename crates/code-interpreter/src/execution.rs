//! Results of cells and programs: output, status and time.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// One cell that was run.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// The output as a notebook shows it under the cell: standard output and standard error in the order they were
    /// written, the `repr` of a last expression that has a value, a traceback. One final line end is left out. Longer
    /// output than [`Limits::output_chars`](crate::Limits::output_chars) is cut and followed by `...\n[Output
    /// Truncated]`; a cell that was stopped ends in a line that says why. Bytes that are not UTF-8 appear as U+FFFD.
    pub output: String,
    /// How it ended.
    pub status: Status,
    /// Whether output was left out.
    pub truncated: bool,
    /// Time by the clock.
    pub wall: Duration,
}

impl Execution {
    /// The text for a model's eyes: [`output`](Self::output), or `[Executed Successfully with No Output]` when a cell
    /// went well in silence.
    pub fn render(&self) -> &str {
        if self.output.is_empty() && self.status == Status::Ok {
            "[Executed Successfully with No Output]"
        } else {
            &self.output
        }
    }
}

/// How a cell or a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// To its end.
    Ok,
    /// By an exception nobody caught, `SystemExit` and `SyntaxError` included. Variables are kept.
    Exception {
        /// The name of its class.
        kind: String,
        /// Its text, at most 500 characters.
        message: String,
    },
    /// At the limit of wall-clock or processor time.
    TimedOut,
    /// By a `MemoryError`.
    OutOfMemory,
    /// It wrote more than [`Limits::output_bytes`](crate::Limits::output_bytes).
    OutputLimit,
    /// Its process ended under it: a signal, or `os._exit`.
    Died {
        /// The signal, if it was one.
        signal: Option<i32>,
    },
    /// By the answer to a call of its own, [`CallReply::Stop`](crate::CallReply::Stop).
    Stopped,
    /// It was not run, because a cell before it ended the process they would have shared.
    NotRun,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Exception { kind, message } if message.is_empty() => f.write_str(kind),
            Self::Exception { kind, message } => write!(f, "{kind}: {message}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::OutputLimit => f.write_str("wrote too much"),
            Self::Died {
                signal: Some(signal),
            } => write!(f, "ended by signal {signal}"),
            Self::Died { signal: None } => f.write_str("its process ended"),
            Self::Stopped => f.write_str("stopped"),
            Self::NotRun => f.write_str("not run"),
        }
    }
}

/// One run of a whole program.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgramRun {
    /// Standard output, complete unless [`Status::OutputLimit`]. Bytes that are not UTF-8 appear as U+FFFD.
    pub stdout: String,
    /// Standard error, with the traceback of an exception.
    pub stderr: String,
    /// How it ended. `sys.exit()` and `sys.exit(0)` are [`Status::Ok`].
    pub status: Status,
    /// Time by the clock.
    pub wall: Duration,
}

/// Why code is not Python.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// The parser's message.
    pub message: String,
}

/// How the driver reports the end of a cell or a program.
#[derive(Deserialize)]
pub(crate) struct WireStatus {
    status: WireKind,
    kind: Option<String>,
    message: Option<String>,
    signal: Option<i32>,
    wall: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireKind {
    Ok,
    Exception,
    TimedOut,
    OutOfMemory,
    OutputLimit,
    Died,
    Stopped,
    NotRun,
}

impl WireStatus {
    fn read(self) -> (Status, Duration) {
        let status = match self.status {
            WireKind::Ok => Status::Ok,
            WireKind::Exception => Status::Exception {
                kind: self.kind.unwrap_or_default(),
                message: self.message.unwrap_or_default(),
            },
            WireKind::TimedOut => Status::TimedOut,
            WireKind::OutOfMemory => Status::OutOfMemory,
            WireKind::OutputLimit => Status::OutputLimit,
            WireKind::Died => Status::Died {
                signal: self.signal,
            },
            WireKind::Stopped => Status::Stopped,
            WireKind::NotRun => Status::NotRun,
        };
        (
            status,
            Duration::try_from_secs_f64(self.wall).unwrap_or_default(),
        )
    }
}

#[derive(Deserialize)]
pub(crate) struct WireCell {
    #[serde(flatten)]
    end: WireStatus,
    output: String,
    truncated: bool,
}

impl From<WireCell> for Execution {
    fn from(cell: WireCell) -> Self {
        let (status, wall) = cell.end.read();
        Self {
            output: cell.output,
            status,
            truncated: cell.truncated,
            wall,
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct WireProgram {
    #[serde(flatten)]
    end: WireStatus,
    stdout: String,
    stderr: String,
}

impl From<WireProgram> for ProgramRun {
    fn from(program: WireProgram) -> Self {
        let (status, wall) = program.end.read();
        Self {
            stdout: program.stdout,
            stderr: program.stderr,
            status,
            wall,
        }
    }
}
