//! Test helpers that several crates share: folders, counts, processes, a database server, skipped tests.

pub mod folders;

mod counts;
mod own_process;
#[cfg(unix)]
mod postgres;
mod skip;

pub use counts::count;
pub use own_process::in_own_process;
#[cfg(unix)]
pub use postgres::PostgresServer;
pub use skip::skip;
