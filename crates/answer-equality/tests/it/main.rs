//! Equality of answers: tables of cases, the authors' verdicts, laws.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod answers;
mod golden;
mod hostile;
mod laws;
