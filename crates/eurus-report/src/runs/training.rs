//! What the events of a training run come to.

use std::collections::BTreeMap;

use super::event::Said;

/// A run of `eurus sft`, `eurus prefer` or `eurus reward`, or a stage of a quickstart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainingRun {
    /// The stage, in a file of several.
    pub stage: Option<String>,
    /// What kind of training it is.
    pub kind: Option<TrainingKind>,
    /// The optimizer steps that are logged, in order.
    pub steps: Vec<Step>,
    /// Steps that the run was to have.
    pub planned_steps: Option<u64>,
    /// Why it ended before its last step, if it says so.
    pub stopped: Option<String>,
    /// Warnings of collapse, numbers that are not finite, and what failed on the way.
    pub remarks: Vec<Remark>,
    /// Judgements of the model during training.
    pub judged: Vec<Judged>,
}

/// What a run of training learns from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainingKind {
    /// Correct responses.
    Sft,
    /// Preferences, by a policy.
    Preference,
    /// Preferences, by a reward model.
    Reward,
}

/// The numbers of one optimizer step. What is not known is NaN, which a line leaves out.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)] // named as in `eurus_train::Event`
pub struct Step {
    pub step: u64,
    pub loss: f64,
    pub auxiliary_loss: f64,
    pub learning_rate: f64,
    pub grad_norm: f64,
    pub unique_tokens: f64,
    pub naive_tokens: f64,
    pub utilization: f64,
    pub seconds: f64,
    pub peak_resident_bytes: f64,
    pub chosen_reward: f64,
    pub rejected_reward: f64,
    pub margin: f64,
    pub accuracy: f64,
    pub chosen_log_prob: f64,
    pub rejected_log_prob: f64,
    pub kl: f64,
}

/// Something that a run says of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The step.
    pub step: u64,
    /// What it says.
    pub text: String,
}

/// A judgement of the model during training.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judged {
    /// Steps taken.
    pub step: u64,
    /// Numbers by name.
    pub metrics: BTreeMap<String, f64>,
    /// Whether it is the best so far.
    pub best: bool,
    /// What the model wrote.
    pub samples: Vec<Sample>,
}

/// A text of the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// What it was asked.
    pub prompt: String,
    /// What it answered.
    pub response: String,
}

impl TrainingKind {
    pub(super) fn of(event: &str) -> Option<Self> {
        match event {
            "sft" => Some(Self::Sft),
            "preference" => Some(Self::Preference),
            "reward" => Some(Self::Reward),
            _ => None,
        }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sft => "fine-tuning",
            Self::Preference => "preferences",
            Self::Reward => "reward model",
        }
    }
}

impl TrainingRun {
    /// Whether its last step was taken, as far as its events tell.
    pub fn is_complete(&self) -> bool {
        let last = self.steps.last().map(|it| it.step);
        last.is_some() && last >= self.planned_steps
    }

    /// Takes what a line says. A step that was logged before is of a run that went on from an earlier one: what came after that is
    /// forgotten.
    pub(super) fn take(&mut self, said: Said) {
        match said {
            Said::Step(step) => {
                if self.steps.last().is_some_and(|last| last.step >= step.step) {
                    self.forget_from(step.step);
                }
                self.stopped = None;
                self.steps.push(*step);
            }
            Said::Remark(remark) => self.remarks.push(remark),
            Said::Judged(judged) => self.judged.push(judged),
            Said::Stopped(reason) => self.stopped = Some(reason),
            Said::Other => {}
        }
    }

    fn forget_from(&mut self, step: u64) {
        self.steps.retain(|it| it.step < step);
        self.remarks.retain(|it| it.step < step);
        self.judged.retain(|it| it.step < step);
    }
}
