//! The client against servers on this machine.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod faults;
mod llama;
mod money;
mod openai;
mod prefix;
mod replies;
mod retries;
mod samples;
mod streams;
mod support;
