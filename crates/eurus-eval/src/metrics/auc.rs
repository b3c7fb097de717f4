//! How well numbers tell positives from negatives.

use std::collections::BTreeMap;

use super::{Bootstrap, Interval, check_finite, check_lengths};
use crate::error::{Error, Result};

/// The area under the ROC curve: the chance that a positive scores higher than a negative, a tie counting one half.
///
/// Mann and Whitney's U over the number of pairs of one positive and one negative (Mann & Whitney 1947), from 0 to 1. One half
/// is chance; below it the scores point the wrong way.
///
/// ```
/// use eurus_eval::metrics::area_under_curve;
/// // 3 > 2, 3 > 0, 1 < 2, 1 > 0: three of four.
/// assert_eq!(area_under_curve(&[3.0, 1.0], &[2.0, 0.0])?, 0.75);
/// # Ok::<(), eurus_eval::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::NoValues`] where one of the two has none, [`Error::NotFinite`].
pub fn area_under_curve(positives: &[f64], negatives: &[f64]) -> Result<f64> {
    for (what, values) in [("AUC, positives", positives), ("AUC, negatives", negatives)] {
        if values.is_empty() {
            return Err(Error::NoValues { what });
        }
        check_finite(what, values)?;
    }
    let mut sorted = negatives.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let below: f64 = positives
        .iter()
        .map(|&score| {
            let lower = sorted.partition_point(|&other| other < score);
            let lower_or_equal = sorted.partition_point(|&other| other <= score);
            (lower + lower_or_equal) as f64 / 2.0
        })
        .sum();
    Ok(below / (positives.len() as f64 * negatives.len() as f64))
}

impl Bootstrap {
    /// The interval of the [area under the ROC curve](area_under_curve) of values in clusters, which are drawn whole.
    ///
    /// Draws in which all values are of one kind have no curve and are left out; `None` where no draw has one, or where there
    /// is one cluster alone, of which nothing about others can be told.
    ///
    /// # Errors
    ///
    /// [`Error::LengthMismatch`], [`Error::NotFinite`], [`Error::NoValues`] without values or resamples,
    /// [`Error::ConfidenceOutOfRange`].
    pub fn clustered_auc<C: Ord>(
        &self,
        values: &[f64],
        positive: &[bool],
        clusters: &[C],
    ) -> Result<Option<Interval>> {
        check_lengths("values", values.len(), "positive", positive.len())?;
        check_lengths("values", values.len(), "clusters", clusters.len())?;
        check_finite("AUC", values)?;
        let mut places: BTreeMap<&C, usize> = clusters.iter().map(|it| (it, 0)).collect();
        for (place, (_, of_cluster)) in places.iter_mut().enumerate() {
            *of_cluster = place;
        }
        // Sorted once: a draw is a weight for every cluster, and one pass over the values.
        let mut sorted: Vec<Ranked> = Vec::with_capacity(values.len());
        for ((&value, &is_positive), cluster) in values.iter().zip(positive).zip(clusters) {
            sorted.push(Ranked {
                value,
                is_positive,
                cluster: places[cluster],
            });
        }
        sorted.sort_unstable_by(|a, b| a.value.total_cmp(&b.value));
        let mut weights = vec![0usize; places.len()];
        let interval = self.of_draws(places.len(), |drawn| {
            weights.fill(0);
            drawn.iter().for_each(|&cluster| weights[cluster] += 1);
            weighted_auc(&sorted, &weights)
        })?;
        Ok(interval.filter(|_| places.len() > 1))
    }
}

struct Ranked {
    value: f64,
    is_positive: bool,
    cluster: usize,
}

/// The area of sorted values that each count as often as their cluster was drawn.
fn weighted_auc(sorted: &[Ranked], weights: &[usize]) -> Option<f64> {
    let (mut below, mut positives, mut negatives) = (0.0, 0.0, 0.0);
    for equal in sorted.chunk_by(|a, b| a.value == b.value) {
        let (mut positive, mut negative) = (0.0, 0.0);
        for it in equal {
            let weight = weights[it.cluster] as f64;
            match it.is_positive {
                true => positive += weight,
                false => negative += weight,
            }
        }
        below += positive * (negatives + negative / 2.0);
        positives += positive;
        negatives += negative;
    }
    (positives > 0.0 && negatives > 0.0).then(|| below / (positives * negatives))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_that_of_counting_pairs_by_hand() {
        // The example in the documentation of scikit-learn's `roc_auc_score`; then one with ties.
        assert_eq!(area_under_curve(&[0.35, 0.8], &[0.1, 0.4]).unwrap(), 0.75);
        let tied = area_under_curve(&[0.5, 0.5, 0.9, 0.1], &[0.5, 0.2, 0.9]).unwrap();
        assert!((tied - 5.5 / 12.0).abs() < 1e-15, "{tied}");
    }

    #[test]
    fn ties_count_one_half_and_one_kind_alone_has_no_curve() {
        assert_eq!(area_under_curve(&[1.0, 1.0], &[1.0]).unwrap(), 0.5);
        assert_eq!(area_under_curve(&[2.0, 1.0], &[1.0]).unwrap(), 0.75);
        assert!(area_under_curve(&[], &[1.0]).is_err());
        assert!(area_under_curve(&[1.0], &[]).is_err());
        assert!(area_under_curve(&[f64::NAN], &[1.0]).is_err());
    }

    #[test]
    fn values_that_were_drawn_twice_count_as_two() {
        let ranked = |value, is_positive, cluster| Ranked {
            value,
            is_positive,
            cluster,
        };
        let sorted = [
            ranked(0.0, false, 0),
            ranked(1.0, true, 0),
            ranked(1.0, false, 1),
            ranked(2.0, true, 1),
        ];
        // Positives 1, 1, 2 and negatives 0, 0, 1: 1 beats two and ties one, 2 beats all.
        let drawn = weighted_auc(&sorted, &[2, 1]);
        let repeated = area_under_curve(&[1.0, 1.0, 2.0], &[0.0, 0.0, 1.0]);
        assert_eq!(drawn, Some(repeated.unwrap()));
        assert_eq!(weighted_auc(&sorted, &[0, 0]), None);
    }

    #[test]
    fn the_interval_holds_the_area_and_clusters_widen_it() {
        // Eight clusters: in half of them the positives win, in the others they lose.
        let mut values = Vec::new();
        let mut positive = Vec::new();
        let mut clusters = Vec::new();
        for cluster in 0..8 {
            for item in 0..10 {
                let up = (cluster % 2 == 0) == (item % 2 == 0);
                values.push(f64::from(u8::from(up)) + f64::from(item) / 100.0);
                positive.push(item % 2 == 0);
                clusters.push(cluster);
            }
        }
        let bootstrap = Bootstrap {
            resamples: 500,
            ..Bootstrap::default()
        };
        let of = |wanted: bool| -> Vec<f64> {
            let both = values.iter().zip(&positive);
            let wanted = both.filter(|it| *it.1 == wanted);
            wanted.map(|it| *it.0).collect()
        };
        let area = area_under_curve(&of(true), &of(false)).unwrap();
        let clustered = bootstrap.clustered_auc(&values, &positive, &clusters);
        let clustered = clustered.unwrap().unwrap();
        let each: Vec<usize> = (0..values.len()).collect();
        let plain = bootstrap.clustered_auc(&values, &positive, &each);
        let plain = plain.unwrap().unwrap();
        assert!(clustered.contains(area) && plain.contains(area));
        assert!(clustered.high - clustered.low > 1.5 * (plain.high - plain.low));
        let one = vec![0; values.len()];
        let one = bootstrap.clustered_auc(&values, &positive, &one);
        assert_eq!(one.unwrap(), None);
    }
}
