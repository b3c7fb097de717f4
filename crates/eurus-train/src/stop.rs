//! Ending a run before its last step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

/// A request to end a run after the step that it is at.
///
/// Clones are one request: a trainer is given one, and a callback, another thread or the handler of a signal makes it. The run
/// then saves its state, if it has [`Snapshots`](crate::Snapshots), tells [`Event::Stopped`](crate::Event::Stopped) and returns
/// the model as it is, or the best one if it keeps that.
///
/// ```
/// use burn::tensor::Device;
/// use eurus_models::{Decoder, DecoderConfig};
/// use eurus_train::{SftTrainer, StopRequest, TrainingConfig};
/// use token_forest::{TokenTree, TrainingTree};
///
/// # fn main() -> eurus_train::Result<()> {
/// let mut tree = TokenTree::new(vec![1, 2], false);
/// tree.push(0, vec![3, 4], true);
/// let trees = [TrainingTree::imitated("t", &tree)?];
/// let settings = TrainingConfig { epochs: 100, learning_rate: 1e-2, ..TrainingConfig::default() };
/// let model = Decoder::init(&DecoderConfig::llama(32, 16, 2, 2), 7, &Device::flex());
///
/// let stop = StopRequest::default();
/// let mut steps = 0;
/// let trainer = SftTrainer::new(settings)?.with_stop_request(stop.clone());
/// let trained = trainer.train(model, &trees, &mut |event| {
///     if let Some(progress) = event.progress() {
///         steps = progress.step;
///         if progress.loss < 3.0 {
///             stop.make(); // good enough
///         }
///     }
/// })?;
/// assert!(steps < 100);
/// # drop(trained);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct StopRequest(Arc<AtomicBool>);

impl StopRequest {
    /// Asks the run to end.
    pub fn make(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the run was asked to end.
    pub fn is_made(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The reason for which a run ended before its last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// A [`StopRequest`] was made.
    Requested,
    /// The judge said so: [`Judgement::stop`](crate::Judgement::stop).
    Judge,
    /// So many evaluations in a row brought no better score: [`Evaluation::patience`](crate::Evaluation::patience).
    Patience,
}
