//! Inputs that some losses need beside log-probs.

use burn::tensor::Tensor;

use crate::error::Error;
use crate::pairs::PairLengths;
use crate::parts::PairParts;
use crate::wpo::PairLogWeights;

/// Inputs that some paired losses need beside log-probs; [`Needs`] tells which. The default has nothing.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{PairContext, PairLengths, PairLogProbs, PreferenceLossConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = Device::flex();
/// let config: PreferenceLossConfig = serde_json::from_str(r#"{"type": "simpo", "beta": 2.0}"#)?;
/// let simpo = config.init()?;
/// assert!(simpo.needs().lengths && !simpo.needs().reference);
///
/// let context = PairContext {
///     lengths: Some(PairLengths {
///         chosen: Tensor::from_floats([10.0], &device),
///         rejected: Tensor::from_floats([40.0], &device),
///     }),
///     ..PairContext::default()
/// };
/// let log_probs = PairLogProbs::without_reference(
///     Tensor::from_floats([-12.0], &device),
///     Tensor::from_floats([-60.0], &device),
/// );
/// let output = simpo.forward(log_probs, &context)?;
/// assert_eq!(output.losses.dims(), [1]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct PairContext {
    /// Number of tokens of each response, for losses that are normalized by length.
    pub lengths: Option<PairLengths>,
    /// The KL estimate `[1]` of [`Kto`](crate::Kto), from [`PairLoss::kl`](crate::PairLoss::kl).
    pub kl: Option<Tensor<1>>,
    /// The shift delta of [`Bco`](crate::Bco): the running mean of rewards that the caller keeps.
    /// Default 0.
    pub reward_shift: f64,
    /// Mean number of tokens of the chosen responses, for the SFT term of [`SumConfig`](crate::SumConfig)
    /// that is normalized by tokens. Give the mean over the whole step where its pairs come in
    /// several calls; without it the mean over this call's `lengths` is taken.
    pub mean_chosen_tokens: Option<f64>,
    /// Log-probs of each token of the responses, for losses that do not count all of them alike, as
    /// [`LdDpo`](crate::LdDpo).
    pub tokens: Option<PairParts>,
    /// Log-probs of each turn of the trajectories that the responses end, for losses over trajectories,
    /// as [`Dmpo`](crate::Dmpo).
    pub turns: Option<PairParts>,
    /// How likely the policy would write the responses itself, for [`Wpo`](crate::Wpo).
    pub log_weights: Option<PairLogWeights>,
}

impl PairContext {
    /// The lengths, or an error that names the loss.
    pub(crate) fn lengths(&self, loss: &'static str) -> Result<PairLengths, Error> {
        self.lengths.clone().ok_or(Error::MissingLengths { loss })
    }

    /// The tokens, or an error that names the loss.
    pub(crate) fn tokens(&self, loss: &'static str) -> Result<PairParts, Error> {
        let missing = Error::Missing {
            loss,
            what: "log-probs of tokens",
            place: "PairContext::tokens",
        };
        self.tokens.clone().ok_or(missing)
    }

    /// The turns, or an error that names the loss.
    pub(crate) fn turns(&self, loss: &'static str) -> Result<PairParts, Error> {
        let missing = Error::Missing {
            loss,
            what: "log-probs of turns",
            place: "PairContext::turns",
        };
        self.turns.clone().ok_or(missing)
    }

    /// The weights, or an error that names the loss.
    pub(crate) fn log_weights(&self, loss: &'static str) -> Result<PairLogWeights, Error> {
        let missing = Error::Missing {
            loss,
            what: "weights of responses",
            place: "PairContext::log_weights",
        };
        self.log_weights.clone().ok_or(missing)
    }
}

/// The inputs that a loss looks at. A trainer can leave out the work for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Log-probs under the reference. Where false, those given are ignored.
    pub reference: bool,
    /// Lengths of the responses.
    pub lengths: bool,
    /// A KL estimate from mismatched prompts and responses.
    pub kl: bool,
    /// Log-probs of each token of the responses.
    pub tokens: bool,
    /// Log-probs of each turn of the trajectories that the responses end.
    pub turns: bool,
    /// The policy's own weights of the responses.
    pub log_weights: bool,
}

impl Needs {
    /// The reference alone.
    pub const REFERENCE: Self = Self {
        reference: true,
        lengths: false,
        kl: false,
        tokens: false,
        turns: false,
        log_weights: false,
    };

    /// The union of two needs.
    pub fn or(self, other: Self) -> Self {
        Self {
            reference: self.reference || other.reference,
            lengths: self.lengths || other.lengths,
            kl: self.kl || other.kl,
            tokens: self.tokens || other.tokens,
            turns: self.turns || other.turns,
            log_weights: self.log_weights || other.log_weights,
        }
    }
}
