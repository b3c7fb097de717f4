//! Metrics against golden values and laws; reports as files.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod golden;
#[cfg(feature = "benchmarks")]
mod ifeval;
#[cfg(feature = "benchmarks")]
mod judge;
mod properties;
mod report;
