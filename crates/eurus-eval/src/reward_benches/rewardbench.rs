//! RewardBench (arXiv 2403.13787): 23 subsets in four sections.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::pairs::{PairGroup, ScoredPair, group};
use super::reading::read_rows;
use super::{Response, Rewards};
use crate::error::{Error, Result};
use crate::metrics::{Interval, mean};
use crate::table::Table;

/// What a section tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// Easy chat.
    Chat,
    /// Chat with trick questions.
    ChatHard,
    /// Refusals where they belong, and only there.
    Safety,
    /// Mathematics and code.
    Reasoning,
}

impl Section {
    /// All, in the order of the leaderboard.
    pub const ALL: [Self; 4] = [Self::Chat, Self::ChatHard, Self::Safety, Self::Reasoning];
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chat => "Chat",
            Self::ChatHard => "Chat Hard",
            Self::Safety => "Safety",
            Self::Reasoning => "Reasoning",
        })
    }
}

/// Every subset with its section and what it weighs there: its number of pairs, but for `math-prm`, whose 447 pairs weigh as
/// much as all the code.
pub const SUBSETS: [(&str, Section, usize); 23] = [
    ("alpacaeval-easy", Section::Chat, 100),
    ("alpacaeval-length", Section::Chat, 95),
    ("alpacaeval-hard", Section::Chat, 95),
    ("mt-bench-easy", Section::Chat, 28),
    ("mt-bench-med", Section::Chat, 40),
    ("mt-bench-hard", Section::ChatHard, 37),
    ("llmbar-natural", Section::ChatHard, 100),
    ("llmbar-adver-neighbor", Section::ChatHard, 134),
    ("llmbar-adver-GPTInst", Section::ChatHard, 92),
    ("llmbar-adver-GPTOut", Section::ChatHard, 47),
    ("llmbar-adver-manual", Section::ChatHard, 46),
    ("refusals-dangerous", Section::Safety, 100),
    ("refusals-offensive", Section::Safety, 100),
    ("xstest-should-refuse", Section::Safety, 154),
    ("xstest-should-respond", Section::Safety, 250),
    ("donotanswer", Section::Safety, 136),
    ("math-prm", Section::Reasoning, 984),
    ("hep-cpp", Section::Reasoning, 164),
    ("hep-go", Section::Reasoning, 164),
    ("hep-java", Section::Reasoning, 164),
    ("hep-js", Section::Reasoning, 164),
    ("hep-python", Section::Reasoning, 164),
    ("hep-rust", Section::Reasoning, 164),
];

/// A published pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its number, unique in its subset.
    pub id: String,
    /// One of [`SUBSETS`].
    pub subset: String,
    /// What was asked.
    pub prompt: String,
    /// The better response.
    pub chosen: String,
    /// The worse response.
    pub rejected: String,
}

/// Reads the pairs as they are published: JSON rows with `id`, `subset`, `prompt`, `chosen`, `rejected`.
///
/// # Errors
///
/// As [`Rewards::read`], and for a subset that is not in [`SUBSETS`], where the nearest name is offered.
pub fn read(path: &Path) -> Result<Vec<Item>> {
    let mut seen = HashSet::new();
    read_rows(path, |row| {
        let item = Item {
            id: row.id()?,
            subset: row.text("subset")?.to_owned(),
            prompt: row.text("prompt")?.to_owned(),
            chosen: row.text("chosen")?.to_owned(),
            rejected: row.text("rejected")?.to_owned(),
        };
        section_and_weight(&item.subset).map_err(|error| row.fault("subset", error.to_string()))?;
        match seen.insert((item.subset.clone(), item.id.clone())) {
            true => Ok(item),
            false => Err(row.fault("id", format!("has `{}` a second time", item.id))),
        }
    })
}

impl Item {
    /// Chosen and rejected, to be scored: their ids are `SUBSET/ID/chosen` and `SUBSET/ID/rejected`.
    pub fn responses(&self) -> [Response; 2] {
        [("chosen", &self.chosen), ("rejected", &self.rejected)]
            .map(|(side, text)| Response::to(&self.prompt, self.response_id(side), text))
    }

    /// The pair with its rewards, and its lengths in characters.
    ///
    /// # Errors
    ///
    /// [`Error::NoReward`].
    pub fn scored(&self, rewards: &Rewards) -> Result<ScoredPair> {
        let length = |text: &str| text.chars().count();
        Ok(ScoredPair {
            id: format!("{}/{}", self.subset, self.id),
            subset: Some(self.subset.clone()),
            turn: None,
            chosen: rewards.get(&self.response_id("chosen"))?,
            rejected: rewards.get(&self.response_id("rejected"))?,
            lengths: Some(crate::reward_model::PairLengths {
                chosen: length(&self.chosen),
                rejected: length(&self.rejected),
            }),
        })
    }

    fn response_id(&self, side: &str) -> String {
        format!("{}/{}/{side}", self.subset, self.id)
    }
}

/// The report of [`evaluate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RewardBenchReport {
    /// The subsets that there were pairs of, in the order of [`SUBSETS`].
    pub subsets: Vec<PairGroup>,
    /// The score of every section that there were pairs of, a share.
    pub sections: BTreeMap<Section, f64>,
    /// The plain mean of the four sections, as the Eurus paper reports; `None` unless all four are there.
    pub average: Option<f64>,
}

/// Judges scored pairs: a pair is right if chosen scores strictly above rejected.
///
/// # Errors
///
/// [`Error::NoValues`] without pairs, [`Error::BadItem`] for one without a subset, [`Error::UnknownSubset`] for a subset that
/// is not in [`SUBSETS`], [`Error::NotFinite`] for a score that is no number.
pub fn evaluate(pairs: &[ScoredPair]) -> Result<RewardBenchReport> {
    if pairs.is_empty() {
        return Err(Error::NoValues {
            what: "RewardBench",
        });
    }
    let mut by_subset: BTreeMap<&str, Vec<&ScoredPair>> = BTreeMap::new();
    for pair in pairs {
        let subset = pair.subset.as_deref().ok_or_else(|| Error::BadItem {
            id: pair.id.clone(),
            problem: "has no subset",
        })?;
        section_and_weight(subset)?;
        by_subset.entry(subset).or_default().push(pair);
    }
    let subsets = SUBSETS
        .iter()
        .filter_map(|(name, _, _)| Some(group((*name).to_owned(), by_subset.get(name)?)))
        .collect::<Result<Vec<PairGroup>>>()?;
    let accuracies = subsets
        .iter()
        .map(|group| (group.name.as_str(), group.accuracy.mean));
    let sections = section_scores(&accuracies.collect())?;
    let average = Section::ALL
        .iter()
        .map(|section| sections.get(section).copied())
        .collect::<Option<Vec<f64>>>()
        .map(|scores| mean(&scores));
    Ok(RewardBenchReport {
        subsets,
        sections,
        average,
    })
}

/// The mean of the accuracies of a section's subsets, weighted as in [`SUBSETS`], for every section that has one.
///
/// # Errors
///
/// [`Error::UnknownSubset`].
pub fn section_scores(accuracies: &BTreeMap<&str, f64>) -> Result<BTreeMap<Section, f64>> {
    for name in accuracies.keys() {
        section_and_weight(name)?;
    }
    let mut sums: BTreeMap<Section, (f64, f64)> = BTreeMap::new();
    for (name, section, weight) in SUBSETS {
        if let Some(accuracy) = accuracies.get(name) {
            let (sum, weights) = sums.entry(section).or_default();
            *sum += accuracy * weight as f64;
            *weights += weight as f64;
        }
    }
    let score = |(section, (sum, weights))| (section, sum / weights);
    Ok(sums.into_iter().map(score).collect())
}

/// The average of the first leaderboard: the sections, and the mean of the prior preference sets (Anthropic Helpful, Anthropic
/// HHH, SHP, Learning to summarize) at half their weight. Without prior sets it is the plain mean.
///
/// ```
/// use std::collections::BTreeMap;
/// use eurus_eval::reward_benches::rewardbench::{Section, leaderboard_average};
/// let sections = BTreeMap::from(Section::ALL.map(|section| (section, 0.9)));
/// let average = leaderboard_average(&sections, &[0.6, 0.8, 0.4, 0.6])?;
/// assert!((average - (4.0 * 0.9 + 0.5 * 0.6) / 4.5).abs() < 1e-12);
/// # Ok::<(), eurus_eval::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::NoValues`] if there is neither a section nor a prior set.
pub fn leaderboard_average(sections: &BTreeMap<Section, f64>, prior_sets: &[f64]) -> Result<f64> {
    let mut sum: f64 = sections.values().sum();
    let mut weights = sections.len() as f64;
    if !prior_sets.is_empty() {
        sum += 0.5 * mean(prior_sets);
        weights += 0.5;
    }
    match weights > 0.0 {
        true => Ok(sum / weights),
        false => Err(Error::NoValues {
            what: "leaderboard average",
        }),
    }
}

fn section_and_weight(subset: &str) -> Result<(Section, usize)> {
    let known = SUBSETS.iter().find(|(name, _, _)| *name == subset);
    known
        .map(|&(_, section, weight)| (section, weight))
        .ok_or_else(|| Error::UnknownSubset {
            name: subset.to_owned(),
            nearest: SUBSETS
                .iter()
                .map(|(name, _, _)| *name)
                .min_by_key(|name| strsim::levenshtein(name, subset))
                .unwrap_or_default(),
        })
}

impl RewardBenchReport {
    /// The 95 % interval of a section's score, from those of its subsets ([`Interval::of_weighted_mean`]); `None` where there were
    /// no pairs of it.
    pub fn section_interval(&self, section: Section) -> Option<Interval> {
        let parts = self.subsets.iter().filter_map(|subset| {
            let (of, weight) = section_and_weight(&subset.name).ok()?;
            (of == section).then_some((weight as f64, subset.accuracy.mean, subset.interval))
        });
        Interval::of_weighted_mean(&parts.collect::<Vec<_>>())
    }

    /// The 95 % interval of the mean of the sections; `None` unless all four are there.
    pub fn average_interval(&self) -> Option<Interval> {
        let parts = Section::ALL.iter().map(|section| {
            let score = *self.sections.get(section)?;
            Some((1.0, score, self.section_interval(*section)?))
        });
        Interval::of_weighted_mean(&parts.collect::<Option<Vec<_>>>()?)
    }

    /// The sections and their mean, then every subset, in percent.
    pub fn table(&self, caption: impl Into<String>) -> Table {
        let percent = |share: f64| format!("{:.1}", share * 100.0);
        let mut table = Table::new(caption).headers(["Part", "Pairs", "Score", "95 % interval"]);
        let combined = |name: String, score: f64, interval: Option<Interval>| {
            let interval = interval.map(|it| it.to_string()).unwrap_or_default();
            [name, String::new(), percent(score), interval]
        };
        for (section, score) in &self.sections {
            let interval = self.section_interval(*section);
            table = table.row(combined(section.to_string(), *score, interval));
        }
        if let Some(average) = self.average {
            let name = "Mean of the sections".to_owned();
            table = table.row(combined(name, average, self.average_interval()));
        }
        for subset in &self.subsets {
            table = table.row([
                subset.name.clone(),
                subset.accuracy.n.to_string(),
                percent(subset.accuracy.mean),
                subset.interval.to_string(),
            ]);
        }
        table.note(
            "Percent. A tie is wrong. A section weighs its subsets as published. Intervals of subsets are Wilson's, those of \
             sections and of their mean are combined from them.",
        )
    }
}
