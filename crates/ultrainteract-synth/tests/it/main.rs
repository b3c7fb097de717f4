//! Trees built with scripted actors and a real Python.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod python;
#[cfg(feature = "sqlite")]
mod store;
mod support;
mod tree;
