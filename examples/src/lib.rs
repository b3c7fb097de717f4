//! The Eurus recipe in miniature, in parts: what the quickstart and the experiments are made of.
//!
//! Word problems with a tokenizer and worked solutions ([`corpus`]), a policy fine-tuned on them ([`policy`]), preference trees
//! ([`trees`]), policies that learn from them ([`preference`]), reward models ([`reward`]), and what all of them are worth on
//! unseen problems ([`evaluation`]). Every program begins with a [`start`]; [`experiment`] has what experiments share, and
//! [`Scale`] says how large everything is.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "parts of programs that talk to their users"
)]

pub mod console;
pub mod corpus;
pub mod evaluation;
pub mod experiment;
pub mod policy;
pub mod preference;
pub mod problems;
pub mod reward;
pub mod run_folder;
mod scale;
pub mod start;
pub mod trees;

pub use scale::Scale;
