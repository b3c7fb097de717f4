//! Templates, tokenizers, fitting and packing.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod common;
mod families;
mod folders;
mod forest_properties;
mod golden;
mod over_long;
mod rendered;
mod rows;
mod templates;
mod tokenizer;
mod transformers;
