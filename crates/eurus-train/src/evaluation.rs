//! Judging the model while it is trained.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Result;

/// When a model is judged during training, and by what.
///
/// `judge` is given the model without autodiff: before the first step, after every so many steps, and after the last one. What
/// it draws at random does not change the training.
pub struct Evaluation<'a, M> {
    /// Steps between evaluations.
    pub every_steps: usize,
    /// Return the weights with the highest score instead of the last ones. With snapshots, the one of the best evaluation is
    /// never removed.
    pub keep_best: bool,
    /// End the run when so many evaluations in a row brought no better score; none goes on to the last step.
    pub patience: Option<usize>,
    /// The function that judges a model. An error before the first step ends the run; a later one is told as
    /// [`Event::NotEvaluated`](crate::Event::NotEvaluated), and the run goes on.
    pub judge: &'a mut dyn FnMut(&M) -> Result<Judgement>,
}

/// The judgement of a model: a score, metrics and sample texts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Judgement {
    /// Higher is better: what the best model is chosen by. A held-out loss counts negated.
    pub score: f64,
    /// Numbers by name.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// Texts that the model wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<SampleText>,
    /// Whether the run is to end here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stop: bool,
}

/// A text that the model wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleText {
    /// The prompt that the model was given.
    pub prompt: String,
    /// The model's response.
    pub response: String,
}

impl Judgement {
    /// A judgement by one number, of which more is better.
    pub fn by_score(name: impl Into<String>, score: f64) -> Self {
        Self {
            score,
            metrics: BTreeMap::from([(name.into(), score)]),
            ..Self::default()
        }
    }

    /// A judgement by one number, of which less is better.
    pub fn by_loss(name: impl Into<String>, loss: f64) -> Self {
        Self {
            score: -loss,
            metrics: BTreeMap::from([(name.into(), loss)]),
            ..Self::default()
        }
    }

    /// Ends the run here, if `stop`.
    pub fn with_stop(mut self, stop: bool) -> Self {
        self.stop = stop;
        self
    }

    /// Adds a number that is reported and does not count.
    pub fn with_metric(mut self, name: impl Into<String>, value: f64) -> Self {
        self.metrics.insert(name.into(), value);
        self
    }
}

/// The evaluation with the highest score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Best {
    pub step: usize,
    pub score: f64,
}
