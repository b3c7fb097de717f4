//! Pages of runs and of trees: what is read for them, what stands in them, and what a browser makes of them.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod chromium;
mod fixture;
mod folders;
mod hostile;
#[cfg(feature = "live")]
mod live;
mod mutated;
mod pages;
mod pictures;
mod results_support;
mod rewards;
mod trees;
mod trees_support;
mod whole_support;
