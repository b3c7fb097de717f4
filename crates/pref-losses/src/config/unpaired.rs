//! Losses over responses with a verdict each.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::apo::UnpairedApoZeroConfig;
use crate::bco::{Bco, BcoConfig};
use crate::context::Needs;
use crate::error::Error;
use crate::kto::{KlEstimate, Kto, KtoConfig};
use crate::unpaired::{UnpairedContext, UnpairedLogProbs, UnpairedOutput};

/// Which loss over responses with a verdict, with its settings. Fields that are left out take their
/// defaults, unknown ones are errors.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Bool, Device, Tensor};
/// use pref_losses::{UnpairedContext, UnpairedLogProbs, UnpairedLossConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = Device::flex();
/// let config: UnpairedLossConfig = serde_json::from_str(r#"{"type": "bco", "beta": 0.1}"#)?;
/// let output = config.init()?.forward(
///     UnpairedLogProbs {
///         policy: Tensor::from_floats([-9.0, -20.0], &device),
///         reference: Tensor::from_floats([-10.0, -21.0], &device),
///         desirable: Tensor::<1, Bool>::from_data([true, false], &device),
///     },
///     &UnpairedContext { reward_shift: 0.1, ..UnpairedContext::default() },
/// )?;
/// assert_eq!(output.losses.dims(), [2]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum UnpairedLossConfig {
    /// [`Kto`].
    Kto(KtoConfig),
    /// [`Bco`].
    Bco(BcoConfig),
    /// APO-zero: [`Kto`] with its KL term fixed at 0.
    ApoZero(UnpairedApoZeroConfig),
}

impl UnpairedLossConfig {
    /// The names of all losses, as in the serialized `type`, in the order of the variants.
    pub const NAMES: &[&str] = &["kto", "bco", "apo_zero"];

    /// The name of the loss, as in the serialized `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kto(_) => "kto",
            Self::Bco(_) => "bco",
            Self::ApoZero(_) => "apo_zero",
        }
    }

    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<UnpairedLoss, Error> {
        Ok(match self {
            Self::Kto(config) => UnpairedLoss::Kto(config.init()?),
            Self::Bco(config) => UnpairedLoss::Bco(config.init()?),
            Self::ApoZero(config) => UnpairedLoss::Kto(config.init()?),
        })
    }
}

/// A loss over responses with a verdict, chosen at run time.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum UnpairedLoss {
    /// Kahneman-Tversky optimisation, APO-zero among it.
    Kto(Kto),
    /// Binary classifier optimisation.
    Bco(Bco),
}

impl UnpairedLoss {
    /// What [`forward`](Self::forward) looks at.
    pub fn needs(&self) -> Needs {
        Needs {
            kl: matches!(self, Self::Kto(kto) if kto.kl_estimate() != KlEstimate::Zero),
            ..Needs::REFERENCE
        }
    }

    /// The KL estimate `[1]` from mismatched log-probs, for losses that need one: [`Kto::kl`].
    pub fn kl(&self, policy: Tensor<1>, reference: Tensor<1>) -> Option<Tensor<1>> {
        match self {
            Self::Kto(kto) if self.needs().kl => Some(kto.kl(policy, reference)),
            _ => None,
        }
    }

    /// One loss per response, in input order.
    ///
    /// # Errors
    ///
    /// [`Error::MissingKl`] when a KL estimate is needed and `context` has none.
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward(
        &self,
        log_probs: UnpairedLogProbs,
        context: &UnpairedContext,
    ) -> Result<UnpairedOutput, Error> {
        Ok(match self {
            Self::Kto(loss) => {
                let device = log_probs.policy.device();
                let kl = loss.reference_point(context.kl.clone(), &device)?;
                loss.forward(log_probs, kl)
            }
            Self::Bco(loss) => loss.forward_unpaired(log_probs, context.reward_shift),
        })
    }
}
