//! Anchored preference optimisation.

use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::error::{Error, positive};
use crate::kto::{KlEstimate, Kto, KtoConfig};
use crate::loss::PairLoss;
use crate::pairs::{PairLogProbs, PairOutput};
use crate::stable::sigmoid;

/// Where [`Apo`] moves the chosen reward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApoVariant {
    /// Chosen up, rejected down: for chosen responses better than the policy's own.
    #[default]
    Zero,
    /// Both down, rejected further: for chosen responses worse than the policy's own.
    Down,
}

/// Settings of [`Apo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApoConfig {
    /// Strength of the tie to the reference, above 0. Default 0.1.
    pub beta: f64,
    /// Where the chosen reward is moved. Default zero.
    pub variant: ApoVariant,
}

impl Default for ApoConfig {
    fn default() -> Self {
        Self {
            beta: 0.1,
            variant: ApoVariant::default(),
        }
    }
}

impl ApoConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when `beta` is not above 0.
    pub fn init(&self) -> Result<Apo, Error> {
        positive("apo", "beta", self.beta)?;
        Ok(Apo {
            beta: self.beta,
            variant: self.variant,
        })
    }
}

/// Anchored preference optimisation (arXiv 2408.06266, equations 7 and 8), with `a`, `b` the
/// log-ratios of chosen and rejected:
///
/// - zero: `s(-beta a) + s(beta b)`
/// - down: `s(beta a) + s(-beta (a - b))`
///
/// **When.** When it is known whether chosen responses are better (zero) or worse (down) than what
/// the policy writes by itself.
///
/// **Chosen rewards.** Zero raises them, down lowers them while the margin grows.
///
/// **Pitfalls.** Both saturate: pairs far from the reference, well or badly ranked, stop pulling.
/// The unpaired form of APO-zero is [`UnpairedApoZeroConfig`].
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{ApoConfig, ApoVariant, PairLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex().autodiff();
/// for (variant, raises) in [(ApoVariant::Zero, true), (ApoVariant::Down, false)] {
///     let chosen = Tensor::<1>::from_floats([2.0], &device).require_grad();
///     let zero = Tensor::<1>::zeros([1], &device);
///     let output = ApoConfig { beta: 1.0, variant }.init()?.forward(PairLogProbs {
///         policy_chosen: chosen.clone(),
///         policy_rejected: Tensor::from_floats([-4.0], &device),
///         reference_chosen: zero.clone(),
///         reference_rejected: zero,
///     });
///     let gradients = output.losses.sum().backward();
///     let slope = chosen.grad(&gradients).unwrap().into_scalar::<f32>();
///     assert_eq!(slope < 0.0, raises);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Apo {
    beta: f64,
    variant: ApoVariant,
}

impl Apo {
    /// One loss per pair, from log-probs summed over each response.
    ///
    /// # Panics
    ///
    /// If the four tensors differ in length.
    pub fn forward(&self, log_probs: PairLogProbs) -> PairOutput {
        let ratios = log_probs.log_ratios();
        let rewards = ratios.rewards(self.beta);
        let chosen = ratios.chosen.clone().mul_scalar(self.beta);
        let losses = match self.variant {
            ApoVariant::Zero => {
                sigmoid(chosen.neg()) + sigmoid(ratios.rejected.mul_scalar(self.beta))
            }
            ApoVariant::Down => {
                let margin = ratios.difference().mul_scalar(self.beta);
                sigmoid(chosen) + sigmoid(margin.neg())
            }
        };
        PairOutput::new(losses, rewards)
    }
}

impl PairLoss for Apo {
    fn needs(&self) -> Needs {
        Needs::REFERENCE
    }

    fn forward(&self, log_probs: PairLogProbs, _: &PairContext) -> Result<PairOutput, Error> {
        Ok(self.forward(log_probs))
    }
}

/// Settings of APO-zero for responses with a verdict (arXiv 2408.06266, as in TRL):
/// `lambda+ s(-beta x)` for desirable and `lambda- s(beta x)` for undesirable responses, with `x` the
/// log-ratio.
///
/// It is [`Kto`] with its KL term fixed at 0, and [`init`](UnpairedApoZeroConfig::init) makes just
/// that.
///
/// # Examples
///
/// ```
/// use pref_losses::{KlEstimate, UnpairedApoZeroConfig};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let apo = UnpairedApoZeroConfig { beta: 0.1, ..UnpairedApoZeroConfig::default() }.init()?;
/// assert_eq!(apo.kl_estimate(), KlEstimate::Zero);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnpairedApoZeroConfig {
    /// Strength of the tie to the reference, above 0. Default 0.1.
    pub beta: f64,
    /// Weight of desirable responses, above 0. Default 1.
    pub desirable_weight: f64,
    /// Weight of undesirable responses, above 0. Default 1.
    pub undesirable_weight: f64,
}

impl Default for UnpairedApoZeroConfig {
    fn default() -> Self {
        Self {
            beta: 0.1,
            desirable_weight: 1.0,
            undesirable_weight: 1.0,
        }
    }
}

impl UnpairedApoZeroConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<Kto, Error> {
        KtoConfig {
            beta: self.beta,
            desirable_weight: self.desirable_weight,
            undesirable_weight: self.undesirable_weight,
            kl: KlEstimate::Zero,
        }
        .init_as("apo_zero")
    }
}
