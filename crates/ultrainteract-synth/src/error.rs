//! The error type of tree construction.

use std::path::PathBuf;

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
        "model `{model}` returned {found} completions where {expected} were asked for; this is a fault of the model's \
         `ChatModel` implementation"
    )]
    WrongCount {
        /// The model.
        model: String,
        /// How many came.
        found: usize,
        /// How many were asked for.
        expected: usize,
    },
    /// The environment did not give one entry per attempt.
    #[error(
        "the environment returned {found} entries for {expected} attempts; this is a fault of its implementation"
    )]
    WrongBatch {
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

    /// A template cannot be read, parsed or filled in.
    #[error("prompt {} {problem}", path.display())]
    Prompt {
        /// Its file, or its name if it is built in.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A run file cannot be read or cannot be right.
    #[error("{}: {problem}", path.display())]
    RunFile {
        /// The file.
        path: PathBuf,
        /// The fault, with the line where there is one, and what to write instead.
        problem: String,
    },
    /// A folder of texts cannot be searched.
    #[error("corpus {} {problem}", path.display())]
    Corpus {
        /// The folder or the file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The work was ended from outside before this was finished.
    #[error("stopped before it was finished")]
    Stopped,

    // ---- the durable store ----
    /// The database of a store failed.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[error("cannot {doing} the store {place}: {problem}; {remedy}")]
    Store {
        /// The file or the server, without password.
        place: String,
        /// The action that failed.
        doing: &'static str,
        /// What was wrong.
        problem: String,
        /// What to do.
        remedy: String,
        /// The database's answer.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is there belongs to another program.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[error("{place} is no store of tree construction but {found}; choose another place")]
    StoreForeign {
        /// The file or the server.
        place: String,
        /// What is there.
        found: String,
    },
    /// The store was made by another version of this program.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[error(
        "the store {place} has version {found}, and this program knows version {known}; use the program that made it, \
         or another place"
    )]
    StoreVersion {
        /// The file or the server.
        place: String,
        /// Its version.
        found: i64,
        /// That of this program.
        known: i64,
    },
    /// The store's run has other settings.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[error(
        "the store {place} was begun with {pointer} = {stored}, and this run has {given}; use the same settings, another \
         store, or a fork of this one"
    )]
    StoreSettings {
        /// The file or the server.
        place: String,
        /// The first setting that differs, as a JSON pointer.
        pointer: String,
        /// In the store.
        stored: String,
        /// In this run.
        given: String,
    },
    /// Problems of the store have changed since they were added.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[error(
        "{count} problems of the store {place} have changed: {ids}; give changed problems new ids, or use another store"
    )]
    ChangedProblems {
        /// The file or the server.
        place: String,
        /// How many.
        count: usize,
        /// Their ids, the first ten.
        ids: String,
    },
    /// A fork needs a place of its own.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[error("the store {place} has a run already; give a place without a store")]
    StoreInUse {
        /// The file or the server.
        place: String,
    },
    /// The store was called from a task of an async runtime.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[error(
        "the store blocks, and was called in an async task; call it in a thread of its own (tokio's `spawn_blocking`)"
    )]
    StoreInRuntime,
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
}

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
