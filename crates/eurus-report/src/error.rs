//! Why one cannot make a report.

use std::path::PathBuf;

/// What went wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is neither a file nor a folder.
    #[error(
        "{}: there is no such file or folder, and no run on its way to it; give the folder that a run wrote or is to write (its --out)",
        path.display()
    )]
    NotThere {
        /// What was given.
        path: PathBuf,
    },
    /// A folder in which no run is.
    #[error(
        "{}: no run is in this folder: it has neither metrics.jsonl (of `eurus sft`, `prefer`, `reward`, or the quickstart) nor summary.json (of `eurus eval run`)",
        path.display()
    )]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// A run whose metrics are in another place.
    #[error(
        "{}: the metrics of this run were written to another place (--metrics); give the file {metrics} instead of the folder",
        path.display()
    )]
    MetricsElsewhere {
        /// The folder.
        path: PathBuf,
        /// Where the run wrote them, seen from where it was started.
        metrics: String,
    },
    /// A metrics file without an event.
    #[error(
        "{}: none of its {lines} lines is an event of a training run{}; give the metrics.jsonl of one, or report it with the version of eurus that wrote it",
        path.display(),
        version.as_ref().map(|it| format!(" that version {} knows (it was written by {it})", crate::VERSION)).unwrap_or_default()
    )]
    NoEvents {
        /// The file.
        path: PathBuf,
        /// How many lines it has.
        lines: usize,
        /// The version of the program that wrote it, if it is told and another.
        version: Option<String>,
    },
    /// The results of an evaluation are not such as this version writes.
    #[error(
        "{}: {problem}; it was written by version {} of eurus and this is {}: grade the run again with `eurus eval grade`",
        path.display(),
        version.as_deref().unwrap_or("unknown"),
        crate::VERSION
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// The version that it names.
        version: Option<String>,
    },
    /// A file is not what its name says.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// The page cannot be made or written.
    #[error(transparent)]
    Page(#[from] eurus_eval::Error),
    /// The port is another program's.
    #[error(
        "port {port} of 127.0.0.1 is in use; give another one with --port, or 0 for any that is free"
    )]
    PortInUse {
        /// Which.
        port: u16,
    },
    /// The port cannot be listened at.
    #[error("cannot listen at 127.0.0.1:{port}: {source}; give another port with --port")]
    Listen {
        /// Which.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server ended.
    #[error("the page is no longer served: {source}")]
    Serve {
        /// What the system said.
        source: std::io::Error,
    },
}

/// A result with the error of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
