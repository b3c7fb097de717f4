//! Golden values, whole programs and what spans several crates.
//!
//! The golden values of losses and of models are programs of their own, which take any folder of vectors: `golden_losses`
//! and `golden_models`.

mod dependencies;
mod device_parity;
mod gradient_sums_memory;
mod linear_log_probs_memory;
mod outside_crate;
mod smollm2;
mod workload;

/// Counts what a test allocates that runs in its own process.
#[global_allocator]
static ALLOCATOR: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
