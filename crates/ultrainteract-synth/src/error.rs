//! The error type of tree construction.

use std::io;
use std::path::{Path, PathBuf};

/// What tree construction can fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- settings ----
    /// A setting that cannot be right.
    #[error("setting `{field}`: {problem}")]
    Config {
        /// The field.
        field: &'static str,
        /// The fault of the setting, and a value to write instead.
        problem: String,
    },
    /// Two problems of a run have the same id.
    #[error(
        "problems {first} and {second} (counted from 0) both have the id `{id}`; give every problem its own"
    )]
    DuplicateProblem {
        /// The id.
        id: String,
        /// Position of the first.
        first: usize,
        /// Position of the second.
        second: usize,
    },

    // ---- problems from files ----
    /// Records of problem files that are no problems.
    #[error("{}", crate::problem::listed(bad))]
    BadProblems {
        /// All of them, in the order of the files.
        bad: Vec<crate::problem::BadProblem>,
    },
    /// A file or a source has nothing to build trees for.
    #[error("{what}: there is no problem in it; {remedy}")]
    NoProblems {
        /// The file or source.
        what: String,
        /// Another file to give, or what to change.
        remedy: String,
    },
    /// A published data set cannot be read, or not in the way asked for.
    #[error("{what}: {problem}")]
    Import {
        /// The file, source or option.
        what: String,
        /// The fault, and what to do.
        problem: String,
    },

    // ---- word problems ----
    /// The settings do not allow for that many different problems.
    #[error(
        "only {made} of {wanted} different problems could be drawn; ask for fewer, or raise `largest_number` \
         or `largest_factor`"
    )]
    Exhausted {
        /// How many were asked for.
        wanted: usize,
        /// How many there are.
        made: usize,
    },

    // ---- what a problem is sent through ----
    /// A model failed.
    #[error("problem `{problem}`, turn {turn}: {source}")]
    Model {
        /// The problem.
        problem: String,
        /// The turn.
        turn: usize,
        /// The model's error.
        source: chat_model::Error,
    },
    /// A model did not give what its trait promises.
    #[error(
        "model `{model}` returned {found} {what} where {expected} were asked for; this is a fault of the model's \
         `ChatModel` implementation"
    )]
    WrongCount {
        /// The model.
        model: String,
        /// Completions, or answers to requests.
        what: &'static str,
        /// How many came.
        found: usize,
        /// How many were asked for.
        expected: usize,
    },
    /// The environment or the critic did not give one entry per request.
    #[error(
        "the {who} returned {found} entries for {expected} requests; this is a fault of its implementation"
    )]
    WrongBatch {
        /// Environment or critic.
        who: &'static str,
        /// How many came.
        found: usize,
        /// How many were asked for.
        expected: usize,
    },
    /// The Python interpreter could not be used.
    #[error(transparent)]
    Interpreter(#[from] code_interpreter::Error),
    /// A tree refused a node, or a file cannot be read or written.
    #[error(transparent)]
    Tree(#[from] ultrainteract::Error),
    /// A critic or an environment of one's own failed.
    #[error("{who}: {message}")]
    Other {
        /// Who failed.
        who: String,
        /// How, and what to do.
        message: String,
    },

    // ---- the store ----
    /// The store cannot be read or written.
    #[error("cannot {doing} the tree store {}: {source}", path.display())]
    StoreIo {
        /// The file.
        path: PathBuf,
        /// The action that failed.
        doing: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The store holds something that it never wrote.
    #[error(
        "tree store {}, line {line}: {problem}; repair the line, or delete the file to start over",
        path.display()
    )]
    StoreLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The fault of the line.
        problem: String,
    },
    /// The store belongs to another run.
    #[error(
        "tree store {} was written with {field} = {found}, but this run has {expected}; use the same settings, \
         or another file",
        path.display()
    )]
    StoreMismatch {
        /// The file.
        path: PathBuf,
        /// The setting that differs.
        field: String,
        /// In the store.
        found: String,
        /// In this run.
        expected: String,
    },
}

impl Error {
    pub(crate) fn config<T>(field: &'static str, problem: impl Into<String>) -> Result<T> {
        Err(Self::Config {
            field,
            problem: problem.into(),
        })
    }

    pub(crate) fn import(what: impl ToString, problem: impl Into<String>) -> Self {
        Self::Import {
            what: what.to_string(),
            problem: problem.into(),
        }
    }

    pub(crate) fn store_io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        Self::StoreIo {
            path: path.to_owned(),
            doing,
            source,
        }
    }
}

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
