//! Metrics against golden values and laws; reports as files.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod analyses;
mod code;
mod generic_graders;
mod golden;
#[cfg(feature = "benchmarks")]
mod ifeval;
#[cfg(feature = "benchmarks")]
mod judge;
#[cfg(feature = "benchmarks")]
mod lead;
mod mint;
mod mutated;
mod own;
mod properties;
mod report;
mod reward_benches;
#[cfg(feature = "benchmarks")]
mod run_mutations;
mod samples;
#[cfg(feature = "benchmarks")]
mod summaries;
mod task_data;
mod task_mutations;
mod tasks;
#[cfg(feature = "benchmarks")]
mod text_graders;
