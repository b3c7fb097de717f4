//! The client against a server on this machine.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod openai;
mod support;
