//! Numbers with their uncertainty: proportions, paired differences, means over seeds, pass@k.
//!
//! Every standard error here is the sample standard deviation (denominator n - 1) divided by the
//! square root of n. One value has no spread, so its standard error is `None` and not zero. Where
//! items come in groups that share their fate, such as variants of one problem, [`clustered_mean`]
//! gives the larger error that they deserve.
//!
//! | question | function |
//! | --- | --- |
//! | how sure is an accuracy? | [`Proportion`], its [Wilson interval](Proportion::wilson) |
//! | ... of items in groups? | [`clustered_mean`], [`Proportion::from_clusters`] |
//! | which of two runs is better, and where? | [`compare_runs`] |
//! | how sure is any mean, or a difference of two? | [`Bootstrap`] |
//! | do scores tell right from wrong? | [`area_under_curve`], its [clustered interval](Bootstrap::clustered_auc) |
//! | do two quantities order alike? | [`rank_correlation`] |

mod auc;
mod bootstrap;
mod clusters;
mod comparison;
mod interval;
mod pass_at_k;
mod rank_correlation;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use auc::area_under_curve;
pub use bootstrap::Bootstrap;
pub use clusters::clustered_mean;
pub use comparison::{ItemResult, McNemar, RunComparison, compare_runs};
pub use interval::Interval;
pub use pass_at_k::{mean_pass_at_k, pass_at_k};
pub use rank_correlation::rank_correlation;

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
}
