//! Fused kernels for training on preference trees on a GPU, through CubeCL: one source for CUDA and, by `wgpu`, for Vulkan.
//!
//! burn's own operations would launch a kernel for every step of a formula, and for attention over a tree one for every node.
//! Here each operation of a decoder, of a loss and of an optimizer is one kernel or a few, whatever the tree looks like.
//!
//! A forest stands in depth-first order, so that one number per token says what it is seen by: the row `i` sees the key `j`
//! exactly when `j <= i < end[j]`, with `end[j]` the row behind the subtree of j's node (the column form of FlashMask,
//! arXiv 2410.01359). The gradient of a key is a sum over the rows `j..end[j]`: nothing is gathered, and no two units write to
//! one place.
//!
//! Every number is computed in float32, whatever type it is kept in, and every sum has one order: results do not change from
//! run to run. Which of two ways a matrix product takes is measured unless it is set, see `product`.
//!
//! # Features
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `cuda` | the kernels, for CUDA; matrix products by cuBLASLt where it is installed |
//! | `wgpu` | the kernels, for Vulkan and others |
//!
//! Without either the crate is empty: nothing of CubeCL is built for a CPU.

#![cfg(any(feature = "cuda", feature = "wgpu"))]
#![allow(
    clippy::clone_on_copy,
    clippy::manual_is_multiple_of,
    clippy::needless_range_loop,
    reason = "the language of kernels has no iterators, no `is_multiple_of`, and a type that is `Copy` here and a handle there"
)]

pub mod adamw;
pub mod attention;
pub mod decode;
pub mod embedding;
pub mod halves;
mod launch;
pub mod log_probs;
pub mod product;
pub mod rms_norm;
pub mod rotary;
pub mod squares;
pub mod sums;
pub mod swiglu;
