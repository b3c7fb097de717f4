//! Shared helpers of the workspace tests and benches.
//!
//! | module | what it has |
//! | --- | --- |
//! | [`parameters`] | a module's parameters and gradients by their paths |
//! | [`report`] | the largest error of every check, and what failed |
//! | [`tensors`] | tensors of safetensors files, widened |
//! | [`workload`] | pre-tokenized trees of a file |

#[cfg(doctest)]
mod book;
pub mod parameters;
pub mod report;
pub mod tensors;
pub mod workload;
