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

    // Runs
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

    // Pages
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

    // Trees
    /// A file of trees or of scores, with the row and the field.
    #[error(transparent)]
    Data(#[from] ultrainteract::Error),

    /// Scores that were made from other trees.
    #[error(
        "{}: tree `{tree}`: {problem}; give the scores that `eurus score --data` made from these trees", path.display()
    )]
    OtherTrees {
        /// The file with the scores.
        path: PathBuf,
        /// The tree that is scored there.
        tree: String,
        /// What is there and not here.
        problem: String,
    },

    /// Scores of no tree that is shown.
    #[error(
        "{}: has no score of any tree that is shown; give the scores that `eurus score --data` made from these trees",
        path.display()
    )]
    NoScores {
        /// The file with the scores.
        path: PathBuf,
    },

    /// More scores than stand side by side.
    #[error(
        "{found} files of scores, and the viewer sets at most {most} side by side; leave some out"
    )]
    TooManyScores {
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },

    /// A template of this crate does not render, which is a fault of this crate.
    #[error("cannot render the page: {0}; this is a fault of eurus-report")]
    Template(#[from] minijinja::Error),

    /// Something has no JSON form, which is a fault of this crate.
    #[error("cannot write the page's data: {0}; this is a fault of eurus-report")]
    Json(#[from] serde_json::Error),
}

/// A result with the error of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
