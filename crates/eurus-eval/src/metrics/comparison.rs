//! Two runs on the items that they share.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

use super::{Estimate, Proportion, clustered_mean};
use crate::error::{Error, Result};

/// How one run did on one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemResult {
    /// The item, the same in every run.
    pub id: String,
    /// Whether it was solved.
    pub correct: bool,
    /// The group that the item shares its fate with, such as the seed problem of a variant; alone without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

/// Two runs, item by item; see [`compare_runs`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunComparison {
    /// Accuracy of the left run on the common items.
    pub left: Proportion,
    /// Accuracy of the right run on the common items.
    pub right: Proportion,
    /// Mean of left - right over the common items, clustered where the items are.
    pub difference: Estimate,
    /// Number of clusters among the common items: their number where they stand alone.
    pub clusters: usize,
    /// Whether the flipped items could be chance. Takes items to be independent: with clusters read `difference`.
    pub mcnemar: McNemar,
    /// The common items that only the left run solved, in the order of their ids.
    pub only_left_correct: Vec<String>,
    /// The common items that only the right run solved, in the order of their ids.
    pub only_right_correct: Vec<String>,
    /// Number of items that only the left run has.
    pub only_in_left: usize,
    /// Number of items that only the right run has.
    pub only_in_right: usize,
}

/// McNemar's exact test of the items on which two runs disagree.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Number of items that only the left run solved.
    pub only_left: usize,
    /// Number of items that only the right run solved.
    pub only_right: usize,
    /// The chance of a split at least as uneven if either run were as likely to win an item; two-sided, 1 without flips.
    pub p_value: f64,
}

impl McNemar {
    /// The test of two counts: twice the binomial tail at one half, at most 1 (McNemar 1947).
    ///
    /// ```
    /// use eurus_eval::metrics::McNemar;
    /// assert!((McNemar::exact(5, 1).p_value - 0.21875).abs() < 1e-12);
    /// ```
    pub fn exact(only_left: usize, only_right: usize) -> Self {
        let flips = (only_left + only_right) as u64;
        let fewer = only_left.min(only_right) as u64;
        // One half is a probability, so the distribution always exists.
        let tail = Binomial::new(0.5, flips).map_or(1.0, |binomial| binomial.cdf(fewer));
        Self {
            only_left,
            only_right,
            p_value: (2.0 * tail).min(1.0),
        }
    }
}

/// Compares two runs on the items that both have.
///
/// Taking differences item by item removes the items' difficulty, which both runs share; see
/// [`paired_difference`](super::paired_difference).
///
/// # Errors
///
/// [`Error::DuplicateItem`] for an id that one run has twice, [`Error::OtherCluster`] for an item that the runs put into
/// different clusters, [`Error::NoValues`] if they share no item.
pub fn compare_runs(left: &[ItemResult], right: &[ItemResult]) -> Result<RunComparison> {
    let (left, right) = (by_id("left", left)?, by_id("right", right)?);
    let common: Vec<(&ItemResult, &ItemResult)> = left
        .iter()
        .filter_map(|(id, item)| Some((*item, *right.get(id)?)))
        .collect();
    if let Some((item, _)) = common.iter().find(|(l, r)| l.cluster != r.cluster) {
        let id = item.id.clone();
        return Err(Error::OtherCluster { id });
    }
    // An item without a cluster is one of its own, whatever clusters are called.
    let clusters: Vec<(Option<&str>, Option<&str>)> = common
        .iter()
        .map(|(item, _)| match &item.cluster {
            Some(cluster) => (Some(cluster.as_str()), None),
            None => (None, Some(item.id.as_str())),
        })
        .collect();
    let credit = |item: &ItemResult| f64::from(u8::from(item.correct));
    let lefts: Vec<f64> = common.iter().map(|(l, _)| credit(l)).collect();
    let rights: Vec<f64> = common.iter().map(|(_, r)| credit(r)).collect();
    let differences: Vec<f64> = lefts.iter().zip(&rights).map(|(l, r)| l - r).collect();
    let ids = |pick: fn(&ItemResult, &ItemResult) -> bool| -> Vec<String> {
        let picked = common.iter().filter(|(l, r)| pick(l, r));
        picked.map(|(item, _)| item.id.clone()).collect()
    };
    let only_left_correct = ids(|l, r| l.correct && !r.correct);
    let only_right_correct = ids(|l, r| r.correct && !l.correct);
    Ok(RunComparison {
        left: Proportion::from_clusters(&lefts, &clusters)?,
        right: Proportion::from_clusters(&rights, &clusters)?,
        difference: clustered_mean(&differences, &clusters)?,
        clusters: clusters.iter().collect::<BTreeSet<_>>().len(),
        mcnemar: McNemar::exact(only_left_correct.len(), only_right_correct.len()),
        only_left_correct,
        only_right_correct,
        only_in_left: left.len() - common.len(),
        only_in_right: right.len() - common.len(),
    })
}

fn by_id<'a>(
    run: &'static str,
    items: &'a [ItemResult],
) -> Result<BTreeMap<&'a str, &'a ItemResult>> {
    let mut by_id = BTreeMap::new();
    for item in items {
        if by_id.insert(item.id.as_str(), item).is_some() {
            let id = item.id.clone();
            return Err(Error::DuplicateItem { run, id });
        }
    }
    Ok(by_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(outcomes: &[bool], clusters: Option<&[u8]>) -> Vec<ItemResult> {
        let item = |(index, &correct): (usize, &bool)| ItemResult {
            id: format!("{index:02}"),
            correct,
            cluster: clusters.map(|clusters| clusters[index].to_string()),
        };
        outcomes.iter().enumerate().map(item).collect()
    }

    #[test]
    fn the_exact_test_is_that_of_scipy() {
        let cases = [
            (5, 1, 0.21875),
            (12, 3, 0.03515625),
            (7, 7, 1.0),
            (0, 9, 0.00390625),
            (1, 0, 1.0),
            (0, 0, 1.0),
        ];
        for (left, right, p) in cases {
            let test = McNemar::exact(left, right);
            assert!((test.p_value - p).abs() < 1e-12, "{test:?}");
        }
    }

    #[test]
    fn differences_are_clustered_and_flips_are_named() {
        let left = [1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 1, 1].map(|solved| solved == 1);
        let right = [1, 0, 0, 0, 1, 1, 1, 0, 1, 0, 0, 1].map(|solved| solved == 1);
        let seeds = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 4];
        let report = compare_runs(&run(&left, Some(&seeds)), &run(&right, Some(&seeds))).unwrap();
        assert!((report.difference.mean - 1.0 / 6.0).abs() < 1e-15);
        let error = report.difference.standard_error.unwrap();
        assert!((error - 0.1429948630692639).abs() < 1e-14, "{error}");
        assert_eq!(report.clusters, 5);
        assert_eq!(report.only_left_correct, ["01", "07", "10"]);
        assert_eq!(report.only_right_correct, ["04"]);
        let alone = compare_runs(&run(&left, None), &run(&right, None)).unwrap();
        let error = alone.difference.standard_error.unwrap();
        assert!((error - 1.0 / 6.0).abs() < 1e-14, "{error}");
        assert_eq!(alone.clusters, 12);
    }

    #[test]
    fn only_common_items_count() {
        let left = run(&[true, true, false], None);
        let report = compare_runs(&left[..2], &left[1..]).unwrap();
        assert_eq!((report.left.n, report.left.mean), (1, 1.0));
        assert_eq!((report.only_in_left, report.only_in_right), (1, 1));
        let none = compare_runs(&left[..1], &left[1..]);
        assert!(matches!(none, Err(Error::NoValues { .. })));
    }

    #[test]
    fn runs_that_cannot_be_paired_are_refused() {
        let mut twice = run(&[true, false], None);
        twice[1].id = twice[0].id.clone();
        let error = compare_runs(&run(&[true], None), &twice).unwrap_err();
        assert!(error.to_string().contains("right run has item `00` twice"));
        let other = compare_runs(&run(&[true], Some(&[1])), &run(&[true], Some(&[2])));
        assert!(matches!(other, Err(Error::OtherCluster { .. })));
    }
}
