//! Functions of one number that keep all digits in their tails.

use ndarray::ArrayView1;

/// `s(x) = 1 / (1 + exp(-x))`.
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let small = x.exp();
        small / (1.0 + small)
    }
}

/// `L(x) = -log s(x) = log(1 + exp(-x))`.
pub fn negative_log_sigmoid(x: f64) -> f64 {
    positive_part(-x) + (-x.abs()).exp().ln_1p()
}

/// `log s(x)`.
pub fn log_sigmoid(x: f64) -> f64 {
    -negative_log_sigmoid(x)
}

/// `log(1 - exp(x))` for `x < 0`: log-probability of everything else.
///
/// Of the two forms each is exact where the other cancels (Maechler 2012, "Accurately computing
/// log(1 - exp(-|a|))").
pub fn log_one_minus_exp(x: f64) -> f64 {
    if x > -std::f64::consts::LN_2 {
        (-x.exp_m1()).ln()
    } else {
        (-x.exp()).ln_1p()
    }
}

/// `log sum(exp(x))`; minus infinity for no values.
pub fn log_sum_exp(values: ArrayView1<f64>) -> f64 {
    let shifted = Shifted::of(values);
    shifted.max + shifted.log_sum
}

/// `max(0, x)` that does not swallow NaN.
pub(super) fn positive_part(x: f64) -> f64 {
    if x <= 0.0 { 0.0 } else { x }
}

/// A log-softmax in the making: `log softmax(x)_i = (x_i - max) - log_sum`.
pub(super) struct Shifted {
    max: f64,
    /// `log sum(exp(x - max))`.
    log_sum: f64,
}

impl Shifted {
    pub fn of(values: ArrayView1<f64>) -> Self {
        let mut best = 0;
        for (index, &value) in values.iter().enumerate() {
            if value > values[best] {
                best = index;
            }
        }
        let Some(&max) = values.get(best) else {
            return Self {
                max: f64::NEG_INFINITY,
                log_sum: 0.0,
            };
        };
        // The largest term is exactly 1; the others are added to each other first.
        let others: f64 = values
            .iter()
            .enumerate()
            .filter(|&(index, _)| index != best)
            .map(|(_, &value)| (value - max).exp())
            .sum();
        Self {
            max,
            log_sum: others.ln_1p(),
        }
    }

    pub fn log_softmax(&self, value: f64) -> f64 {
        (value - self.max) - self.log_sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_tails_keep_their_digits() {
        assert_eq!(negative_log_sigmoid(1e4), 0.0);
        assert_eq!(negative_log_sigmoid(-1e4), 1e4);
        assert_eq!(negative_log_sigmoid(0.0), 2f64.ln());
        assert_eq!(negative_log_sigmoid(100.0), (-100f64).exp());
        assert_eq!(sigmoid(-700.0), (-700f64).exp());
        assert_eq!(sigmoid(1e4), 1.0);
        let near_zero = log_one_minus_exp(-1e-12);
        assert!((near_zero - 1e-12f64.ln()).abs() < 1e-11, "{near_zero}");
        assert_eq!(log_one_minus_exp(-50.0), -(-50f64).exp());
        let one_leads = log_sum_exp(array![0.0, -40.0].view());
        assert_eq!(one_leads, (-40f64).exp());
        assert_eq!(log_sum_exp(array![1e4, 1e4].view()), 1e4 + 2f64.ln());
    }

    #[test]
    fn nan_stays_nan() {
        assert!(sigmoid(f64::NAN).is_nan());
        assert!(negative_log_sigmoid(f64::NAN).is_nan());
        assert!(positive_part(f64::NAN).is_nan());
        assert!(log_sum_exp(array![0.0, f64::NAN].view()).is_nan());
        assert!(log_sum_exp(array![f64::NAN, 0.0].view()).is_nan());
    }
}
