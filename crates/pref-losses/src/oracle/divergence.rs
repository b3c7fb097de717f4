//! f-divergences in place of the reverse KL.

use super::ratios::LogRatios;
use super::scalar::negative_log_sigmoid;

/// Exponents of the alpha divergence are cut here, as in the reference implementation.
const MAX_EXPONENT: f64 = 80.0;

/// Which divergence ties the policy to the reference: replaces each log-ratio `x` by
/// `g(x) = f'(exp(x))` up to a factor (arXiv 2309.16240, equation 9).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Divergence {
    /// `g(x) = x`: plain DPO.
    ReverseKl,
    /// `g(x) = 1 - exp(-x)`. Infinite for `x` below -709.
    ForwardKl,
    /// `g(x) = log 2 - L(x)`.
    JensenShannon,
    /// `g(x) = (exp((alpha - 1) x) - 1) / (alpha - 1)`, the exponent cut at 80; `x` for alpha 1.
    Alpha(f64),
}

impl Divergence {
    /// `g(x)`.
    pub fn score(self, x: f64) -> f64 {
        match self {
            Self::ReverseKl => x,
            Self::ForwardKl => -(-x).exp_m1(),
            Self::JensenShannon => std::f64::consts::LN_2 - negative_log_sigmoid(x),
            Self::Alpha(1.0) => x,
            Self::Alpha(alpha) => exponent(alpha, x).exp_m1() / (alpha - 1.0),
        }
    }

    /// `g(x)` less its additive constant. The same loss, unless scores are divided by lengths.
    pub fn score_without_constant(self, x: f64) -> f64 {
        match self {
            Self::ReverseKl => x,
            Self::ForwardKl => -(-x).exp(),
            Self::JensenShannon => -negative_log_sigmoid(x),
            Self::Alpha(1.0) => x,
            Self::Alpha(alpha) => exponent(alpha, x).exp() / (alpha - 1.0),
        }
    }

    /// [`score`](Self::score) of every log-ratio; apply a loss to the result.
    pub fn scores(self, ratios: &LogRatios) -> LogRatios {
        ratios.map(|x| self.score(x))
    }
}

fn exponent(alpha: f64, x: f64) -> f64 {
    let exponent = (alpha - 1.0) * x;
    if exponent > MAX_EXPONENT {
        MAX_EXPONENT
    } else {
        exponent
    }
}
