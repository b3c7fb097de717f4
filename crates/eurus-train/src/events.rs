//! Events that trainers report while they run. Trainers never print.

use std::path::PathBuf;

use pref_losses::PreferenceStats;
use pref_losses::collapse::CollapseWarning;
use serde::{Deserialize, Serialize};

use crate::{Judgement, NotFinite, StopReason};

/// Numbers of one optimizer step that every trainer has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepProgress {
    /// Optimizer step, from 1.
    pub step: usize,
    /// Steps of the run.
    pub steps: usize,
    /// Mean loss: per trained token for SFT, per pair, response or prompt otherwise.
    pub loss: f64,
    /// The auxiliary loss of the model itself, coefficient included: a mixture of experts balances its load. Means over
    /// unique tokens. `None` for models without such a loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auxiliary_loss: Option<f64>,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Global norm of the gradients before scaling.
    pub grad_norm: f64,
    /// Tokens that went through the model with gradient, each node once.
    pub unique_tokens: usize,
    /// Tokens the same step costs when every path is a row of its own.
    pub naive_tokens: usize,
    /// How full the step's forests were: unique tokens over the token budgets of all of them.
    #[serde(default)]
    pub utilization: f64,
    /// Wall-clock time of the step.
    pub seconds: f64,
    /// The most memory that the process has held by then, in bytes. Trainers do not measure it: it is of who runs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_resident_bytes: Option<u64>,
}

/// An event of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// Reference log-probs are being computed.
    Reference {
        /// Pairs, responses with a verdict, or prompts with scored responses, finished.
        done: usize,
        /// Those there are in all.
        pairs: usize,
    },
    /// A step of supervised fine-tuning.
    Sft {
        /// Step numbers.
        #[serde(flatten)]
        progress: StepProgress,
        /// Tokens the loss counted.
        target_tokens: usize,
    },
    /// A step of preference learning, on pairs, single responses or scored ones.
    Preference {
        /// Step numbers.
        #[serde(flatten)]
        progress: StepProgress,
        /// Rewards, margin, accuracy and log-probs of the step's responses before the update.
        stats: PreferenceStats,
    },
    /// Preference learning goes wrong although its loss may look fine. Follows the step that raised it.
    Collapse {
        /// The step.
        step: usize,
        /// The monitor's warning.
        warning: CollapseWarning,
    },
    /// A step's loss or gradient is not a finite number, and the run goes on. The step has no event of its own.
    NotFinite {
        /// The step, from 1.
        step: usize,
        /// Whether the weights were left as they are.
        skipped: bool,
        /// Which number, and of which examples.
        fault: NotFinite,
    },
    /// The model was judged.
    Evaluated {
        /// Steps taken.
        step: usize,
        /// The judgement of the model.
        judgement: Judgement,
        /// Whether its score is the highest of the run so far.
        best: bool,
    },
    /// The model could not be judged; the run goes on.
    NotEvaluated {
        /// Steps taken.
        step: usize,
        /// The judge's error.
        problem: String,
    },
    /// The state of the run was saved.
    Saved {
        /// Steps taken.
        step: usize,
        /// The snapshot.
        path: PathBuf,
    },
    /// The state of the run could not be saved; the run goes on, and older snapshots stay.
    NotSaved {
        /// Steps taken.
        step: usize,
        /// The error of writing.
        problem: String,
    },
    /// The run ends before its last step.
    Stopped {
        /// Steps taken.
        step: usize,
        /// Steps the run would have had.
        steps: usize,
        /// The reason.
        reason: StopReason,
    },
    /// The run goes on from a snapshot.
    Resumed {
        /// Steps that were taken before.
        step: usize,
        /// The snapshot.
        path: PathBuf,
    },
    /// A snapshot is not whole and is passed over.
    DamagedSnapshot {
        /// The snapshot.
        path: PathBuf,
        /// The fault of the snapshot.
        problem: String,
    },
    /// By what an NVIDIA GPU does matrix products, told after the first step: cuBLASLt, or cubek and why.
    MatrixProducts {
        /// The library and its version, or the reason why it is not used.
        by: String,
    },
    /// A step of a reward model.
    Reward {
        /// Step numbers.
        #[serde(flatten)]
        progress: StepProgress,
        /// Rewards, margin and accuracy of the step's pairs before the update.
        stats: PreferenceStats,
    },
}

impl Event {
    /// Statistics of the responses of a step, for steps of preference learning and of reward models.
    pub fn preferences(&self) -> Option<&PreferenceStats> {
        match self {
            Self::Preference { stats, .. } | Self::Reward { stats, .. } => Some(stats),
            _ => None,
        }
    }

    /// The step numbers to add to, for events that are steps.
    pub fn progress_mut(&mut self) -> Option<&mut StepProgress> {
        match self {
            Self::Sft { progress, .. }
            | Self::Preference { progress, .. }
            | Self::Reward { progress, .. } => Some(progress),
            _ => None,
        }
    }

    /// The step numbers, for events that are steps.
    pub fn progress(&self) -> Option<&StepProgress> {
        match self {
            Self::Sft { progress, .. }
            | Self::Preference { progress, .. }
            | Self::Reward { progress, .. } => Some(progress),
            Self::Reference { .. }
            | Self::Collapse { .. }
            | Self::NotFinite { .. }
            | Self::Evaluated { .. }
            | Self::NotEvaluated { .. }
            | Self::NotSaved { .. }
            | Self::Stopped { .. }
            | Self::Saved { .. }
            | Self::Resumed { .. }
            | Self::MatrixProducts { .. }
            | Self::DamagedSnapshot { .. } => None,
        }
    }
}
