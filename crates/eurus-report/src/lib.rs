#![doc = include_str!("../README.md")]

mod error;
#[cfg(feature = "live")]
pub mod live;
pub mod page;
pub mod runs;
pub mod trees;

pub use error::{Error, Result};

/// The version of this crate, which is that of the program.
const VERSION: &str = env!("CARGO_PKG_VERSION");
