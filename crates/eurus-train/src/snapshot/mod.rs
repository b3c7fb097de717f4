//! The state of a run on disk, and going on from it as if nothing had happened.

mod identity;
mod state;
mod store;
mod tensors;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Event, Result};

pub use identity::RunIdentity;
pub(crate) use state::{Fault, Judged, State};
pub(crate) use store::{Store, newest, restore_weights};
pub(crate) use tensors::share_weights;

/// When and where a run saves its state.
///
/// A snapshot is a folder `step-00000200` with the weights, what the optimizer keeps and a state file; `manifest.json` has the
/// SHA-256 of each. It is written under another name and renamed when it is whole. A run that goes on takes the newest snapshot
/// whose files are what the manifest says. The order of the examples follows from the seed and the learning rate from the
/// step, so the rest of the run is what it would have been, bit for bit on the CPU.
///
/// With several ranks the first one alone reads and writes; a run can go on with another number of ranks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshots {
    /// Folder of the run's snapshots; made when it is missing.
    pub folder: PathBuf,
    /// Save after every so many steps, and after the last one. With or without it, the state is saved when the run ends
    /// before its last step, for a [`StopRequest`](crate::StopRequest) or a number that is not finite say, and at each new best
    /// of a run that keeps its best: one that goes on may return it.
    pub every_steps: Option<usize>,
    /// Keep this many of the newest, and beside them the best one of a run that keeps its best.
    pub keep: usize,
    /// Go on from the newest whole snapshot, if there is one. Without it, a folder that holds snapshots is an error.
    pub resume: bool,
    /// Go on from the newest whole snapshot, which must be there, to more [epochs](crate::TrainingConfig::epochs) or
    /// [steps](crate::TrainingConfig::max_steps) than the run had. The steps before are not taken again; those that are left
    /// get the learning rates that they have in a run of the new length, so after a decay to 0 the rate rises again, without a
    /// warm-up.
    pub extend: bool,
    /// What else the numbers of the run depend on, by name, and the trainer is not told: settings of adapters, the tokenizer.
    /// A run goes on only where they are the same. One called `model` stands for the weights that the run begins with, of
    /// which the SHA-256 is taken without it.
    pub details: BTreeMap<String, Value>,
}

impl Snapshots {
    /// Snapshots after every 100 steps, the newest two of them kept, from a folder without any.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            every_steps: Some(100),
            keep: 2,
            resume: false,
            extend: false,
            details: BTreeMap::new(),
        }
    }

    /// Sets the number of steps between snapshots; `None` saves only when the run ends before its last step, and what is the best
    /// so far in a run that keeps its best.
    pub fn with_every_steps(mut self, every_steps: impl Into<Option<usize>>) -> Self {
        self.every_steps = every_steps.into();
        self
    }

    /// Sets how many are kept.
    pub fn with_keep(mut self, keep: usize) -> Self {
        self.keep = keep;
        self
    }

    /// Sets whether to go on from the newest whole snapshot.
    pub fn with_resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Sets whether to go on to more steps than the run had.
    pub fn with_extend(mut self, extend: bool) -> Self {
        self.extend = extend;
        self
    }

    /// Adds a [detail](Self::details).
    pub fn with_detail(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.details.insert(name.into(), value.into());
        self
    }

    /// The newest snapshot of the folder that can be read, whose run it is and after which step. Tensors are not looked at.
    ///
    /// # Errors
    ///
    /// When the folder cannot be listed.
    pub fn newest(&self) -> Result<Option<(usize, RunIdentity)>> {
        store::newest_state(&self.folder)
    }

    /// As [`check`](Self::check), without a look at tensors: for what is known before examples are read.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check).
    pub fn check_identity(&self, run: &RunIdentity) -> Result<Option<usize>> {
        store::check_identity(self, run)
    }

    /// Checks, before anything is computed, that a run can begin or go on: that there is no snapshot, or that the newest whole
    /// one is of this run, as far as its identity is known yet. Every byte of it is read. Returns the step that the run goes
    /// on after. Damaged snapshots are told as events, as when the run goes on.
    ///
    /// # Errors
    ///
    /// Those that the run would end with when it looks for its snapshot.
    pub fn check(
        &self,
        run: &RunIdentity,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<Option<usize>> {
        store::check(self, run, on_event)
    }

    /// Whether the run is to go on from a snapshot.
    fn goes_on(&self) -> bool {
        self.resume || self.extend
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let every_steps = self.every_steps.unwrap_or(1);
        for (field, value) in [("every_steps", every_steps), ("keep", self.keep)] {
            if value == 0 {
                return Err(Error::Config {
                    field,
                    value: value.to_string(),
                    problem: "must be at least 1",
                });
            }
        }
        Ok(())
    }
}
