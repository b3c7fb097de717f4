//! Numbers with their uncertainty: proportions, paired differences, means over seeds, pass@k.
//!
//! Every standard error here is the sample standard deviation (denominator n - 1) divided by the
//! square root of n. One value has no spread, so its standard error is `None` and not zero.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A share of problems, from 0 to 1, with its standard error over the problems.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Proportion {
    /// Mean over the problems.
    pub mean: f64,
    /// Standard error of the mean over the problems; `None` for a single problem.
    pub standard_error: Option<f64>,
    /// Number of problems.
    pub n: usize,
}

impl Proportion {
    /// The share of `true`.
    ///
    /// ```
    /// let solved = eurus_eval::metrics::Proportion::from_bools(&[true, true, false, true]).unwrap();
    /// assert_eq!(solved.mean, 0.75);
    /// assert_eq!(solved.to_string(), "75.0 ± 25.0 %");
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NoValues`] if there are no outcomes.
    pub fn from_bools(outcomes: &[bool]) -> Result<Self> {
        let values: Vec<f64> = outcomes
            .iter()
            .map(|&yes| f64::from(u8::from(yes)))
            .collect();
        Self::from_values(&values)
    }

    /// The mean of one value per problem, such as a per-problem pass@k or expected accuracy.
    ///
    /// # Errors
    ///
    /// [`Error::NoValues`] without values, [`Error::NotAShare`] for a value outside 0..=1 (NaN included).
    pub fn from_values(values: &[f64]) -> Result<Self> {
        const WHAT: &str = "proportion";
        for (index, &value) in values.iter().enumerate() {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::NotAShare {
                    what: WHAT,
                    index,
                    value,
                });
            }
        }
        let (mean, standard_error) = mean_and_error(WHAT, values)?;
        Ok(Self {
            mean,
            standard_error,
            n: values.len(),
        })
    }
}

impl fmt::Display for Proportion {
    /// In percent, with the standard error where there is one: `41.5 ± 3.2 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", self.mean * 100.0)?;
        if let Some(error) = self.standard_error {
            write!(f, " ± {:.1}", error * 100.0)?;
        }
        write!(f, " %")
    }
}

/// A mean of any numbers with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Standard error of the mean; `None` for a single value.
    pub standard_error: Option<f64>,
    /// Number of values.
    pub n: usize,
}

impl Estimate {
    /// Whether the mean is above zero by more than `errors` standard errors.
    ///
    /// Never true for a single value, whose standard error is unknown.
    pub fn exceeds_zero_by(&self, errors: f64) -> bool {
        self.standard_error
            .is_some_and(|error| self.mean > errors * error)
    }

    /// A difference of shares in points, with its sign, and the standard error where there is one: `+21.0 ± 3.2`.
    ///
    /// ```
    /// let gain = eurus_eval::metrics::paired_difference(&[1.0, 1.0], &[0.0, 1.0])?;
    /// assert_eq!(gain.in_points(), "+50.0 ± 50.0");
    /// # Ok::<(), eurus_eval::Error>(())
    /// ```
    pub fn in_points(&self) -> String {
        let points = typeset(format!("{:+.1}", self.mean * 100.0));
        match self.standard_error {
            Some(error) => format!("{points} ± {:.1}", error * 100.0),
            None => points,
        }
    }
}

impl fmt::Display for Estimate {
    /// With three decimals, and the standard error where there is one: `−0.123 ± 0.045`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", typeset(format!("{:.3}", self.mean)))?;
        match self.standard_error {
            Some(error) => write!(f, " ± {error:.3}"),
            None => Ok(()),
        }
    }
}

/// The mean of `left - right`, problem by problem, with its standard error.
///
/// Two methods judged on the same problems share the problems' difficulty. Taking differences
/// first removes it, so this standard error is smaller than one from two separate proportions.
///
/// # Errors
///
/// [`Error::LengthMismatch`], [`Error::NoValues`] or [`Error::NotFinite`].
pub fn paired_difference(left: &[f64], right: &[f64]) -> Result<Estimate> {
    check_lengths("left", left.len(), "right", right.len())?;
    let differences: Vec<f64> = left.iter().zip(right).map(|(l, r)| l - r).collect();
    estimate("paired difference", &differences)
}

/// Mean and standard error of the mean of one number per seed.
///
/// # Errors
///
/// [`Error::NoValues`] or [`Error::NotFinite`].
pub fn over_seeds(values: &[f64]) -> Result<Estimate> {
    estimate("mean over seeds", values)
}

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

/// Spearman's rank correlation: Pearson's of the ranks, equal values sharing the mean of theirs. `None` where one side has a
/// single value only, so that nothing can go with it.
///
/// ```
/// use eurus_eval::metrics::rank_correlation;
/// assert_eq!(rank_correlation(&[1.0, 2.0, 3.0], &[10.0, 100.0, 1000.0]).unwrap(), Some(1.0));
/// assert_eq!(rank_correlation(&[1.0, 2.0, 3.0], &[7.0, 7.0, 7.0]).unwrap(), None);
/// ```
///
/// # Errors
///
/// [`Error::LengthMismatch`], [`Error::NoValues`] or [`Error::NotFinite`].
pub fn rank_correlation(left: &[f64], right: &[f64]) -> Result<Option<f64>> {
    check_lengths("left", left.len(), "right", right.len())?;
    if left.is_empty() {
        return Err(Error::NoValues {
            what: "rank correlation",
        });
    }
    check_finite("left", left)?;
    check_finite("right", right)?;
    let centred = |values: &[f64]| -> Vec<f64> {
        let middle = (values.len() - 1) as f64 / 2.0;
        ranks(values).iter().map(|rank| rank - middle).collect()
    };
    let (left, right) = (centred(left), centred(right));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let spread = (product(&left, &left) * product(&right, &right)).sqrt();
    Ok((spread > 0.0).then(|| product(&left, &right) / spread))
}

/// The places of values in ascending order, from 0; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        for &index in equal {
            ranks[index] = first as f64 + (equal.len() - 1) as f64 / 2.0;
        }
        first += equal.len();
    }
    ranks
}

/// A formatted number with a true minus sign, as it is printed in tables and charts.
pub(crate) fn typeset(number: String) -> String {
    number.replace('-', "−")
}

pub(crate) fn check_lengths(
    left: &'static str,
    left_len: usize,
    right: &'static str,
    right_len: usize,
) -> Result<()> {
    if left_len == right_len {
        return Ok(());
    }
    Err(Error::LengthMismatch {
        left,
        left_len,
        right,
        right_len,
    })
}

pub(crate) fn check_finite(what: &'static str, values: &[f64]) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Error::NotFinite {
            what,
            index,
            value: values[index],
        }),
        None => Ok(()),
    }
}

/// Sample standard deviation, denominator n - 1; `None` below two values.
pub(crate) fn standard_deviation(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn estimate(what: &'static str, values: &[f64]) -> Result<Estimate> {
    let (mean, standard_error) = mean_and_error(what, values)?;
    Ok(Estimate {
        mean,
        standard_error,
        n: values.len(),
    })
}

fn mean_and_error(what: &'static str, values: &[f64]) -> Result<(f64, Option<f64>)> {
    if values.is_empty() {
        return Err(Error::NoValues { what });
    }
    check_finite(what, values)?;
    let error =
        standard_deviation(values).map(|deviation| deviation / (values.len() as f64).sqrt());
    Ok((mean(values), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_error_is_the_sample_deviation_over_root_n() {
        let estimate = over_seeds(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(estimate.mean, 2.0);
        assert!((estimate.standard_error.unwrap() - 1.0 / 3f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn one_value_has_no_standard_error() {
        let estimate = over_seeds(&[0.4]).unwrap();
        assert_eq!(estimate.standard_error, None);
        assert!(!estimate.exceeds_zero_by(1.0));
        assert_eq!(
            Proportion::from_bools(&[true]).unwrap().to_string(),
            "100.0 %"
        );
    }

    #[test]
    fn nothing_cannot_be_averaged() {
        assert!(matches!(
            Proportion::from_bools(&[]),
            Err(Error::NoValues { .. })
        ));
        assert!(matches!(over_seeds(&[]), Err(Error::NoValues { .. })));
    }

    #[test]
    fn values_outside_zero_to_one_are_not_a_proportion() {
        for bad in [-0.1, 1.1, f64::NAN] {
            let result = Proportion::from_values(&[0.5, bad]);
            assert!(
                matches!(result, Err(Error::NotAShare { index: 1, .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn pairing_removes_what_both_sides_share() {
        let left = [0.9, 0.5, 0.1];
        let right = [0.8, 0.4, 0.0];
        let paired = paired_difference(&left, &right).unwrap();
        assert!((paired.mean - 0.1).abs() < 1e-12);
        assert!(paired.standard_error.unwrap() < 1e-12);
        assert!(matches!(
            paired_difference(&left, &right[..2]),
            Err(Error::LengthMismatch {
                left_len: 3,
                right_len: 2,
                ..
            })
        ));
    }

    #[test]
    fn rank_correlation_is_that_of_the_books() {
        // Ten pupils, hours of television against IQ; rho = -29/165.
        let left = [106., 100., 86., 101., 99., 103., 97., 113., 112., 110.];
        let right = [7., 27., 2., 50., 28., 29., 20., 12., 6., 17.];
        let rho = rank_correlation(&left, &right).unwrap().unwrap();
        assert!((rho + 29.0 / 165.0).abs() < 1e-12, "{rho}");
        // Ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3: 4.5 / sqrt(4.5 * 5).
        let tied = rank_correlation(&[1., 2., 2., 5.], &[1., 2., 3., 4.]);
        let tied = tied.unwrap().unwrap();
        assert!((tied - 4.5 / 22.5f64.sqrt()).abs() < 1e-12, "{tied}");
        assert!(rank_correlation(&[1.0], &[f64::NAN]).is_err());
        assert!(rank_correlation(&[], &[]).is_err());
    }

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
