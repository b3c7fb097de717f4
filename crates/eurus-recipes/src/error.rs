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
