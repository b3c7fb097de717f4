//! Direct preference optimisation, with label smoothing in both published readings.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::{Error, check, positive};
use crate::pairs::{LogRatios, PairLengths, PairLogProbs, PairOutput};
use crate::stable::negative_log_sigmoid;

/// What label smoothing means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelSmoothing {
    /// cDPO (Mitchell 2023): a share of the labels is taken to be flipped. Bounded below; the
    /// margin that minimises it is finite.
    #[default]
    Conservative,
    /// Robust DPO (arXiv 2403.00409): the unbiased estimate of the clean loss under that flip
    /// rate. Unbounded below.
    Robust,
}

/// Settings of [`Dpo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DpoConfig {
    /// Strength of the tie to the reference, above 0. Default 0.1.
    pub beta: f64,
    /// Assumed rate of flipped labels: 0 to 0.5 (below 0.5 when robust). Default 0.
    pub label_smoothing: f64,
    /// How `label_smoothing` is used. Default conservative.
    pub smoothing: LabelSmoothing,
}

impl Default for DpoConfig {
    fn default() -> Self {
        Self {
            beta: 0.1,
            label_smoothing: 0.0,
            smoothing: LabelSmoothing::default(),
        }
    }
}

impl DpoConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the strength of the tie to the reference.
    pub fn with_beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }

    /// Sets the assumed rate of flipped labels.
    pub fn with_label_smoothing(mut self, label_smoothing: f64) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }

    /// Sets how label smoothing is used.
    pub fn with_smoothing(mut self, smoothing: LabelSmoothing) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<Dpo, Error> {
        positive("dpo", "beta", self.beta)?;
        let smoothing = self.label_smoothing;
        match self.smoothing {
            LabelSmoothing::Conservative => check(
                "dpo",
                "label_smoothing",
                smoothing,
                (0.0..=0.5).contains(&smoothing),
                "from 0 to 0.5",
            )?,
            LabelSmoothing::Robust => check(
                "dpo",
                "label_smoothing",
                smoothing,
                (0.0..0.5).contains(&smoothing),
                "from 0 to below 0.5",
            )?,
        }
        Ok(Dpo {
            beta: self.beta,
            label_smoothing: self.label_smoothing,
            smoothing: self.smoothing,
        })
    }
}

/// Direct preference optimisation (arXiv 2305.18290, equation 7).
///
/// With `a`, `b` the log-ratios `policy - reference` of chosen and rejected, `z = beta (a - b)`
/// and `L(x) = -log s(x)`:
///
/// - no smoothing: `L(z)`
/// - conservative: `(1 - e) L(z) + e L(-z)`
/// - robust: `((1 - e) L(z) - e L(-z)) / (1 - 2 e)`
///
/// It depends on `a - b` alone. Nothing keeps the chosen reward from falling as long as the
/// rejected one falls faster, which is what it often does on reasoning data (arXiv 2404.02078,
/// Section 4.2); watch both rewards, not the margin.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{DpoConfig, PairLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let dpo = DpoConfig::new().with_beta(0.1).init()?;
/// let output = dpo.forward(PairLogProbs {
///     policy_chosen: Tensor::from_floats([-12.0, -30.0], &device),
///     policy_rejected: Tensor::from_floats([-25.0, -31.0], &device),
///     reference_chosen: Tensor::from_floats([-14.0, -30.0], &device),
///     reference_rejected: Tensor::from_floats([-22.0, -31.0], &device),
/// });
/// let losses: Vec<f32> = output.losses.into_data().iter::<f32>().collect();
/// assert!(losses[0] < losses[1]);
/// // The second pair has not moved from the reference: its loss is ln 2.
/// assert!((losses[1] - std::f32::consts::LN_2).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Dpo {
    beta: f64,
    label_smoothing: f64,
    smoothing: LabelSmoothing,
}

impl Dpo {
    /// One loss per pair, from log-probs summed over each response.
    ///
    /// # Panics
    ///
    /// If the four tensors differ in length.
    pub fn forward(&self, log_probs: PairLogProbs) -> PairOutput {
        let ratios = log_probs.log_ratios();
        let rewards = ratios.rewards(self.beta);
        PairOutput::new(self.losses(ratios), rewards)
    }

    /// The same with each log-ratio divided by its response's number of tokens
    /// (arXiv 2411.15124, Section 4.3; 2405.14734, Appendix I). Rewards stay sums.
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward_per_token(&self, log_probs: PairLogProbs, lengths: PairLengths) -> PairOutput {
        let ratios = log_probs.log_ratios();
        let rewards = ratios.rewards(self.beta);
        PairOutput::new(self.losses(ratios.per_token(lengths)), rewards)
    }

    fn losses(&self, ratios: LogRatios) -> Tensor<1> {
        let logits = ratios.difference().mul_scalar(self.beta);
        let kept = negative_log_sigmoid(logits.clone());
        let rate = self.label_smoothing;
        if rate == 0.0 {
            return kept;
        }
        let flipped = negative_log_sigmoid(logits.neg()).mul_scalar(rate);
        let kept = kept.mul_scalar(1.0 - rate);
        match self.smoothing {
            LabelSmoothing::Conservative => kept + flipped,
            LabelSmoothing::Robust => (kept - flipped).div_scalar(1.0 - 2.0 * rate),
        }
    }
}
