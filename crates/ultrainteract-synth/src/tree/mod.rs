//! Trees from problems: the builder, its settings, its account and its store.

mod builder;
mod candidate;
mod config;
mod event;
mod record;
mod stats;
mod store;
mod turn;

pub use builder::{Build, Failure, TreeBuilder};
pub use config::{ActorPlan, Fallback, SynthConfig};
pub use event::Event;
pub use record::End;
pub use stats::{Dropped, SynthStats, TurnCounts, TurnStats};
pub use store::TreeStore;
