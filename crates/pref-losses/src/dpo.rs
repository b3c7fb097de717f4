//! Direct preference optimisation, with label smoothing in both published readings.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::divergence::{Divergence, DivergenceConstant};
use crate::error::{Error, check, flip_rate, positive};
use crate::loss::PairLoss;
use crate::pairs::{PairLengths, PairLogProbs, PairOutput};
use crate::stable::{negative_log_sigmoid, smoothed_negative_log_sigmoid};

/// The meaning of label smoothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelSmoothing {
    /// cDPO (Mitchell 2023): a share of the labels is taken to be flipped. Bounded below; the
    /// margin that minimizes it is finite.
    #[default]
    Conservative,
    /// Robust DPO (arXiv 2403.00409): the unbiased estimate of the clean loss under that flip
    /// rate. Unbounded below.
    Robust,
}

/// Settings of [`Dpo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpoConfig {
    /// Strength of the tie to the reference, above 0. Default 0.1.
    pub beta: f64,
    /// Assumed rate of flipped labels: 0 to 0.5 (below 0.5 when robust). Default 0.
    pub label_smoothing: f64,
    /// How `label_smoothing` is used. Default conservative.
    pub smoothing: LabelSmoothing,
    /// The divergence that ties the policy to the reference. Default reverse KL.
    pub divergence: Divergence,
    /// Whether the divergence's constant is kept when normalized by length. Default kept.
    pub divergence_constant: DivergenceConstant,
    /// True for length-normalized DPO: log-ratios are divided by their numbers of tokens. Default
    /// false.
    pub length_normalized: bool,
}

impl Default for DpoConfig {
    fn default() -> Self {
        Self {
            beta: 0.1,
            label_smoothing: 0.0,
            smoothing: LabelSmoothing::default(),
            divergence: Divergence::default(),
            divergence_constant: DivergenceConstant::default(),
            length_normalized: false,
        }
    }
}

impl DpoConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<Dpo, Error> {
        positive("dpo", "beta", self.beta)?;
        let rate = self.label_smoothing;
        match self.smoothing {
            LabelSmoothing::Conservative => flip_rate("dpo", rate)?,
            LabelSmoothing::Robust => check(
                "dpo",
                "label_smoothing",
                rate,
                (0.0..0.5).contains(&rate),
                "from 0 to below 0.5",
            )?,
        }
        self.divergence.validate("dpo")?;
        Ok(Dpo {
            config: self.clone(),
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
/// With another [`Divergence`] `a` and `b` are put through its `g` first (arXiv 2309.16240).
/// Length-normalized DPO (arXiv 2411.15124, Section 4.3; 2405.14734, Appendix I) divides each of
/// them by its response's number of tokens; since `a` and `b` get smaller that way, its beta is
/// larger (Tulu 3 takes 5).
///
/// **When.** The default of the field; wants pairs, a reference and a small learning rate.
///
/// **Chosen rewards.** It depends on `a - b` alone. Nothing keeps the chosen reward from falling as
/// long as the rejected one falls faster, which is what it often does on reasoning data (arXiv
/// 2404.02078, Section 5.1).
///
/// **Pitfalls.** Watch both rewards, not the margin. Conservative smoothing is not robust DPO: the
/// one has its optimum at a finite margin, the other is unbounded below.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{DpoConfig, PairLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let dpo = DpoConfig { beta: 0.1, ..DpoConfig::default() }.init()?;
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
    config: DpoConfig,
}

impl Dpo {
    /// One loss per pair, from log-probs summed over each response.
    ///
    /// # Panics
    ///
    /// If the four tensors differ in length, and if the configuration asks for length
    /// normalisation: that is [`forward_per_token`](Dpo::forward_per_token).
    pub fn forward(&self, log_probs: PairLogProbs) -> PairOutput {
        assert!(
            !self.config.length_normalized,
            "`length_normalized` is set: call `Dpo::forward_per_token`, which takes lengths"
        );
        let ratios = log_probs.log_ratios();
        let rewards = ratios.rewards(self.config.beta);
        let difference = self.config.divergence.difference(ratios);
        PairOutput::new(self.losses(difference), rewards)
    }

    /// Length-normalized DPO: each score divided by its response's number of tokens. Rewards stay
    /// sums.
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward_per_token(&self, log_probs: PairLogProbs, lengths: PairLengths) -> PairOutput {
        let DpoConfig {
            beta,
            divergence,
            divergence_constant,
            ..
        } = self.config;
        let ratios = log_probs.log_ratios();
        let rewards = ratios.rewards(beta);
        let difference = divergence.difference_per_token(ratios, lengths, divergence_constant);
        PairOutput::new(self.losses(difference), rewards)
    }

    /// True when the configuration asks for length normalisation.
    pub fn is_length_normalized(&self) -> bool {
        self.config.length_normalized
    }

    fn losses(&self, difference: Tensor<1>) -> Tensor<1> {
        let logits = difference.mul_scalar(self.config.beta);
        let rate = self.config.label_smoothing;
        match self.config.smoothing {
            LabelSmoothing::Conservative => smoothed_negative_log_sigmoid(logits, rate),
            LabelSmoothing::Robust => {
                let kept = negative_log_sigmoid(logits.clone()).mul_scalar(1.0 - rate);
                let flipped = negative_log_sigmoid(logits.neg()).mul_scalar(rate);
                (kept - flipped).div_scalar(1.0 - 2.0 * rate)
            }
        }
    }
}

impl PairLoss for Dpo {
    fn needs(&self) -> Needs {
        Needs {
            lengths: self.is_length_normalized(),
            ..Needs::REFERENCE
        }
    }

    fn forward(&self, log_probs: PairLogProbs, context: &PairContext) -> Result<PairOutput, Error> {
        if self.is_length_normalized() {
            let lengths = context.lengths("dpo")?;
            return Ok(self.forward_per_token(log_probs, lengths));
        }
        Ok(self.forward(log_probs))
    }
}
