//! Checkpoints in and out, packed trees, adapters and generation.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod broken_checkpoints;
mod chat;
#[cfg(target_os = "linux")]
mod checkpoint_memory;
mod checkpoint_mutations;
mod checkpoint_round_trips;
mod common;
mod config;
mod decoding;
mod generated_values;
mod generation;
#[cfg(feature = "gguf")]
mod gguf;
#[cfg(feature = "hub")]
mod hub;
mod lora;
mod own_models;
mod packed_trees;
mod reference_logits;
mod size;
mod spellings;
mod untrained;

/// Counts what a test allocates that runs in its own process.
#[global_allocator]
static ALLOCATOR: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
