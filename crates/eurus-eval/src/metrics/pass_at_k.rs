//! How likely one of k samples solves a problem.

use super::Proportion;
use crate::error::{Error, Result};

/// Unbiased estimate of pass@k of one problem: the chance that at least one of `k` samples is
/// correct, given that `correct` of `samples` were (arXiv 2107.03374, equation 1).
///
/// `1 - C(n - c, k) / C(n, k)`, computed as a sum of logarithms: no binomial ever overflows and
/// small values keep their precision.
///
/// ```
/// let value = eurus_eval::metrics::pass_at_k(10, 3, 2).unwrap();
/// assert!((value - (1.0 - 7.0 * 6.0 / (10.0 * 9.0))).abs() < 1e-12);
/// ```
///
/// # Errors
///
/// [`Error::KOutOfRange`] unless `1 <= k <= samples`; [`Error::TooManyCorrect`] if
/// `correct > samples`.
pub fn pass_at_k(samples: usize, correct: usize, k: usize) -> Result<f64> {
    if correct > samples {
        return Err(Error::TooManyCorrect { samples, correct });
    }
    if k == 0 || k > samples {
        return Err(Error::KOutOfRange { k, samples });
    }
    if samples - correct < k {
        return Ok(1.0);
    }
    // Every i is above samples - correct >= k, so no logarithm meets zero.
    let log_all_wrong: f64 = (samples - correct + 1..=samples)
        .map(|i| (-(k as f64) / i as f64).ln_1p())
        .sum();
    Ok((-log_all_wrong.exp_m1()).clamp(0.0, 1.0))
}

/// Mean of [`pass_at_k`] over problems, each given as (samples, correct).
///
/// # Errors
///
/// As [`pass_at_k`] for any problem; [`Error::NoValues`] without problems.
pub fn mean_pass_at_k(problems: &[(usize, usize)], k: usize) -> Result<Proportion> {
    let values: Vec<f64> = problems
        .iter()
        .map(|&(samples, correct)| pass_at_k(samples, correct, k))
        .collect::<Result<_>>()?;
    Proportion::from_values(&values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pass_at_k_refuses_what_it_cannot_estimate() {
        assert!(matches!(
            pass_at_k(4, 5, 1),
            Err(Error::TooManyCorrect { .. })
        ));
        assert!(matches!(pass_at_k(4, 2, 0), Err(Error::KOutOfRange { .. })));
        assert!(matches!(pass_at_k(4, 2, 5), Err(Error::KOutOfRange { .. })));
        assert!(matches!(pass_at_k(0, 0, 1), Err(Error::KOutOfRange { .. })));
    }

    #[test]
    fn pass_at_k_stays_precise_for_many_samples() {
        // One correct among a million: pass@1 is exactly 1e-6.
        let value = pass_at_k(1_000_000, 1, 1).unwrap();
        assert!((value / 1e-6 - 1.0).abs() < 1e-12);
        assert!(pass_at_k(1_000_000, 999_000, 500).unwrap() <= 1.0);
    }
}
