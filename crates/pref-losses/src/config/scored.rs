//! Losses over K scored responses.

use serde::{Deserialize, Serialize};

use crate::context::Needs;
use crate::error::Error;
use crate::nca_k::{InfoNca, NcaK, NcaKConfig, ResponseLogProbs, ResponseOutput};

/// Which loss over K scored responses to a prompt, with its settings. Fields that are left out take
/// their defaults, unknown ones are errors.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{ResponseLogProbs, ScoredLossConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = Device::flex();
/// let config: ScoredLossConfig = serde_json::from_str(r#"{"type": "info_nca", "temperature": 0.5}"#)?;
/// let log_probs = Tensor::<2>::from_floats([[-3.0, -4.0, -5.0]], &device);
/// let output = config.init()?.forward(ResponseLogProbs {
///     policy: log_probs.clone(),
///     reference: log_probs,
///     scores: Tensor::from_floats([[1.0, 0.0, 2.0]], &device),
/// });
/// assert!((output.losses.into_scalar::<f32>() - 3f32.ln()).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScoredLossConfig {
    /// [`NcaK`].
    NcaK(NcaKConfig),
    /// [`InfoNca`].
    InfoNca(NcaKConfig),
}

impl ScoredLossConfig {
    /// The names of all losses, as in the serialized `type`, in the order of the variants.
    pub const NAMES: &[&str] = &["nca_k", "info_nca"];

    /// The name of the loss, as in the serialized `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NcaK(_) => "nca_k",
            Self::InfoNca(_) => "info_nca",
        }
    }

    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<ScoredLoss, Error> {
        Ok(match self {
            Self::NcaK(config) => ScoredLoss::NcaK(config.init_nca()?),
            Self::InfoNca(config) => ScoredLoss::InfoNca(config.init_info_nca()?),
        })
    }
}

/// A loss over K scored responses to a prompt, chosen at run time.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ScoredLoss {
    /// NCA over K responses.
    NcaK(NcaK),
    /// InfoNCA over K responses.
    InfoNca(InfoNca),
}

impl ScoredLoss {
    /// What [`forward`](Self::forward) looks at.
    pub fn needs(&self) -> Needs {
        Needs::REFERENCE
    }

    /// One loss per prompt.
    ///
    /// # Panics
    ///
    /// If the three tensors differ in shape.
    pub fn forward(&self, responses: ResponseLogProbs) -> ResponseOutput {
        match self {
            Self::NcaK(loss) => loss.forward(responses),
            Self::InfoNca(loss) => loss.forward(responses),
        }
    }
}
