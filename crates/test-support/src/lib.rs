//! Test helpers that several crates share: folders, counts, processes, skipped tests, chat servers.

pub mod folders;

mod counts;
mod own_process;
#[cfg(feature = "servers")]
pub mod servers;
mod skip;

pub use counts::count;
pub use own_process::in_own_process;
pub use skip::skip;
