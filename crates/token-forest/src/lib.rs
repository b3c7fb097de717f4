//! Chat templates and tokenizers to token trees, and token trees to packed forests

mod bpe;
mod conversation;
mod error;
mod files;
mod forest;
mod message;
mod packing;
mod split;
mod template;
mod tokenizer;
mod tree;

pub use bpe::{TrainedBpe, train_bpe, write_tokenizer_folder};
pub use error::{Error, Result};
pub use files::TokenizerFiles;
pub use forest::{ForestNode, PackedForest, Target};
pub use message::{ChatMessage, Role};
pub use packing::{pack, utilisation};
pub use split::{Piece, Subtree};
pub use template::ChatTemplate;
pub use tokenizer::ChatTokenizer;
pub use tree::{TokenNode, TokenTree};
