//! Sessions and programs against a real Python.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod asserts;
mod calls;
mod cheats;
mod faults;
mod notebook;
mod processes;
mod programs;
mod published;
mod recorded;
mod sandboxes;
mod states;
mod support;
