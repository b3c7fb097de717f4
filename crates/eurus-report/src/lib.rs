//! Runs of training and evaluation, and preference trees, as one page that loads nothing.

mod error;
pub mod trees;

pub use error::{Error, Result};
