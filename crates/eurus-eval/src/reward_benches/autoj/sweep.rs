//! From scores to labels: below which difference is it a tie?

use serde::{Deserialize, Serialize};

use super::{AutoJReport, Group, Judgement, Label, evaluate};
use crate::error::Result;
use crate::metrics::check_finite;

/// The thresholds tried are 0, 0.01 and so on to 2.
const HUNDREDTHS: usize = 200;

/// A pair with the scores of its responses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScoredPair {
    /// Group of the pair.
    pub group: Group,
    /// What people said.
    pub label: Label,
    /// Score of the first response.
    pub first: f64,
    /// Score of the second response.
    pub second: f64,
}

impl ScoredPair {
    /// What the scores say: a tie if they differ by no more than a threshold, else the higher one.
    ///
    /// A difference that equals the threshold up to the rounding of doubles (1e-9) is a tie; with threshold 0 scores must be
    /// equal for one.
    pub fn judged(&self, threshold: f64) -> Judgement {
        let difference = self.first - self.second;
        let is_tie = difference == 0.0 || (threshold > 0.0 && difference.abs() <= threshold + 1e-9);
        let given = match is_tie {
            true => Label::Tie,
            false if difference > 0.0 => Label::First,
            false => Label::Second,
        };
        Judgement {
            group: self.group,
            label: self.label,
            given,
            exchanged: None,
        }
    }
}

/// The report of [`sweep`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdSweep {
    /// Every threshold with the agreement over all pairs in percent.
    pub overall: Vec<(f64, f64)>,
    /// The smallest of the thresholds with the most agreement.
    pub best_threshold: f64,
    /// The report at that threshold. It was chosen on the pairs it is judged by, and so flatters; that of threshold 0 is the
    /// first of `overall`.
    pub best: AutoJReport,
}

/// Judges scores at every threshold from 0 to 2 in steps of 0.01, as the benchmark's authors do for reward models.
///
/// # Errors
///
/// [`Error::NoValues`](crate::Error::NoValues) without pairs, [`Error::NotFinite`](crate::Error::NotFinite) for a score that
/// is no number.
pub fn sweep(pairs: &[ScoredPair]) -> Result<ThresholdSweep> {
    let scores: Vec<f64> = pairs
        .iter()
        .flat_map(|pair| [pair.first, pair.second])
        .collect();
    check_finite("scores", &scores)?;
    let report = |threshold| {
        let judged: Vec<Judgement> = pairs.iter().map(|pair| pair.judged(threshold)).collect();
        evaluate(&judged)
    };
    let mut best_threshold = 0.0;
    let mut best = report(0.0)?;
    let mut overall = vec![(0.0, best.overall.percent())];
    for hundredths in 1..=HUNDREDTHS {
        let threshold = hundredths as f64 / 100.0;
        let here = report(threshold)?;
        overall.push((threshold, here.overall.percent()));
        if here.overall.agreed > best.overall.agreed {
            (best_threshold, best) = (threshold, here);
        }
    }
    Ok(ThresholdSweep {
        overall,
        best_threshold,
        best,
    })
}
