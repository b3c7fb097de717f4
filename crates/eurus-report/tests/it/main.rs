//! Pages: what stands in them, and what a browser makes of them.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod chromium;
mod trees;
mod trees_support;
