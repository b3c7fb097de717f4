//! f-divergences: what ties the policy to the reference.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::{Error, check};
use crate::exponential::{Exponential, Origin};
use crate::pairs::{Pair, PairLengths};
use crate::stable::{log_sigmoid, sigmoid, with_slope};

/// Where TRL cuts the exponent of the alpha divergence off.
const ALPHA_CAP: f64 = 80.0;

/// The divergence that ties the policy to the reference (arXiv 2309.16240, Table 1).
///
/// A loss that depends on a difference of log-ratios `a - b` becomes that of another divergence by
/// putting `g(a) - g(b)` in its place, with `g` the derivative of the divergence's generator up to
/// a constant:
///
/// | | `g(x)` | what it does |
/// | --- | --- | --- |
/// | reverse KL | `x` | plain DPO; mode-seeking |
/// | forward KL | `1 - exp(-x)` | hardly rewards what is already likelier than under the reference, punishes falling below it exponentially; keeps diversity |
/// | Jensen-Shannon | `log 2 + log s(x)` | like reverse KL below the reference, bounded by `log 2` above |
/// | alpha | `(exp((alpha - 1) x) - 1) / (alpha - 1)` | forward KL at `alpha = 0`, reverse KL at 1 |
///
/// `g(0) = 0` for all of them, and `g'(0) = 1` (Jensen-Shannon: 1/2), so that beta means the same near
/// the reference (Jensen-Shannon: half as much). With
/// forward KL, Jensen-Shannon and `alpha < 1`, responses that the policy has made unlikely pull the
/// hardest: chosen rewards are held up. Rewards that are reported stay `beta` times the log-ratio.
///
/// # Numbers
///
/// The exponent of the alpha divergence is cut off at 80, as in TRL. Forward KL has no cut-off by
/// definition: where the scores leave f32 (log-ratios below -88) the difference keeps its sign and
/// a size of `exp(88)`, and the gradient with respect to that response is 0.
///
/// # Serialized form
///
/// `"reverse_kl"`, `"forward_kl"`, `"jensen_shannon"` or `{"alpha": 0.5}`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Divergence {
    /// Reverse Kullback-Leibler divergence, that of plain DPO.
    #[default]
    ReverseKl,
    /// Forward Kullback-Leibler divergence.
    ForwardKl,
    /// Jensen-Shannon divergence.
    JensenShannon,
    /// Alpha divergence; TRL before 1.0 calls `1 - alpha` its alpha.
    Alpha(f64),
}

/// Whether the constant that makes `g(0) = 0` is kept or dropped. It cancels in `g(a) - g(b)` and matters only where
/// the two are divided by different lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DivergenceConstant {
    /// It is kept: a response at the reference has score 0 whatever its length (TRL 1.16).
    #[default]
    Kept,
    /// It is dropped (TRL 1.10): `g(x)` is `-exp(-x)`, `log s(x)` or `exp((alpha - 1) x) / (alpha - 1)`.
    Dropped,
}

impl Divergence {
    pub(crate) fn validate(self, loss: &'static str) -> Result<(), Error> {
        match self {
            Self::Alpha(alpha) => check(loss, "divergence.alpha", alpha, true, "finite"),
            Self::ReverseKl | Self::ForwardKl | Self::JensenShannon => Ok(()),
        }
    }

    /// `g(chosen) - g(rejected)`.
    pub(crate) fn difference(self, ratios: Pair) -> Tensor<1> {
        match self.exponential() {
            Some(exponential) => exponential.difference(ratios),
            None => jensen_shannon(ratios, Origin::AtZero).difference(),
        }
    }

    /// `g(chosen) / n_chosen - g(rejected) / n_rejected`.
    pub(crate) fn difference_per_token(
        self,
        ratios: Pair,
        lengths: PairLengths,
        constant: DivergenceConstant,
    ) -> Tensor<1> {
        let origin = match constant {
            DivergenceConstant::Kept => Origin::AtZero,
            DivergenceConstant::Dropped => Origin::Dropped,
        };
        match self.exponential() {
            Some(exponential) => exponential.difference_per_token(ratios, lengths, origin),
            None => {
                let lengths = lengths.counts("policy_chosen", ratios.len());
                let scores = jensen_shannon(ratios, origin);
                scores.divided_by(lengths).difference()
            }
        }
    }

    /// The form that all but Jensen-Shannon have.
    fn exponential(self) -> Option<Exponential> {
        let (rate, cap) = match self {
            Self::ReverseKl => (0.0, f64::INFINITY),
            Self::ForwardKl => (-1.0, f64::INFINITY),
            Self::Alpha(alpha) => (alpha - 1.0, ALPHA_CAP),
            Self::JensenShannon => return None,
        };
        Some(Exponential { rate, cap })
    }
}

fn jensen_shannon(ratios: Pair, origin: Origin) -> Pair {
    ratios.map(|x| match origin {
        Origin::Dropped => log_sigmoid(x.clone()),
        // `log(2 s(x))` without the cancellation near 0: `min(x, 0) + log(1 + tanh(|x| / 2))`.
        Origin::AtZero => {
            let at = x.clone().detach();
            let rise = at.clone().abs().mul_scalar(0.5).tanh().log1p();
            let value = at.clone().clamp_max(0.0) + rise;
            with_slope(value, x.clone(), sigmoid(at.neg()))
        }
    })
}
