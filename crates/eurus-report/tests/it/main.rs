//! Runs and their pages, as those who call the library see them.
//!
//! All tests of the crate are one program: it is linked once.

mod fixture;
mod folders;
mod hostile;
#[cfg(feature = "live")]
mod live;
mod mutated;
mod pages;
mod pictures;
