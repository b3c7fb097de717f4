//! Chat templates and tokenizers to token trees, and token trees to packed forests

mod error;
mod forest;
mod tree;

pub use error::{Error, Result};
pub use forest::{ForestNode, PackedForest, Target};
pub use tree::{TokenNode, TokenTree};
