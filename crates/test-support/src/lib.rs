//! What the tests of several crates share.

pub mod folders;

mod counts;
mod own_process;
mod skip;

pub use counts::count;
pub use own_process::in_own_process;
pub use skip::skip;
