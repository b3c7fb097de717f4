//! What makes a run the run that it is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use token_forest::TrainingTree;

use super::Snapshots;
use crate::TrainingConfig;
use crate::digest::hexadecimal;

/// The identity of a run: everything that changes its numbers. Two runs with equal ones are the same run.
///
/// A trainer makes it ([`SftTrainer::identity`](crate::SftTrainer::identity) and its neighbors), from its settings and loss and
/// from the [details](Snapshots::details) of its snapshots; examples and reference are added when they are known. As JSON it
/// says what a result was made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunIdentity {
    settings: TrainingConfig,
    /// The trainer and its loss.
    objective: Value,
    /// What the trainer is not told: where the model comes from, say.
    details: BTreeMap<String, Value>,
    /// SHA-256 of the parameters that the run begins with, unless the details have a `model`.
    model: Option<String>,
    /// SHA-256 of the examples in their order.
    examples: Option<String>,
    /// Mean of the reference log-probs, for losses that have a reference.
    reference: Option<f64>,
}

/// The detail in place of which parameters are hashed.
const MODEL: &str = "model";

/// How far the mean of the same reference may move by rounding, when another number of ranks computed it say; a share of it.
const SAME_REFERENCE: f64 = 1e-4;

impl RunIdentity {
    pub(crate) fn new(
        settings: &TrainingConfig,
        objective: Value,
        snapshots: Option<&Snapshots>,
    ) -> Self {
        Self {
            settings: settings.clone(),
            objective,
            details: snapshots.map(|it| it.details.clone()).unwrap_or_default(),
            model: None,
            examples: None,
            reference: None,
        }
    }

    /// Adds the examples, which a run trains on in this order.
    pub fn of_examples(mut self, examples: &[TrainingTree]) -> Self {
        let mut hash = Sha256::new();
        for example in examples {
            // Plain structures of numbers and strings; what could not be written would hash like nothing.
            hash.update(serde_json::to_vec(example).unwrap_or_default());
            hash.update(b"\n");
        }
        self.examples = Some(hexadecimal(&hash.finalize()));
        self
    }

    pub(crate) fn with_reference(mut self, mean: f64) -> Self {
        self.reference = Some(mean);
        self
    }

    /// Adds the parameters that the run begins with, unless the details speak of the model.
    pub(crate) fn with_model(mut self, digest: impl FnOnce() -> String) -> Self {
        if !self.details.contains_key(MODEL) {
            self.model = Some(digest());
        }
        self
    }

    /// A [detail](Snapshots::details) of the run, by its name.
    pub fn detail(&self, name: &str) -> Option<&Value> {
        self.details.get(name)
    }

    /// Every setting in which `self`, the run that was saved, differs from the run that wants to go on, each with both values;
    /// those of what either does not know yet are left out. A run that is extended may be longer.
    pub(crate) fn differences(&self, now: &Self, extended: bool) -> Vec<String> {
        let mut found = Differences::default();
        let [then, current] = [self, now].map(|it| it.settings_that_count(extended));
        found.compare("", &then, &current);
        found.compare("objective", &self.objective, &now.objective);
        found.compare("", &json!(self.details), &json!(now.details));
        if let (Some(then), Some(now)) = (&self.model, &now.model) {
            found.compare("the model's weights (SHA-256)", &json!(then), &json!(now));
        }
        if let (Some(then), Some(now)) = (&self.examples, &now.examples)
            && then != now
        {
            found
                .all
                .push("the examples or their order are others".into());
        }
        match (self.reference, now.reference) {
            (Some(then), Some(now)) if (then - now).abs() > SAME_REFERENCE * then.abs() => {
                found.all.push(format!(
                    "the reference is another: its mean log-prob was {then} and is {now}"
                ));
            }
            _ => {}
        }
        found.all
    }

    /// The settings that change what steps compute. A run that ended for a number that is not finite wants to go on with
    /// another policy, one that ran out of memory with activations computed again; and the limit of paths only refuses.
    fn settings_that_count(&self, extended: bool) -> Value {
        // Through text, where a number of 32 bits has no more digits than it was given.
        let text = serde_json::to_string(&self.settings).unwrap_or_default();
        let mut settings: Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(fields) = settings.as_object_mut() {
            for field in ["on_not_finite", "recompute_activations", "max_path_tokens"] {
                fields.remove(field);
            }
            if extended {
                fields.remove("epochs");
                fields.remove("max_steps");
            }
        }
        settings
    }
}

#[derive(Default)]
struct Differences {
    all: Vec<String>,
}

impl Differences {
    /// Compares two values, and what is in them by name.
    fn compare(&mut self, name: &str, then: &Value, now: &Value) {
        let (Value::Object(old), Value::Object(new)) = (then, now) else {
            if then != now {
                self.all.push(format!("{name} was {then} and is {now}"));
            }
            return;
        };
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for field in names {
            let path = match name {
                "" => field.clone(),
                outer => format!("{outer}.{field}"),
            };
            let [then, now] = [old, new].map(|it| it.get(field).unwrap_or(&Value::Null));
            self.compare(&path, then, now);
        }
    }
}
