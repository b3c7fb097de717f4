//! Runs of training and evaluation, and preference trees, as one page that loads nothing.

mod error;
#[cfg(feature = "live")]
pub mod live;
pub mod page;
pub mod runs;
pub mod trees;

pub use error::{Error, Result};

/// The version of this crate, which is that of the program.
const VERSION: &str = env!("CARGO_PKG_VERSION");
