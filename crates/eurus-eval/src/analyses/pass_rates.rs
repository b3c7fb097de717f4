//! What several policies solve of the same problems, and by which turn.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::metrics::{Estimate, Interval, Proportion, check_lengths, paired_difference};
use crate::table::Table;

/// Of the intervals that are told.
const CONFIDENCE: f64 = 0.95;

/// What one policy solves, alone and against a baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PassRate {
    /// Name of the policy.
    pub name: String,
    /// Number of problems that it solves.
    pub solved: usize,
    /// Their share.
    pub pass: Proportion,
    /// The 95 % interval of Wilson of that share.
    pub interval: Interval,
    /// The share less that of the baseline, paired problem by problem; `None` for the baseline itself.
    pub over_baseline: Option<Estimate>,
}

impl PassRate {
    /// Of the problems that a policy solved, in an order that it shares with the baseline.
    ///
    /// ```
    /// use eurus_eval::analyses::pass_rates::PassRate;
    /// let sft = [true, false, false, false];
    /// let kto = PassRate::of("KTO", &[true, true, true, false], Some(&sft))?;
    /// assert_eq!((kto.solved, kto.pass.mean), (3, 0.75));
    /// assert_eq!(kto.over_baseline.map(|it| it.mean), Some(0.5));
    /// # Ok::<(), eurus_eval::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NoValues`] without problems, [`Error::LengthMismatch`] where the baseline has other problems.
    pub fn of(name: impl Into<String>, solved: &[bool], baseline: Option<&[bool]>) -> Result<Self> {
        let pass = Proportion::from_bools(solved)?;
        let over_baseline = match baseline {
            None => None,
            Some(baseline) => {
                check_lengths("solved", solved.len(), "baseline", baseline.len())?;
                Some(paired_difference(&credits(solved), &credits(baseline))?)
            }
        };
        Ok(Self {
            name: name.into(),
            solved: solved.iter().filter(|&&solved| solved).count(),
            pass,
            interval: pass.wilson(CONFIDENCE)?,
            over_baseline,
        })
    }
}

/// What several policies solve of the same problems, the first being the baseline of the others.
///
/// # Errors
///
/// As [`PassRate::of`].
pub fn pass_rates<S: Into<String>, B: AsRef<[bool]>>(
    policies: impl IntoIterator<Item = (S, B)>,
) -> Result<Vec<PassRate>> {
    let mut baseline: Option<B> = None;
    let mut rates = Vec::new();
    for (name, solved) in policies {
        let against = baseline.as_ref().map(AsRef::as_ref);
        rates.push(PassRate::of(name, solved.as_ref(), against)?);
        baseline.get_or_insert(solved);
    }
    Ok(rates)
}

/// A row for each policy.
pub fn pass_table(caption: impl Into<String>, rates: &[PassRate]) -> Table {
    let mut table = Table::new(caption).headers([
        "Policy",
        "Solved",
        "Pass rate",
        "95 % interval",
        "Over the baseline",
    ]);
    for rate in rates {
        table = table.row([
            rate.name.clone(),
            rate.solved.to_string(),
            rate.pass.to_string(),
            rate.interval.to_string(),
            rate.over_baseline
                .as_ref()
                .map_or_else(|| "–".to_owned(), Estimate::in_points),
        ]);
    }
    table.note(
        "± is the standard error over problems. Differences are points, paired problem by problem.",
    )
}

/// The share of problems that are solved by each turn, from the first to the last of `turns`.
///
/// `solved_at` has, for every problem, the turn of its first right action, from 1; `None` where there is none.
///
/// ```
/// use eurus_eval::analyses::pass_rates::solved_by_turn;
/// let by_turn = solved_by_turn(&[Some(1), Some(3), None, Some(1)], 3)?;
/// assert_eq!(by_turn.iter().map(|it| it.mean).collect::<Vec<_>>(), [0.5, 0.5, 0.75]);
/// # Ok::<(), eurus_eval::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::NoValues`] without problems.
pub fn solved_by_turn(solved_at: &[Option<usize>], turns: usize) -> Result<Vec<Proportion>> {
    let by = |last: usize| {
        let solved = solved_at.iter().map(|at| at.is_some_and(|at| at <= last));
        Proportion::from_bools(&solved.collect::<Vec<_>>())
    };
    match solved_at.is_empty() {
        true => Err(Error::NoValues {
            what: "solved by turn",
        }),
        false => (1..=turns).map(by).collect(),
    }
}

fn credits(solved: &[bool]) -> Vec<f64> {
    let credit = |&solved: &bool| f64::from(u8::from(solved));
    solved.iter().map(credit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_policy_is_the_baseline_and_its_problems_are_those_of_all() {
        let [sft, dpo] = [[true, false, false], [true, true, false]];
        let rates = pass_rates([("SFT", sft), ("DPO", dpo)]).unwrap();
        assert_eq!(rates[0].over_baseline, None);
        let over = rates[1].over_baseline.unwrap();
        assert!((over.mean - 1.0 / 3.0).abs() < 1e-15);
        assert!(rates[1].interval.contains(rates[1].pass.mean));
        let table = pass_table("Unseen problems", &rates);
        assert_eq!(table.rows[0][4], "–");
        assert_eq!(table.rows[1][4], "+33.3 ± 33.3");
        let other = pass_rates([("SFT", &sft[..]), ("DPO", &dpo[..2])]);
        assert!(matches!(other, Err(Error::LengthMismatch { .. })));
        assert!(PassRate::of("none", &[], None).is_err());
        assert!(solved_by_turn(&[], 2).is_err());
    }
}
