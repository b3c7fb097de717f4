//! Golden values, whole programs and what spans several crates.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod dependencies;
mod device_parity;
mod golden_losses;
mod golden_models;
mod linear_log_probs_memory;
mod outside_crate;
mod smollm2;
mod workload;

/// Counts what a test allocates that runs in its own process.
#[global_allocator]
static ALLOCATOR: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
