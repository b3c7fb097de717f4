//! Any pairs: how often is chosen scored above rejected, where, and would length alone have done?

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::reading::read_rows;
use crate::error::Result;
use crate::metrics::{Interval, Proportion};
use crate::reward_model::{PairLengths, RewardModelReport, evaluate_rewards};
use crate::table::Table;

/// Confidence of the intervals.
pub(super) const CONFIDENCE: f64 = 0.95;

/// A pair with the scores of its responses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoredPair {
    /// The pair.
    pub id: String,
    /// The part of the benchmark that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<String>,
    /// How deep in the conversation the responses stand, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<usize>,
    /// Score of the chosen response.
    pub chosen: f64,
    /// Score of the rejected response.
    pub rejected: f64,
    /// Lengths of the responses, for the judge that looks at them alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<PairLengths>,
}

/// Reads scored pairs from JSON rows `{"id", "chosen", "rejected"}` with scores, and where there are such `subset`, `turn`,
/// `chosen_length` and `rejected_length`.
///
/// # Errors
///
/// As [`Rewards::read`](super::Rewards::read).
pub fn read(path: &Path) -> Result<Vec<ScoredPair>> {
    let mut ids = HashSet::new();
    read_rows(path, |row| {
        let id = row.id()?;
        if !ids.insert(id.clone()) {
            return Err(row.fault("id", format!("has `{id}` a second time")));
        }
        let optional = |field| row.value(field).map(|_| row.count(field)).transpose();
        let subset = row
            .value("subset")
            .map(|_| row.text("subset"))
            .transpose()?;
        let lengths = match (optional("chosen_length")?, optional("rejected_length")?) {
            (Some(chosen), Some(rejected)) => Some(PairLengths { chosen, rejected }),
            (None, None) => None,
            (Some(_), None) => return Err(row.fault("rejected_length", "is missing")),
            (None, Some(_)) => return Err(row.fault("chosen_length", "is missing")),
        };
        Ok(ScoredPair {
            id,
            subset: subset.map(str::to_owned),
            turn: optional("turn")?,
            chosen: row.finite("chosen")?,
            rejected: row.finite("rejected")?,
            lengths,
        })
    })
}

/// The pairs of one subset or turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairGroup {
    /// Name of the subset, or the turn.
    pub name: String,
    /// Share of pairs whose chosen response has the strictly higher score; a tie is wrong.
    pub accuracy: Proportion,
    /// Wilson interval of it, 95 %.
    pub interval: Interval,
    /// What "the longer one is better" would score on the same pairs, equal lengths counting one half; `None` unless every
    /// pair has lengths.
    pub length_only_accuracy: Option<Proportion>,
}

/// The report of [`evaluate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairsReport {
    /// All pairs.
    pub overall: PairGroup,
    /// Rewards of all pairs: margin, AUC, where the zero lies.
    pub rewards: RewardModelReport,
    /// By subset, in the order of their names; pairs without one are in `overall` alone.
    pub subsets: Vec<PairGroup>,
    /// By turn, the first at the front; pairs without one are in `overall` alone.
    pub turns: Vec<PairGroup>,
}

/// Judges the scores of pairs.
///
/// ```
/// use eurus_eval::reward_benches::pairs::{ScoredPair, evaluate};
///
/// let pair = |id: &str, turn, chosen, rejected| ScoredPair {
///     id: id.to_owned(),
///     subset: None,
///     turn: Some(turn),
///     chosen,
///     rejected,
///     lengths: None,
/// };
/// let report = evaluate(&[pair("a", 1, 0.7, 0.1), pair("b", 1, 0.2, -1.0), pair("c", 2, 0.3, 0.3)])?;
/// assert_eq!(report.turns[0].accuracy.mean, 1.0);
/// assert_eq!(report.turns[1].accuracy.mean, 0.0, "a tie is wrong");
/// # Ok::<(), eurus_eval::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::NoValues`](crate::Error::NoValues) without pairs, [`Error::NotFinite`](crate::Error::NotFinite) for a score that
/// is no number.
pub fn evaluate(pairs: &[ScoredPair]) -> Result<PairsReport> {
    let all: Vec<&ScoredPair> = pairs.iter().collect();
    let mut by_subset: BTreeMap<&str, Vec<&ScoredPair>> = BTreeMap::new();
    let mut by_turn: BTreeMap<usize, Vec<&ScoredPair>> = BTreeMap::new();
    for pair in pairs {
        if let Some(subset) = &pair.subset {
            by_subset.entry(subset).or_default().push(pair);
        }
        if let Some(turn) = pair.turn {
            by_turn.entry(turn).or_default().push(pair);
        }
    }
    let groups = |groups: Vec<(String, Vec<&ScoredPair>)>| -> Result<Vec<PairGroup>> {
        let judged = groups.into_iter().map(|(name, pairs)| group(name, &pairs));
        judged.collect()
    };
    let subsets = by_subset.into_iter();
    let turns = by_turn.into_iter();
    Ok(PairsReport {
        overall: group("all".to_owned(), &all)?,
        rewards: rewards(&all)?,
        subsets: groups(subsets.map(|(name, p)| (name.to_owned(), p)).collect())?,
        turns: groups(turns.map(|(turn, p)| (turn.to_string(), p)).collect())?,
    })
}

fn rewards(pairs: &[&ScoredPair]) -> Result<RewardModelReport> {
    let chosen: Vec<f64> = pairs.iter().map(|pair| pair.chosen).collect();
    let rejected: Vec<f64> = pairs.iter().map(|pair| pair.rejected).collect();
    let lengths: Option<Vec<PairLengths>> = pairs.iter().map(|pair| pair.lengths).collect();
    evaluate_rewards(&chosen, &rejected, lengths.as_deref())
}

pub(super) fn group(name: String, pairs: &[&ScoredPair]) -> Result<PairGroup> {
    let report = rewards(pairs)?;
    Ok(PairGroup {
        name,
        accuracy: report.accuracy,
        interval: report.accuracy.wilson(CONFIDENCE)?,
        length_only_accuracy: report.length_only_accuracy,
    })
}

impl PairsReport {
    /// All pairs, every subset and every turn, a row each.
    pub fn table(&self, caption: impl Into<String>) -> Table {
        let turns = self
            .turns
            .iter()
            .map(|group| (format!("turn {}", group.name), group));
        let subsets = self.subsets.iter().map(|group| (group.name.clone(), group));
        let overall = (self.overall.name.clone(), &self.overall);
        let rows = std::iter::once(overall).chain(subsets).chain(turns);
        let table = Table::new(caption).headers([
            "Pairs",
            "Number",
            "Accuracy",
            "95 % interval",
            "The longer one",
        ]);
        let table = rows.fold(table, |table, (name, group)| {
            let longer = group.length_only_accuracy;
            table.row([
                name,
                group.accuracy.n.to_string(),
                format!("{:.1} %", group.accuracy.mean * 100.0),
                group.interval.to_string(),
                longer.map_or("–".to_owned(), |share| {
                    format!("{:.1} %", share.mean * 100.0)
                }),
            ])
        });
        table.note(
            "Accuracy: chosen scored strictly above rejected, with its Wilson interval. The longer one: what a judge would score \
             that prefers it.",
        )
    }
}
