//! Trees from problems: the builder, its settings, its account and its store.
//!
//! # The rule
//!
//! This is what is implemented of arXiv 2404.02078, section 2.3 ("preference trees"). At each turn
//! of each problem:
//!
//! 1. `samples_per_turn` actions are drawn for the history so far.
//! 2. Dropped are actions that were cut off or withheld, empty ones, repetitions of an action of the
//!    same turn, and those whose code is not Python.
//! 3. The rest are tried and judged. One correct and one incorrect action are kept, drawn by the
//!    seed among the different ones; if both exist they are a pair.
//! 4. The correct action ends its path. The incorrect one is answered with an observation (what the
//!    code did, "Your answer is wrong.", a critique), and the next turn starts from there.
//! 5. A tree ends after `max_turns` turns, or at a turn that has no incorrect action. A turn without
//!    a correct action does not end it.
//! 6. When a tree ends and has no correct action at all, the annotated solution of the problem takes
//!    its place, marked [`ActionSource::GroundTruth`](ultrainteract::ActionSource), and is paired
//!    with the incorrect action of the last turn if there is one ([`Fallback::LastTurn`]; see
//!    [`Fallback`] for the alternatives).
//!
//! # What does not matter
//!
//! Every draw has a seed made from the seed of the settings, the id of the problem and the turn. So
//! neither the order of the problems, nor the cut into batches, nor a kill and a resume change any
//! tree, as long as the models answer equal requests equally.

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
