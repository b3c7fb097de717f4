//! Test helpers that several crates share: folders, counts, processes, skipped tests.

pub mod folders;

mod counts;
mod own_process;
mod skip;

pub use counts::count;
pub use own_process::in_own_process;
pub use skip::skip;
