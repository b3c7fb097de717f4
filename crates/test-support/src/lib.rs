//! Test helpers that several crates share: folders, counts, processes, servers, skipped tests.

#[cfg(feature = "chromium")]
pub mod chromium;
pub mod folders;

mod counts;
mod own_process;
mod packages;
#[cfg(unix)]
mod postgres;
mod schema;
#[cfg(feature = "servers")]
pub mod servers;
mod skip;

pub use counts::count;
pub use own_process::in_own_process;
pub use packages::python_with;
#[cfg(unix)]
pub use postgres::PostgresServer;
pub use schema::assert_published;
pub use skip::skip;
