//! Intervals by drawing the items again.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::interval::check_confidence;
use super::{Interval, check_finite, check_lengths};
use crate::error::{Error, Result};

/// The percentile bootstrap of a mean (Efron 1979): items are drawn with replacement, as many as there are, and the interval
/// is that of the middle of the means so found, with linear interpolation between them.
///
/// The draws depend on the seed and the number of items or clusters alone, so that intervals of several quantities over the
/// same items rest on the same draws.
///
/// ```
/// use eurus_eval::metrics::Bootstrap;
/// let gains = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
/// let interval = Bootstrap::default().mean(&gains)?;
/// assert!(interval.contains(0.625) && interval.low >= 0.0 && interval.high <= 1.0);
/// # Ok::<(), eurus_eval::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// How often the items are drawn again.
    pub resamples: usize,
    /// The share of means that the interval holds, between 0 and 1.
    pub confidence: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 2000 resamples, 95 %, seed 0.
    fn default() -> Self {
        Self {
            resamples: 2000,
            confidence: 0.95,
            seed: 0,
        }
    }
}

/// What is drawn as one: an item, or all items of a cluster.
#[derive(Clone, Copy, Default)]
struct Unit {
    sum: f64,
    items: usize,
}

impl Bootstrap {
    /// The interval of the mean of independent values.
    ///
    /// # Errors
    ///
    /// [`Error::NoValues`] without values or resamples, [`Error::NotFinite`], [`Error::ConfidenceOutOfRange`].
    pub fn mean(&self, values: &[f64]) -> Result<Interval> {
        check_finite(WHAT, values)?;
        let unit = |&sum: &f64| Unit { sum, items: 1 };
        self.interval(&values.iter().map(unit).collect::<Vec<_>>())
    }

    /// The interval of the mean of `left - right`, item by item.
    ///
    /// # Errors
    ///
    /// [`Error::LengthMismatch`], and as [`Bootstrap::mean`].
    pub fn difference(&self, left: &[f64], right: &[f64]) -> Result<Interval> {
        check_lengths("left", left.len(), "right", right.len())?;
        let differences: Vec<f64> = left.iter().zip(right).map(|(l, r)| l - r).collect();
        self.mean(&differences)
    }

    /// The interval of the mean of values in clusters, which are drawn whole.
    ///
    /// # Errors
    ///
    /// [`Error::LengthMismatch`], and as [`Bootstrap::mean`].
    pub fn clustered_mean<C: Ord>(&self, values: &[f64], clusters: &[C]) -> Result<Interval> {
        check_lengths("values", values.len(), "clusters", clusters.len())?;
        check_finite(WHAT, values)?;
        let mut units: BTreeMap<&C, Unit> = BTreeMap::new();
        for (value, cluster) in values.iter().zip(clusters) {
            let unit = units.entry(cluster).or_default();
            unit.sum += value;
            unit.items += 1;
        }
        self.interval(&units.into_values().collect::<Vec<_>>())
    }

    fn interval(&self, units: &[Unit]) -> Result<Interval> {
        let mean = |drawn: &[usize]| {
            let drawn = drawn.iter().map(|&unit| units[unit]);
            let (sum, items) = drawn.fold((0.0, 0), |(sum, items), unit| {
                (sum + unit.sum, items + unit.items)
            });
            Some(sum / items as f64)
        };
        let interval = self.of_draws(units.len(), mean)?;
        interval.ok_or(Error::NoValues { what: WHAT })
    }

    /// The interval of a statistic of units that are drawn again, given by their numbers. Draws of which it is `None` are left
    /// out; `None` where it is so of all.
    pub(super) fn of_draws(
        &self,
        units: usize,
        mut statistic: impl FnMut(&[usize]) -> Option<f64>,
    ) -> Result<Option<Interval>> {
        check_confidence(self.confidence)?;
        if units == 0 || self.resamples == 0 {
            return Err(Error::NoValues { what: WHAT });
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut drawn = vec![0; units];
        let mut values: Vec<f64> = Vec::with_capacity(self.resamples);
        for _ in 0..self.resamples {
            drawn.fill_with(|| random.random_range(0..units));
            values.extend(statistic(&drawn));
        }
        if values.is_empty() {
            return Ok(None);
        }
        values.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - self.confidence) / 2.0;
        Ok(Some(Interval {
            low: quantile(&values, tail),
            high: quantile(&values, 1.0 - tail),
        }))
    }
}

const WHAT: &str = "bootstrap";

/// The quantile of sorted values, at least one, with linear interpolation.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 1.0), 4.0);
        assert_eq!(quantile(&[7.0], 0.3), 7.0);
    }

    #[test]
    fn the_interval_is_close_to_the_normal_one_for_many_items() {
        // 400 items, 30 %: 0.3 -+ 1.96 * sqrt(0.21 / 400). The ends of 2000 resamples are off by about 0.002.
        let values: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i % 10 < 3))).collect();
        let interval = Bootstrap::default().mean(&values).unwrap();
        let half = 1.96 * (0.21f64 / 400.0).sqrt();
        assert!((interval.low - (0.3 - half)).abs() < 0.008, "{interval:?}");
        assert!((interval.high - (0.3 + half)).abs() < 0.008, "{interval:?}");
        assert_eq!(Bootstrap::default().mean(&values).unwrap(), interval);
    }

    #[test]
    fn clusters_widen_the_interval_and_clusters_of_one_change_nothing() {
        let values: Vec<f64> = (0..80).map(|i| f64::from(u8::from(i % 16 < 8))).collect();
        let bootstrap = Bootstrap::default();
        let plain = bootstrap.mean(&values).unwrap();
        let each: Vec<usize> = (0..80).collect();
        assert_eq!(bootstrap.clustered_mean(&values, &each).unwrap(), plain);
        let eights: Vec<usize> = (0..80).map(|i| i / 8).collect();
        let wide = bootstrap.clustered_mean(&values, &eights).unwrap();
        assert!(wide.high - wide.low > 2.0 * (plain.high - plain.low));
    }

    #[test]
    fn equal_runs_differ_by_nothing() {
        let values = [0.0, 1.0, 1.0];
        let interval = Bootstrap::default().difference(&values, &values).unwrap();
        assert_eq!((interval.low, interval.high), (0.0, 0.0));
        let none = Bootstrap {
            resamples: 0,
            ..Bootstrap::default()
        };
        assert!(none.mean(&values).is_err());
    }
}
