//! Trees built with scripted actors and a real Python, and problems from files.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod problem_files;
mod prompts;
mod python;
#[cfg(feature = "sqlite")]
mod run;
mod sources;
#[cfg(feature = "sqlite")]
mod store;
mod support;
mod tree;
