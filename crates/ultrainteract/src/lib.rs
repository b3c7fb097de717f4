//! Preference trees as text: types, the formats of UltraInteract and of what is mixed with it,
//! validation, derivations, mixtures, decontamination and statistics.
//!
//! For anyone who makes, reads, checks or mixes preference and fine-tuning data for reasoning; no
//! tensors, no tokenizers, no network.
//!
//! # Quick start
//!
//! ```
//! use ultrainteract::{
//!     Action, ActionSource, Observation, PreferenceTree, Schema, Task, Verdict, derive, rebuild,
//! };
//!
//! let action = |text: &str, verdict| Action {
//!     text: text.into(),
//!     verdict,
//!     actor: "my-model".into(),
//!     schema: Schema::ChainOfThought,
//!     source: ActionSource::Sampled,
//! };
//!
//! // Turn 1: a wrong answer, which is expanded. Turn 2: a right and a wrong one.
//! let mut tree = PreferenceTree::new("p1", Task::MathCot, "toy", "What is 6 * 7?")?
//!     .with_ground_truth("42");
//! let first = tree.add_action(tree.root(), action("Answer: 41", Verdict::Incorrect))?;
//! let prompt = tree.add_observation(first, Observation {
//!     execution: None,
//!     feedback: "Your answer is wrong.".into(),
//!     critique: Some("Count again.".into()),
//! })?;
//! let right = tree.add_action(prompt, action("Answer: 42", Verdict::Correct))?;
//! let wrong = tree.add_action(prompt, action("Answer: 43", Verdict::Incorrect))?;
//! tree.add_pair(right, wrong)?;
//!
//! // A correct action ends its trajectory, whatever the caller tries.
//! assert!(tree.add_action(right, action("Answer: 44", Verdict::Incorrect)).is_err());
//!
//! // Rows as UltraInteract releases them, and the tree again from the rows.
//! let rows = derive::pair_rows(&tree);
//! assert_eq!(rows[0].trajectory.len(), 3);
//! let trees = rebuild::trees_from_pairs(&rows)?;
//! assert_eq!(derive::pair_rows(&trees[0]), rows);
//! # Ok::<(), ultrainteract::Error>(())
//! ```
//!
//! # Words
//!
//! An *instruction* is the problem. An *action* is one answer of the assistant to a history. An
//! *observation* is what comes back: execution result, binary feedback, critique. A *turn* is an
//! action with its observation. A *pair* is two actions to the same history, *chosen* and
//! *rejected*. The history of a pair is its *trajectory*.
//!
//! # Modules
//!
//! | module | what it has |
//! | --- | --- |
//! | the root | the tree and its parts: [`PreferenceTree`], [`Node`], [`Action`], [`Observation`], [`Pair`] |
//! | [`example`] | the other kinds of example: conversations, completions, preferences, rankings |
//! | [`formats`] | the formats by name, their rows, JSONL one line at a time |
//! | [`input`], [`output`] | files of any kind in and out: patterns, compression, Parquet, all cores |
//! | [`validate`] | every violation with its place |
//! | [`rebuild`] | trees from rows, also of files larger than memory |
//! | [`mod@derive`] | rows from trees: pairs, SFT, unpaired, augmented |
//! | [`mix`] | mixtures from a seed, with a manifest |
//! | [`decontaminate`] | overlap with test sets |
//! | [`stats`] | the paper's Tables 1 and 7 |
//! | [`action_text`] | code blocks of an action |
//! | [`show`] | a tree drawn as text |
//!
//! # Features
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `parquet` | no | Parquet files in and out, Arrow files in |

#![warn(missing_debug_implementations)]

pub mod action_text;
mod convert;
pub mod decontaminate;
pub mod derive;
mod error;
pub mod example;
pub mod formats;
pub mod input;
mod message;
pub mod mix;
pub mod nearest;
mod node;
pub mod output;
pub mod rebuild;
pub mod show;
mod spill;
pub mod stats;
mod task;
mod tree;
pub mod validate;

pub use error::{Error, Result};
pub use message::{Beside, Message, Role, ToolCall};
pub use node::{Action, ActionSource, Content, Node, NodeId, Observation, Schema, Verdict};
pub use task::Task;
pub use tree::{Pair, PreferenceTree};

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
