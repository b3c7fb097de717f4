//! The help of every command, as its users read it: its options are the same everywhere, its examples run, its exit codes are
//! those that it names. The program alone is used, in folders that the program fills.

#![allow(
    clippy::print_stdout,
    reason = "it tells which examples are not run, and why"
)]

mod exit_codes;
mod fixture;
#[cfg(unix)]
mod interrupts;
mod leaves;
#[cfg(target_os = "linux")]
mod no_space;
mod options;
mod runs;
