//! Trees: the rule, one tree, many at the same time, and the account of them.

mod builder;
mod candidate;
mod config;
mod elicit;
mod event;
mod growth;
mod stats;
mod team;
mod turn;

pub use builder::{Build, Failure, TreeBuilder};
pub use config::{Fallback, SynthConfig};
pub use event::Event;
pub use growth::Grown;
pub use stats::{Dropped, End, SynthStats, TurnCounts, TurnStats};
pub use team::Team;
