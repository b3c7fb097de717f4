//! `(exp(rate * x) - 1) / rate` and differences of it, over the whole range of f32.
//!
//! The scores of two f-divergences and of AlphaPO have this form.

use burn::tensor::{Bool, Tensor};

use crate::pairs::{Pair, PairLengths};
use crate::stable::{exp_m1, with_slope};

/// `exp` of this is the largest size that scores are let to have; f32 ends at 88.7.
const MAX_EXPONENT: f64 = 88.0;

/// `h(x) = (exp(min(rate * x, cap)) - 1) / rate`, and `x` where `rate` is 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exponential {
    pub rate: f64,
    /// Where the exponent is cut off by definition; infinite where it is not.
    pub cap: f64,
}

/// Where `h` has its zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `h(0) = 0`.
    AtZero,
    /// The `- 1` is left out.
    Dropped,
}

impl Exponential {
    /// `h(x)`, without gradient.
    pub fn value(self, x: Tensor<1>) -> Tensor<1> {
        let x = x.detach();
        if self.rate == 0.0 {
            return x;
        }
        self.scaled(x, Origin::AtZero)
    }

    /// `h(chosen) - h(rejected)`.
    ///
    /// Taken as `exp(max) (1 - exp(-distance))` of the two exponents, so that its sign is right
    /// also where each `h` is beyond the range of f32. There its size is that of `exp(88)` and the
    /// gradient with respect to the side out of range is 0.
    pub fn difference(self, pair: Pair) -> Tensor<1> {
        if self.rate == 0.0 {
            return pair.difference();
        }
        let exponents = pair.map(|x| self.exponent(x.clone().detach()).clamp_max(self.cap));
        let value = self.difference_at(exponents);
        let slopes = pair.map(|x| self.slope(x));
        join(value, pair, slopes)
    }

    /// `h(chosen) / n_chosen - h(rejected) / n_rejected`.
    pub fn difference_per_token(
        self,
        pair: Pair,
        lengths: PairLengths,
        origin: Origin,
    ) -> Tensor<1> {
        let lengths = lengths.counts("policy_chosen", pair.len());
        if self.rate == 0.0 {
            return pair.divided_by(lengths).difference();
        }
        let plain = pair.map(|x| self.scaled(x.clone().detach(), origin));
        let mut value = plain.divided_by(lengths.clone()).difference();
        if self.cap > self.top() {
            let exponents = pair.map(|x| self.exponent(x.clone().detach()));
            let beyond = exponents
                .chosen
                .clone()
                .max_pair(exponents.rejected.clone())
                .greater_elem(self.top());
            let shifted = Pair {
                chosen: exponents.chosen - lengths.chosen.clone().log(),
                rejected: exponents.rejected - lengths.rejected.clone().log(),
            };
            value = value.mask_where(beyond, self.difference_at(shifted));
        }
        let slopes = pair.map(|x| self.slope(x)).divided_by(lengths);
        join(value, pair, slopes)
    }

    /// The largest exponent whose `exp(..) / rate` is in range.
    fn top(self) -> f64 {
        MAX_EXPONENT + self.rate.abs().ln().min(0.0)
    }

    fn exponent(self, x: Tensor<1>) -> Tensor<1> {
        x.mul_scalar(self.rate)
    }

    fn scaled(self, x: Tensor<1>, origin: Origin) -> Tensor<1> {
        let exponent = self.exponent(x).clamp_max(self.cap.min(self.top()));
        let grown = match origin {
            Origin::AtZero => exp_m1(exponent),
            Origin::Dropped => exponent.exp(),
        };
        grown.div_scalar(self.rate)
    }

    /// `h'(x) = exp(rate * x)`, 0 where the exponent is cut off.
    fn slope(self, x: &Tensor<1>) -> Tensor<1> {
        let limit = self.cap.min(self.top());
        let exponent = self.exponent(x.clone().detach());
        let cut: Tensor<1, Bool> = exponent.clone().greater_elem(limit);
        exponent.clamp_max(limit).exp().mask_fill(cut, 0.0)
    }

    /// `(exp(chosen) - exp(rejected)) / rate` of exponents.
    fn difference_at(self, exponents: Pair) -> Tensor<1> {
        let distance = exponents.chosen.clone() - exponents.rejected.clone();
        let largest = exponents.chosen.max_pair(exponents.rejected);
        // `sign(distance) (1 - exp(-|distance|))`.
        let share =
            distance.clone().mul_scalar(0.5).tanh() * distance.abs().neg().exp().add_scalar(1.0);
        let size = largest.clamp_max(self.top()).exp();
        (size * share).div_scalar(self.rate)
    }
}

fn join(value: Tensor<1>, pair: Pair, slopes: Pair) -> Tensor<1> {
    let along_chosen = with_slope(value, pair.chosen, slopes.chosen);
    let zeros = pair.rejected.zeros_like();
    along_chosen - with_slope(zeros, pair.rejected, slopes.rejected)
}
