//! Means of items that come in groups.

use std::collections::BTreeMap;

use super::{Estimate, Proportion, check_lengths, mean_and_error};
use crate::error::Result;

/// The mean of values with a standard error that knows that values of one cluster go together.
///
/// `cluster[i]` names the group of `values[i]`: GSM-Plus has eight variants of every seed problem, and a model that cannot
/// solve the seed fails most of them, so that 8 values tell little more than one. With the mean m and n values,
///
/// `SE² = SE_plain² + 1/n² Σ_clusters Σ_{i ≠ j} (s_i - m)(s_j - m)`
///
/// (Miller 2024, "Adding error bars to evals", arXiv 2411.00640). Clusters of one give the plain standard error.
/// One cluster alone tells nothing about how clusters differ: its standard error is `None`.
///
/// ```
/// use eurus_eval::metrics::clustered_mean;
/// let solved = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0];
/// let seeds = ["a", "a", "a", "b", "b", "b"];
/// assert_eq!(clustered_mean(&solved, &seeds)?.to_string(), "0.500 ± 0.365");
/// let alone = clustered_mean(&solved, &[1, 2, 3, 4, 5, 6])?;
/// assert_eq!(alone.to_string(), "0.500 ± 0.224");
/// # Ok::<(), eurus_eval::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::LengthMismatch`](crate::Error::LengthMismatch), [`Error::NoValues`](crate::Error::NoValues) or
/// [`Error::NotFinite`](crate::Error::NotFinite).
pub fn clustered_mean<C: Ord>(values: &[f64], clusters: &[C]) -> Result<Estimate> {
    check_lengths("values", values.len(), "clusters", clusters.len())?;
    let (mean, plain) = mean_and_error("clustered mean", values)?;
    // The cross products of a cluster are the square of its sum without the squares of its values.
    let mut sums: BTreeMap<&C, (f64, f64)> = BTreeMap::new();
    for (value, cluster) in values.iter().zip(clusters) {
        let (sum, squares) = sums.entry(cluster).or_default();
        *sum += value - mean;
        *squares += (value - mean).powi(2);
    }
    let cross: f64 = sums
        .values()
        .map(|(sum, squares)| sum * sum - squares)
        .sum();
    let n = values.len();
    // Never below zero but for rounding: SE_plain² is above Σ squares / n².
    let widen = |plain: f64| (plain * plain + cross / (n * n) as f64).max(0.0).sqrt();
    Ok(Estimate {
        mean,
        standard_error: plain.filter(|_| sums.len() > 1).map(widen),
        n,
    })
}

impl Proportion {
    /// The mean of one value per problem with the standard error of [`clustered_mean`].
    ///
    /// # Errors
    ///
    /// As [`Proportion::from_values`] and [`clustered_mean`].
    pub fn from_clusters<C: Ord>(values: &[f64], clusters: &[C]) -> Result<Self> {
        let plain = Self::from_values(values)?;
        Ok(Self {
            standard_error: clustered_mean(values, clusters)?.standard_error,
            ..plain
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOLVED: [f64; 12] = [1., 1., 0., 0., 0., 1., 1., 1., 1., 0., 1., 1.];
    const SEEDS: [u8; 12] = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 4];

    #[test]
    fn the_clustered_error_is_that_of_the_double_sum() {
        let estimate = clustered_mean(&SOLVED, &SEEDS).unwrap();
        assert!((estimate.mean - 2.0 / 3.0).abs() < 1e-15);
        let error = estimate.standard_error.unwrap();
        assert!((error - 0.1670870120169017).abs() < 1e-14, "{error}");
    }

    #[test]
    fn clusters_of_one_change_nothing_and_one_cluster_says_nothing() {
        let plain = Proportion::from_values(&SOLVED).unwrap();
        let each: Vec<usize> = (0..SOLVED.len()).collect();
        assert_eq!(Proportion::from_clusters(&SOLVED, &each).unwrap(), plain);
        let one = clustered_mean(&SOLVED, &[0; 12]).unwrap();
        assert_eq!(one.standard_error, None);
        assert!(clustered_mean(&SOLVED, &[0; 11]).is_err());
    }
}
