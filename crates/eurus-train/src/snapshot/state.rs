//! The state of a run in a snapshot, besides tensors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::digest::hexadecimal;
use crate::evaluation::Best;
use crate::{Result, TrainingConfig};

/// The identity of a run: two runs with equal ones are the same run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunIdentity {
    pub settings: TrainingConfig,
    /// The trainer and its loss.
    pub objective: Value,
    /// SHA-256 of the examples in their order.
    pub examples: String,
    /// Mean of the reference log-probs, for losses that have a reference.
    #[serde(default)]
    pub reference: Option<f64>,
}

/// How far the mean of the same reference may move by rounding, when another number of ranks computed it say; a share of it.
const SAME_REFERENCE: f64 = 1e-4;

impl RunIdentity {
    pub fn new(
        settings: &TrainingConfig,
        objective: Value,
        examples: impl IntoIterator<Item = impl Serialize>,
        reference: Option<f64>,
    ) -> Self {
        let mut hash = Sha256::new();
        for example in examples {
            // Plain structures of numbers and strings; what could not be written would hash like nothing.
            hash.update(serde_json::to_vec(&example).unwrap_or_default());
            hash.update(b"\n");
        }
        let default = TrainingConfig::default();
        Self {
            settings: TrainingConfig {
                // These two do not change what a step computes, and a run that ended for a number that is not finite wants to
                // go on with another policy.
                on_not_finite: default.on_not_finite,
                recompute_activations: default.recompute_activations,
                ..settings.clone()
            },
            objective,
            examples: hexadecimal(&hash.finalize()),
            reference,
        }
    }

    /// How `self`, the run that was saved, differs from the run that wants to go on.
    pub fn difference(&self, now: &Self) -> Option<String> {
        let fields = |settings: &TrainingConfig| match serde_json::to_value(settings) {
            Ok(Value::Object(fields)) => fields,
            _ => Default::default(),
        };
        let (then, current) = (fields(&self.settings), fields(&now.settings));
        for (field, value) in &then {
            let current = current.get(field).unwrap_or(&Value::Null);
            if value != current {
                return Some(format!("{field} was {value} and is {current}"));
            }
        }
        if self.objective != now.objective {
            return Some(format!(
                "the objective was {} and is {}",
                self.objective, now.objective
            ));
        }
        if self.examples != now.examples {
            return Some("the examples or their order are others".into());
        }
        match (self.reference, now.reference) {
            (Some(then), Some(now)) if (then - now).abs() > SAME_REFERENCE * then.abs() => Some(
                format!("the reference is another: its mean log-prob was {then} and is {now}"),
            ),
            _ => None,
        }
    }
}

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
    /// The evaluation with the highest score, if the model is judged.
    #[serde(default)]
    pub best: Option<Best>,
}

impl State {
    pub const VERSION: u32 = 2;

    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let state: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if state.version != Self::VERSION {
            return Err(format!(
                "version {}, and this program reads version {}",
                state.version,
                Self::VERSION
            ));
        }
        Ok(state)
    }
}
