//! Losses against an oracle, golden values and laws.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod collapse;
mod kto;
mod linear_log_probs;
mod oracle_golden;
mod oracle_properties;
mod properties;
