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
    /// A tree refused a node.
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
    /// The work was ended from outside before this was finished.
    #[error("stopped before it was finished")]
    Stopped,
}

impl Error {
    pub(crate) fn config<T>(field: &'static str, problem: impl Into<String>) -> Result<T> {
        Err(Self::Config {
            field,
            problem: problem.into(),
        })
    }
}

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
