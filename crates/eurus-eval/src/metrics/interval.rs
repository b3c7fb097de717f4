//! Ranges that hold the true value with a stated confidence.

use std::fmt;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use super::{Proportion, typeset};
use crate::error::{Error, Result};

/// A closed range of values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// Whether a value lies in it, its ends included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// The interval of a weighted mean of independent estimates, each given by its weight, itself and its interval: the distances
    /// to the ends of these are combined as standard errors are (Zou and Donner, 2008, doi:10.1002/sim.3095). `None` without
    /// weight.
    ///
    /// ```
    /// use eurus_eval::metrics::Interval;
    /// let part = (1.0, 0.5, Interval { low: 0.4, high: 0.7 });
    /// let mean = Interval::of_weighted_mean(&[part, part]).unwrap();
    /// assert!((mean.low - (0.5 - 0.1 / 2f64.sqrt())).abs() < 1e-12);
    /// assert!((mean.high - (0.5 + 0.2 / 2f64.sqrt())).abs() < 1e-12);
    /// ```
    pub fn of_weighted_mean(parts: &[(f64, f64, Self)]) -> Option<Self> {
        let weight: f64 = parts.iter().map(|(weight, _, _)| weight).sum();
        if weight <= 0.0 {
            return None;
        }
        let combined = |distance: fn(f64, &Self) -> f64| {
            let squares = parts.iter().map(|(of, estimate, interval)| {
                let share = of / weight * distance(*estimate, interval);
                share * share
            });
            squares.sum::<f64>().sqrt()
        };
        let mean: f64 = parts.iter().map(|(of, it, _)| of / weight * it).sum();
        Some(Self {
            low: mean - combined(|estimate, it| estimate - it.low),
            high: mean + combined(|estimate, it| it.high - estimate),
        })
    }
}

impl fmt::Display for Interval {
    /// In percent or points: `[38.2, 44.9]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = (self.low * 100.0, self.high * 100.0);
        f.write_str(&typeset(format!("[{low:.1}, {high:.1}]")))
    }
}

impl Proportion {
    /// The score interval of Wilson (1927) with a confidence such as 0.95.
    ///
    /// `(p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)`. Unlike mean ± z standard errors it stays within 0 and 1 and has
    /// a width where all or none are right. Takes the items to be independent.
    ///
    /// ```
    /// use eurus_eval::metrics::Proportion;
    /// let all = Proportion::from_bools(&[true; 10])?.wilson(0.95)?;
    /// assert_eq!(all.to_string(), "[72.2, 100.0]");
    /// # Ok::<(), eurus_eval::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::ConfidenceOutOfRange`] unless 0 < confidence < 1, [`Error::NoValues`] for a proportion of nothing.
    pub fn wilson(&self, confidence: f64) -> Result<Interval> {
        check_confidence(confidence)?;
        if self.n == 0 {
            return Err(Error::NoValues {
                what: "Wilson interval",
            });
        }
        let (p, n) = (self.mean, self.n as f64);
        let z = Normal::standard().inverse_cdf(0.5 + confidence / 2.0);
        let shrink = 1.0 + z * z / n;
        let centre = (p + z * z / (2.0 * n)) / shrink;
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt() / shrink;
        // The interval holds p and lies in 0..=1 but for rounding.
        Ok(Interval {
            low: (centre - half).min(p).max(0.0),
            high: (centre + half).max(p).min(1.0),
        })
    }
}

pub(super) fn check_confidence(confidence: f64) -> Result<()> {
    match confidence > 0.0 && confidence < 1.0 {
        true => Ok(()),
        false => Err(Error::ConfidenceOutOfRange { confidence }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_intervals_are_those_of_statsmodels() {
        let cases = [
            (8, 10, 0.95, 0.49016247153664183, 0.9433178485456247),
            (0, 10, 0.95, 0.0, 0.27753279986288926),
            (10, 10, 0.95, 0.7224672001371106, 1.0),
            (437, 500, 0.95, 0.8420322822801359, 0.900264711054623),
            (1, 3, 0.95, 0.06149194472039626, 0.7923403991979523),
            (8, 10, 0.99, 0.4008186965216716, 0.9598688474953836),
        ];
        for (correct, n, confidence, low, high) in cases {
            let outcomes: Vec<bool> = (0..n).map(|index| index < correct).collect();
            let share = Proportion::from_bools(&outcomes).unwrap();
            let interval = share.wilson(confidence).unwrap();
            assert!((interval.low - low).abs() < 1e-9, "{interval:?}");
            assert!((interval.high - high).abs() < 1e-9, "{interval:?}");
        }
    }

    #[test]
    fn a_confidence_is_between_zero_and_one() {
        let half = Proportion::from_bools(&[true, false]).unwrap();
        for bad in [0.0, 1.0, -0.1, 95.0, f64::NAN] {
            let error = half.wilson(bad);
            assert!(matches!(error, Err(Error::ConfidenceOutOfRange { .. })));
        }
    }
}
