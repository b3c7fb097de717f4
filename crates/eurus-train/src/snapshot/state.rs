//! The state of a run in a snapshot, besides tensors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RunIdentity;
use crate::evaluation::Best;

/// The file `state.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub version: u32,
    /// Steps taken.
    pub step: usize,
    pub run: RunIdentity,
    /// Updates of each parameter.
    pub updates: BTreeMap<String, u32>,
    /// The values that the trainer carries from step to step.
    pub carried: Value,
    /// What is remembered of evaluations, if the model is judged.
    #[serde(default)]
    pub judged: Judged,
}

/// What is remembered of evaluations.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Judged {
    /// The evaluation with the highest score.
    pub best: Option<Best>,
    /// Evaluations since then.
    pub since_best: usize,
}

impl State {
    /// 3: weight decay is on matrices alone unless told otherwise.
    pub const VERSION: u32 = 3;

    /// Reads the file's text.
    pub fn read(bytes: &[u8]) -> Result<Self, Fault> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let damaged = |error: serde_json::Error| Fault::Damaged(error.to_string());
        let Version { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if version != Self::VERSION {
            return Err(Fault::Version(version));
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }
}

/// The reason for which a snapshot cannot be read.
pub(crate) enum Fault {
    /// It is not as it was written.
    Damaged(String),
    /// A program with another form of snapshots wrote it.
    Version(u32),
}

impl From<String> for Fault {
    fn from(problem: String) -> Self {
        Self::Damaged(problem)
    }
}
