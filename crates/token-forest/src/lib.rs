//! Conversations to token trees, and token trees to packed forests without padding.
//!
//! For anyone who trains or scores language models on data that branches - preference pairs, rollouts of one
//! prompt, multi-turn trees - and wants every shared prefix computed once. No tensors and no losses here: the
//! result is flat arrays of `u32` that any framework can take.
//!
//! # Quick start
//!
//! Two answers to one question share the tokens of the question:
//!
//! ```
//! use token_forest::{Message, ChatTokenizer, PackedForest, TokenTree, train_bpe};
//!
//! # fn main() -> token_forest::Result<()> {
//! let bpe = train_bpe(["What is 2 + 2? It is 4."], 300, &["<|im_start|>", "<|im_end|>"])?;
//! let tokenizer = ChatTokenizer::from_files(bpe.files()?)?; // or from_folder("path/to/model")
//!
//! let prompt = tokenizer.encode_prompt(&[Message::user("What is 2 + 2?")])?;
//! let mut tree = TokenTree::new(prompt, false);
//! let chosen = tree.push(0, tokenizer.encode_action("It is 4.")?, true);
//! let rejected = tree.push(0, tokenizer.encode_action("It is 5.")?, true);
//!
//! let forest = PackedForest::from_trees([&tree])?;
//! assert_eq!(forest.len(), tree.unique_tokens());
//! assert!(forest.len() < tree.naive_tokens(&[(chosen, rejected)]));
//!
//! // Both answers begin at the position after the prompt, predicted by the prompt's last token.
//! let first = |node| forest.targets[forest.targets_of(forest.node_index(0, node)).start];
//! assert_eq!(first(chosen).predictor, first(rejected).predictor);
//! # Ok(())
//! # }
//! ```
//!
//! # Words
//!
//! A *token tree* is a conversation with branches: each node adds tokens to the path above it. A *path* runs
//! from the root to a leaf and is what a model would see as one sequence. A *packed forest* is many trees in
//! one sequence of tokens; a token's *position* is its depth along its path. A *target* is a token to predict
//! with the index of the token that predicts it. A *turn end* is the eos token that closes an action.
//!
//! # Modules
//!
//! Everything but [`rows`] is at the root of the crate; the sources are
//!
//! | file | what it has |
//! | --- | --- |
//! | `tree.rs` | [`TokenTree`]: nodes, paths, counts |
//! | `forest.rs` | [`PackedForest`]: positions, ancestry, targets |
//! | `split.rs` | [`TokenTree::subtree`], [`TokenTree::split`]: trees larger than the budget |
//! | `packing.rs`, `pieces.rs` | [`pack`], [`Pieces`]: which trees share a forest, and where their groups are in it |
//! | `template.rs` | [`ChatTemplate`]: conversations of [`Message`]s to text |
//! | `built_in.rs` | [`BuiltInTemplate`]: templates for models that have none, or whose own rewrites history |
//! | `rewriting.rs` | [`StandIn`]: the latter, and how they are found; [`Rewriting`] |
//! | `template_tokens.rs` | the special tokens of a template |
//! | `tokenizer.rs`, `conversation.rs` | [`ChatTokenizer`]: text to tokens, node by node |
//! | `rendered.rs` | [`TextCounts`]: every message whole in the text, and what was done to it |
//! | `message_tree.rs`, `training.rs` | [`MessageTree`], [`TrainingTree`]: what is learned, as text and as tokens |
//! | [`rows`] | rows of any format to trees to train on |
//! | `over_long.rs` | [`OverLong`]: what becomes of rows longer than a limit |
//! | `borders.rs` | [`BoundaryDifferences`]: where node by node and the whole text give other tokens |
//! | `preference.rs` | preference trees of [`ultrainteract`] to token trees |
//! | `files.rs`, `bpe.rs` | [`TokenizerFiles`], [`train_bpe`]: tokenizer folders read, made and written |

mod borders;
mod bpe;
mod built_in;
mod conversation;
mod error;
mod files;
mod forest;
mod message_tree;
mod over_long;
mod packing;
mod pieces;
mod preference;
mod rendered;
mod rewriting;
pub mod rows;
mod split;
mod template;
mod template_tokens;
mod tokenizer;
mod training;
mod tree;

pub use borders::{BorderPlace, BoundaryDifferences};
pub use bpe::{TrainedBpe, train_bpe, write_tokenizer_folder};
pub use built_in::BuiltInTemplate;
pub use error::{Error, Result};
pub use files::TokenizerFiles;
pub use forest::{ForestNode, PackedForest, Target};
pub use message_tree::{MessageNode, MessageTree};
pub use over_long::{Fitted, LengthCounts, LengthLimit, OverLong, TooLong};
pub use packing::{forests_needed, pack, utilization};
pub use pieces::{GroupForest, PackedGroup, Pieces, Span};
pub use rendered::TextCounts;
pub use rewriting::{Rewriting, StandIn};
pub use split::{Piece, Subtree};
pub use template::ChatTemplate;
pub use tokenizer::ChatTokenizer;
pub use training::{Group, Label, LabelKind, TrainingTree, add_mismatched};
pub use tree::{TokenNode, TokenTree};
pub use ultrainteract::{Beside, Message, Role, ToolCall};

/// The example of the README is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
