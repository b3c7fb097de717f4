//! The state of a run on disk, and going on from it as if nothing had happened.

mod state;
mod store;
mod tensors;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

pub(crate) use state::{RunIdentity, State};
pub(crate) use store::{Store, newest, restore_weights};
pub(crate) use tensors::share_weights;

/// When and where a run saves its state.
///
/// A snapshot is a folder `step-00000200` with the weights, AdamW's moments and a state file; `manifest.json` has the SHA-256
/// of each. It is written under another name and renamed when it is whole. A run that goes on takes the newest snapshot
/// whose files are what the manifest says. The order of the examples follows from the seed and the learning rate from the
/// step, so the rest of the run is what it would have been, bit for bit on the CPU.
///
/// With several ranks the first one alone reads and writes; a run can go on with another number of ranks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshots {
    /// Folder of the run's snapshots; made when it is missing.
    pub folder: PathBuf,
    /// Save after every so many steps, and after the last one.
    pub every_steps: usize,
    /// Keep this many of the newest, and beside them the best one of a run that keeps its best.
    pub keep: usize,
    /// Go on from the newest whole snapshot, if there is one. Without it, a folder that holds snapshots is an error.
    pub resume: bool,
}

impl Snapshots {
    /// Snapshots after every 100 steps, the newest two of them kept, from a folder without any.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            every_steps: 100,
            keep: 2,
            resume: false,
        }
    }

    /// Sets the number of steps between snapshots.
    pub fn with_every_steps(mut self, every_steps: usize) -> Self {
        self.every_steps = every_steps;
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

    pub(crate) fn validate(&self) -> Result<()> {
        for (field, value) in [("every_steps", self.every_steps), ("keep", self.keep)] {
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
