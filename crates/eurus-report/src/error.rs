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

    // ---- trees ----
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
