//! A language model or a reward model over HTTP, by the protocols that other tools speak.

mod error;

pub use error::{Error, Result};
