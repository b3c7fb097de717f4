//! RewardBench 2 (arXiv 2506.01937): the best of four, and many right answers that should score alike.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::pairs::CONFIDENCE;
use super::reading::read_rows;
use super::{Response, Rewards};
use crate::error::{Error, Result};
use crate::metrics::{Interval, Proportion, check_finite, mean};
use crate::table::Table;

/// A published item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its id; in the subset Ties `ref:N` or `tied:N`, two prompts that belong together.
    pub id: String,
    /// Its subset.
    pub subset: String,
    /// What was asked.
    pub prompt: String,
    /// The right responses: one, but for the subset Ties.
    pub chosen: Vec<String>,
    /// The wrong responses.
    pub rejected: Vec<String>,
}

/// An item with the scores of its responses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoredItem {
    /// As in [`Item`].
    pub id: String,
    /// As in [`Item`].
    pub subset: String,
    /// How many of the scores are of right responses; they come first.
    pub num_correct: usize,
    /// The scores.
    pub scores: Vec<f64>,
}

/// Reads the items as they are published: JSON rows with `id`, `subset`, `prompt`, `chosen` and `rejected` (lists) and
/// `num_correct`, the length of `chosen`.
///
/// # Errors
///
/// As [`Rewards::read`].
pub fn read(path: &Path) -> Result<Vec<Item>> {
    let mut seen = HashSet::new();
    read_rows(path, |row| {
        let item = Item {
            id: row.id()?,
            subset: row.text("subset")?.to_owned(),
            prompt: row.text("prompt")?.to_owned(),
            chosen: row.texts("chosen")?,
            rejected: row.texts("rejected")?,
        };
        if is_ties(&item.subset) && tie_id(&item.id).is_none() {
            return Err(row.fault("id", "of the subset Ties is neither `ref:N` nor `tied:N`"));
        }
        let (correct, chosen) = (row.count("num_correct")?, item.chosen.len());
        if correct != chosen {
            let problem = format!("is {correct} where `chosen` has {chosen} responses");
            return Err(row.fault("num_correct", problem));
        }
        match seen.insert((item.subset.clone(), item.id.clone())) {
            true => Ok(item),
            false => Err(row.fault("id", format!("has `{}` a second time", item.id))),
        }
    })
}

impl Item {
    /// All responses to be scored, the right ones first: their ids are `SUBSET/ID/0`, `SUBSET/ID/1` and so on.
    pub fn responses(&self) -> Vec<Response> {
        let all = self.chosen.iter().chain(&self.rejected).enumerate();
        all.map(|(index, text)| Response::to(&self.prompt, self.response_id(index), text))
            .collect()
    }

    /// The item with its rewards.
    ///
    /// # Errors
    ///
    /// [`Error::NoReward`].
    pub fn scored(&self, rewards: &Rewards) -> Result<ScoredItem> {
        let count = self.chosen.len() + self.rejected.len();
        let scores = (0..count).map(|index| rewards.get(&self.response_id(index)));
        Ok(ScoredItem {
            id: self.id.clone(),
            subset: self.subset.clone(),
            num_correct: self.chosen.len(),
            scores: scores.collect::<Result<_>>()?,
        })
    }

    fn response_id(&self, index: usize) -> String {
        format!("{}/{}/{index}", self.subset, self.id)
    }
}

/// The report of [`evaluate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RewardBench2Report {
    /// Score of every subset, a share; that of Ties is [`TiesScore::composite`].
    pub subsets: BTreeMap<String, f64>,
    /// Wilson's 95 % interval of every subset but Ties, whose score is no share of its items.
    #[serde(default)]
    pub intervals: BTreeMap<String, Interval>,
    /// The plain mean of the subsets.
    pub average: f64,
    /// The parts of the score of the subset Ties.
    pub ties: Option<TiesScore>,
}

/// How the subset Ties is scored. Its items come in twos: a *reference* prompt with one right answer, and a *tied* prompt with
/// many. The margin of an item is its lowest right score less its highest wrong one, the spread its highest right score less
/// its lowest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TiesScore {
    /// Share of tied prompts with a margin above zero.
    pub tied_accuracy: f64,
    /// Share of reference prompts with a margin above zero.
    pub reference_accuracy: f64,
    /// Of the couples with a spread: the share whose tied margin is above the spread.
    pub margin_above_spread: f64,
    /// The same with the smaller of the margins of both prompts.
    pub both_margins_above_spread: f64,
    /// Mean of tanh(smaller margin / spread - 1) over the couples whose spread is above zero.
    pub margin_ratio: f64,
}

impl TiesScore {
    /// The parts weighted with 0.30, 0.30, 0.20, 0.20 and 0.01.
    pub fn composite(&self) -> f64 {
        0.3 * self.tied_accuracy
            + 0.3 * self.reference_accuracy
            + 0.2 * self.margin_above_spread
            + 0.2 * self.both_margins_above_spread
            + 0.01 * self.margin_ratio
    }
}

/// Judges scored items.
///
/// Outside of the subset Ties an item earns 1 if its first response has the highest score, 1/m if it shares that with m - 1
/// others, and nothing if not.
///
/// ```
/// use eurus_eval::reward_benches::rewardbench2::{ScoredItem, evaluate};
/// let item = |id: &str, scores: [f64; 4]| ScoredItem {
///     id: id.to_owned(),
///     subset: "Focus".to_owned(),
///     num_correct: 1,
///     scores: scores.to_vec(),
/// };
/// let report = evaluate(&[item("a", [2.0, 1.0, 0.0, 2.0]), item("b", [0.5, 1.0, 0.0, 0.0])])?;
/// assert_eq!(report.average, 0.25);
/// # Ok::<(), eurus_eval::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::NoValues`] without items, [`Error::NotFinite`] for a score that is no number, [`Error::BadItem`] for an item without
/// right or wrong responses, or of Ties with an id of another form.
pub fn evaluate(items: &[ScoredItem]) -> Result<RewardBench2Report> {
    if items.is_empty() {
        return Err(Error::NoValues {
            what: "RewardBench 2",
        });
    }
    let mut by_subset: BTreeMap<&str, Vec<&ScoredItem>> = BTreeMap::new();
    for item in items {
        check_finite("scores", &item.scores)?;
        if item.num_correct == 0 || item.num_correct >= item.scores.len() {
            return Err(bad(
                item,
                "needs scores of right responses and of wrong ones",
            ));
        }
        by_subset.entry(&item.subset).or_default().push(item);
    }
    let (mut subsets, mut intervals) = (BTreeMap::new(), BTreeMap::new());
    let mut ties = None;
    for (name, items) in by_subset {
        let score = if is_ties(name) {
            ties.insert(ties_score(&items)?).composite()
        } else {
            let credits: Vec<f64> = items.iter().map(|item| credit(&item.scores)).collect();
            let share = Proportion::from_values(&credits)?;
            intervals.insert(name.to_owned(), share.wilson(CONFIDENCE)?);
            share.mean
        };
        subsets.insert(name.to_owned(), score);
    }
    let scores: Vec<f64> = subsets.values().copied().collect();
    Ok(RewardBench2Report {
        subsets,
        intervals,
        average: mean(&scores),
        ties,
    })
}

/// 1/m where the first score shares the highest with m - 1 others, else 0.
fn credit(scores: &[f64]) -> f64 {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sharing = scores.iter().filter(|score| **score == highest).count();
    match scores.first() {
        Some(first) if *first == highest => 1.0 / sharing as f64,
        _ => 0.0,
    }
}

#[derive(Clone, Copy)]
struct Margins {
    margin: f64,
    /// `None` with one right response.
    spread: Option<f64>,
}

fn margins(item: &ScoredItem) -> Margins {
    let (right, wrong) = item.scores.split_at(item.num_correct);
    let highest = |scores: &[f64]| scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let lowest = right.iter().copied().fold(f64::INFINITY, f64::min);
    Margins {
        margin: lowest - highest(wrong),
        spread: (right.len() > 1).then(|| highest(right) - lowest),
    }
}

fn ties_score(items: &[&ScoredItem]) -> Result<TiesScore> {
    let (mut references, mut tied) = (BTreeMap::new(), BTreeMap::new());
    for item in items {
        let (kind, number) = tie_id(&item.id)
            .ok_or_else(|| bad(item, "has an id other than `ref:N` or `tied:N`"))?;
        let kind = match kind {
            TieKind::Reference => &mut references,
            TieKind::Tied => &mut tied,
        };
        if kind.insert(number, margins(item)).is_some() {
            return Err(bad(item, "is there twice"));
        }
    }
    // Of the couples: the tied margin, the smaller margin of both and the spread.
    let couples: Vec<(f64, f64, f64)> = tied
        .iter()
        .filter_map(|(number, tied)| {
            let reference: &Margins = references.get(number)?;
            Some((tied.margin, tied.margin.min(reference.margin), tied.spread?))
        })
        .collect();
    let ratios = couples
        .iter()
        .filter(|(_, _, spread)| *spread > 0.0)
        .map(|(_, smaller, spread)| (smaller / spread - 1.0).tanh());
    let accuracy = |all: &BTreeMap<u64, Margins>| share(all.values(), |item| item.margin > 0.0);
    Ok(TiesScore {
        tied_accuracy: accuracy(&tied),
        reference_accuracy: accuracy(&references),
        margin_above_spread: share(&couples, |(tied, _, spread)| tied > spread),
        both_margins_above_spread: share(&couples, |(_, smaller, spread)| smaller > spread),
        margin_ratio: mean_or_zero(&ratios.collect::<Vec<f64>>()),
    })
}

fn share<'a, T: 'a>(items: impl IntoIterator<Item = &'a T>, holds: impl Fn(&T) -> bool) -> f64 {
    let credits = items
        .into_iter()
        .map(|item| f64::from(u8::from(holds(item))));
    mean_or_zero(&credits.collect::<Vec<f64>>())
}

/// What there is none of earns nothing.
fn mean_or_zero(values: &[f64]) -> f64 {
    match values.is_empty() {
        true => 0.0,
        false => mean(values),
    }
}

enum TieKind {
    Reference,
    Tied,
}

fn tie_id(id: &str) -> Option<(TieKind, u64)> {
    let (kind, number) = id.split_once(':')?;
    let kind = match kind {
        "ref" => TieKind::Reference,
        "tied" => TieKind::Tied,
        _ => return None,
    };
    Some((kind, number.parse().ok()?))
}

fn is_ties(subset: &str) -> bool {
    subset.eq_ignore_ascii_case("ties")
}

fn bad(item: &ScoredItem, problem: &'static str) -> Error {
    Error::BadItem {
        id: format!("{}/{}", item.subset, item.id),
        problem,
    }
}

impl RewardBench2Report {
    /// Every subset and their mean, in percent.
    pub fn table(&self, caption: impl Into<String>) -> Table {
        let percent = |share: f64| format!("{:.1}", share * 100.0);
        let mut table = Table::new(caption).headers(["Subset", "Score", "95 % interval"]);
        for (name, score) in &self.subsets {
            let interval = self.intervals.get(name);
            let interval = interval.map_or_else(|| "–".to_owned(), |it| it.to_string());
            table = table.row([name.clone(), percent(*score), interval]);
        }
        table
            .row(["Mean of the subsets".to_owned(), percent(self.average)])
            .note("Percent. The right response must be the best of four; sharing the top with m - 1 others earns 1/m. Ties is a composite, without an interval.")
    }
}
