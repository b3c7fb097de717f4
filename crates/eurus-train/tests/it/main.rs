//! Trainers on tiny models: what they compute, and what a run survives.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod adapters;
mod augmented;
mod collapsing_runs;
mod common;
mod evaluation;
mod extending;
mod identity;
mod mismatched;
mod no_gradient;
mod not_finite;
mod optimizers;
mod own_models;
mod parts;
mod plan;
mod precision;
mod ranks;
mod recomputation;
mod reference_cache;
mod reference_sync;
mod reward_labels;
mod scored;
mod scoring;
mod snapshots;
mod stopping;
mod trainers;
mod unpaired;
