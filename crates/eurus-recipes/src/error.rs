//! The errors of this crate.

use std::path::PathBuf;

/// What can be wrong with a recipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No built-in recipe has the name.
    #[error("there is no recipe `{name}`; {meant}")]
    UnknownRecipe {
        /// The name asked for.
        name: String,
        /// The nearest one, or all that there are.
        meant: String,
    },

    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },

    /// The recipe is no TOML, has a key that there is not or a value of another type, or contradicts itself.
    #[error("{origin}: {problem}")]
    Recipe {
        /// The file, or the name of a built-in recipe.
        origin: String,
        /// What is wrong, with the line where it is known.
        problem: String,
    },

    /// A file cannot be written or moved.
    #[error("{}: cannot be written: {source}; make room, or name another folder", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },

    /// A file that is wanted is not there.
    #[error("{problem}")]
    Missing {
        /// Which one.
        problem: String,
    },

    /// What is kept of a step cannot be understood.
    #[error(
        "{}: what is kept of this step cannot be read: {problem}; give another folder for the run, or move this file and the result beside it away",
        path.display()
    )]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },

    /// Something lies where a step would write, and no recipe has made it.
    #[error("{}: is there, and no recipe made it: step `{step}` would write there; move it away, or give another folder for the run", path.display())]
    Foreign {
        /// What is there.
        path: PathBuf,
        /// The step.
        step: String,
    },

    /// Practice data that cannot be made.
    #[error("practice data: {problem}")]
    Practice {
        /// What is wrong, and what to ask for.
        problem: String,
    },

    /// An override that cannot be.
    #[error("`{given}`: {problem}")]
    Override {
        /// As it was given.
        given: String,
        /// What is wrong.
        problem: String,
    },
}

/// What may fail with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;
