//! How well a reward model separates chosen from rejected responses, and where its zero lies.
//!
//! Ranking alone is half of the story: the paper's LDR term (arXiv 2404.02078, section 3) exists to
//! push chosen rewards above zero and rejected ones below. So the absolute rewards are reported
//! next to the accuracy, and so is what a judge that only looks at length would have scored.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::metrics::{
    Estimate, Proportion, area_under_curve, check_finite, check_lengths, mean, paired_difference,
    standard_deviation, typeset,
};
use crate::table::Table;

/// Lengths of the two responses of a pair, in any unit (tokens or characters).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairLengths {
    /// Length of the chosen response.
    pub chosen: usize,
    /// Length of the rejected response.
    pub rejected: usize,
}

/// The report of [`evaluate_rewards`] on pairs that were not trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RewardModelReport {
    /// Number of pairs.
    pub pairs: usize,
    /// Share of pairs whose chosen response has the strictly higher reward; a tie is wrong.
    pub accuracy: Proportion,
    /// Area under the ROC curve of "chosen" against "rejected" over all responses pooled: the chance
    /// that a chosen response outscores a rejected one *of any pair*; a tie counts one half.
    pub auc: f64,
    /// Mean of |reward| over all responses.
    pub mean_absolute_reward: f64,
    /// Mean reward of the chosen responses.
    pub mean_chosen: f64,
    /// Mean reward of the rejected responses.
    pub mean_rejected: f64,
    /// Sample standard deviation of the chosen rewards; `None` for a single pair.
    pub std_chosen: Option<f64>,
    /// Sample standard deviation of the rejected rewards; `None` for a single pair.
    pub std_rejected: Option<f64>,
    /// Mean of chosen - rejected, with its standard error over pairs.
    pub margin: Estimate,
    /// Share of chosen rewards above zero.
    pub chosen_positive: Proportion,
    /// Share of rejected rewards below zero.
    pub rejected_negative: Proportion,
    /// Accuracy of "the longer response is better" on the same pairs, equal lengths counting one
    /// half; `None` if no lengths were given. Far from one half *on either side* means that length
    /// alone tells much, and the model's accuracy must be read against it.
    pub length_only_accuracy: Option<Proportion>,
}

/// Judges rewards of pairs, `chosen[i]` and `rejected[i]` being the rewards of pair `i`.
///
/// Computed in `f64` whatever the input.
///
/// ```
/// use eurus_eval::reward_model::evaluate_rewards;
///
/// let report = evaluate_rewards(&[1.5f32, 0.5, -0.5], &[-1.0, 1.0, -2.0], None).unwrap();
/// assert_eq!(report.accuracy.mean, 2.0 / 3.0);
/// assert_eq!(report.rejected_negative.mean, 2.0 / 3.0);
/// ```
///
/// # Errors
///
/// [`Error::NoValues`](crate::Error::NoValues) without pairs,
/// [`Error::LengthMismatch`](crate::Error::LengthMismatch) if the slices differ in length,
/// [`Error::NotFinite`](crate::Error::NotFinite) for a NaN or infinite reward.
pub fn evaluate_rewards<T: Copy + Into<f64>>(
    chosen: &[T],
    rejected: &[T],
    lengths: Option<&[PairLengths]>,
) -> Result<RewardModelReport> {
    check_lengths(
        "chosen rewards",
        chosen.len(),
        "rejected rewards",
        rejected.len(),
    )?;
    if let Some(lengths) = lengths {
        check_lengths("chosen rewards", chosen.len(), "lengths", lengths.len())?;
    }
    let chosen: Vec<f64> = chosen.iter().map(|&reward| reward.into()).collect();
    let rejected: Vec<f64> = rejected.iter().map(|&reward| reward.into()).collect();
    check_finite("chosen rewards", &chosen)?;
    check_finite("rejected rewards", &rejected)?;

    let wins: Vec<bool> = chosen.iter().zip(&rejected).map(|(c, r)| c > r).collect();
    let positive: Vec<bool> = chosen.iter().map(|&reward| reward > 0.0).collect();
    let negative: Vec<bool> = rejected.iter().map(|&reward| reward < 0.0).collect();
    let absolute: Vec<f64> = chosen
        .iter()
        .chain(&rejected)
        .map(|reward| reward.abs())
        .collect();
    Ok(RewardModelReport {
        pairs: chosen.len(),
        accuracy: Proportion::from_bools(&wins)?,
        auc: area_under_curve(&chosen, &rejected)?,
        mean_absolute_reward: mean(&absolute),
        mean_chosen: mean(&chosen),
        mean_rejected: mean(&rejected),
        std_chosen: standard_deviation(&chosen),
        std_rejected: standard_deviation(&rejected),
        margin: paired_difference(&chosen, &rejected)?,
        chosen_positive: Proportion::from_bools(&positive)?,
        rejected_negative: Proportion::from_bools(&negative)?,
        length_only_accuracy: lengths.map(longer_is_better).transpose()?,
    })
}

/// One row per reward model, side by side.
pub fn comparison_table<'a>(
    caption: impl Into<String>,
    models: impl IntoIterator<Item = (&'a str, &'a RewardModelReport)>,
) -> Table {
    let mut table = Table::new(caption).headers([
        "Reward model",
        "Pair accuracy",
        "AUC",
        "Mean |reward|",
        "Chosen",
        "Rejected",
        "Chosen > 0",
        "Rejected < 0",
    ]);
    let mut length_only = None;
    for (name, report) in models {
        table = table.row([
            name.to_owned(),
            report.accuracy.to_string(),
            format!("{:.3}", report.auc),
            format!("{:.3}", report.mean_absolute_reward),
            with_spread(report.mean_chosen, report.std_chosen),
            with_spread(report.mean_rejected, report.std_rejected),
            format!("{:.1} %", report.chosen_positive.mean * 100.0),
            format!("{:.1} %", report.rejected_negative.mean * 100.0),
        ]);
        length_only = length_only.or(report.length_only_accuracy);
    }
    table = table.note(
        "Accuracy with its standard error over pairs. Chosen and rejected: mean reward, standard deviation in brackets.",
    );
    match length_only {
        Some(accuracy) => table.note(format!(
            "Always preferring the longer response would score {accuracy}."
        )),
        None => table,
    }
}

fn with_spread(mean: f64, deviation: Option<f64>) -> String {
    let mean = typeset(format!("{mean:+.2}"));
    match deviation {
        Some(deviation) => format!("{mean} ({deviation:.2})"),
        None => mean,
    }
}

fn longer_is_better(lengths: &[PairLengths]) -> Result<Proportion> {
    let values: Vec<f64> = lengths
        .iter()
        .map(|pair| match pair.chosen.cmp(&pair.rejected) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        })
        .collect();
    Proportion::from_values(&values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_perfect_model_with_its_zero_in_the_middle_has_ones_everywhere() {
        let report = evaluate_rewards(&[2.0, 1.0], &[-1.0, -2.0], None).unwrap();
        assert_eq!(report.accuracy.mean, 1.0);
        assert_eq!(report.auc, 1.0);
        assert_eq!(report.chosen_positive.mean, 1.0);
        assert_eq!(report.rejected_negative.mean, 1.0);
        assert_eq!(report.mean_absolute_reward, 1.5);
        assert_eq!(report.margin.mean, 3.0);
        assert_eq!(report.std_chosen, Some(0.5f64.sqrt()));
    }

    #[test]
    fn adding_a_constant_moves_the_zero_and_nothing_about_ranking() {
        let (chosen, rejected) = ([0.3, -0.2, 0.9], [0.1, 0.4, -0.5]);
        let plain = evaluate_rewards(&chosen, &rejected, None).unwrap();
        let shifted =
            evaluate_rewards(&chosen.map(|r| r + 4.0), &rejected.map(|r| r + 4.0), None).unwrap();
        assert_eq!(plain.accuracy, shifted.accuracy);
        assert_eq!(plain.auc, shifted.auc);
        assert_eq!(shifted.chosen_positive.mean, 1.0);
        assert_eq!(shifted.rejected_negative.mean, 0.0);
    }

    #[test]
    fn a_tie_is_wrong_for_accuracy_and_half_for_auc() {
        let report = evaluate_rewards(&[1.0, 1.0], &[1.0, 1.0], None).unwrap();
        assert_eq!(report.accuracy.mean, 0.0);
        assert_eq!(report.auc, 0.5);
    }

    #[test]
    fn the_length_baseline_prefers_the_longer_response() {
        let lengths = [(9, 3), (4, 4), (1, 2), (5, 2)]
            .map(|(chosen, rejected)| PairLengths { chosen, rejected });
        let report = evaluate_rewards(&[1.0; 4], &[0.0; 4], Some(&lengths)).unwrap();
        assert_eq!(report.length_only_accuracy.unwrap().mean, 2.5 / 4.0);
        let table = comparison_table("c", [("BT", &report)]);
        assert!(table.notes[1].contains("62.5"), "{:?}", table.notes);
    }

    #[test]
    fn rewards_that_cannot_be_judged_are_refused() {
        assert!(matches!(
            evaluate_rewards::<f64>(&[], &[], None),
            Err(Error::NoValues { .. })
        ));
        assert!(matches!(
            evaluate_rewards(&[1.0], &[1.0, 2.0], None),
            Err(Error::LengthMismatch { .. })
        ));
        assert!(matches!(
            evaluate_rewards(&[1.0], &[1.0], Some(&[])),
            Err(Error::LengthMismatch { .. })
        ));
        assert!(matches!(
            evaluate_rewards(&[1.0, f32::NAN], &[0.0, 0.0], None),
            Err(Error::NotFinite {
                what: "chosen rewards",
                index: 1,
                ..
            })
        ));
    }
}
