//! The arithmetic of a language model on a CPU that has to be fast, on plain slices of `f32`.
//!
//! ```
//! use cpu_kernels::products::{Destination, Matrix, product};
//! use cpu_kernels::rows::softmax;
//!
//! // Scores of two queries against three keys, then their weights.
//! let queries = Matrix::rows(&[1.0, 0.0, 0.0, 1.0], 2, 2, 2);
//! let keys = Matrix::rows(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, 2, 2);
//! let mut scores = [0.0; 6];
//! product(&mut scores, 3, Destination::Overwrite, 1.0, queries, keys.transposed());
//! assert_eq!(scores, [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
//! softmax(&mut scores[..3]);
//! assert!(scores[2] > scores[1] && scores[1] > scores[0]);
//! ```
//!
//! | module | has |
//! | --- | --- |
//! | [`rows`] | softmax, norms, gates, dot products: one row at a time |
//! | [`vocabulary`] | log-sum-exp of long rows of logits |
//! | [`adamw`] | one update of AdamW |
//! | [`halves`] | a number in single precision as a bfloat16 and 16 bits more |
//! | [`products`] | matrix products |
//! | [`row_products`] | linear layers, row by row: the bits of a row depend on nothing else |
//! | [`packed_products`] | the same with weights rearranged once, also of half or a quarter of the size |
//! | [`width`] | the vector width, and how to make it smaller |
//! | `flex` | products of burn's tensors; with the feature `flex` |
//!
//! # What a result depends on
//!
//! Row kernels add in a fixed order and never contract a product and a sum into one rounding: their results are the same
//! at every vector width. Products are not: `gemm` shares out their sums by width, and so does [`row_products`], but neither
//! other rows nor their number change a row of its results, nor one of [`packed_products`]'.
//! A NaN that goes in comes out.

mod exp;
mod for_each_width;
mod lanes;

pub mod adamw;
#[cfg(feature = "flex")]
pub mod flex;
pub mod halves;
pub mod packed_products;
pub mod products;
pub mod row_products;
pub mod rows;
pub mod vocabulary;
pub mod width;

/// Its example is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
