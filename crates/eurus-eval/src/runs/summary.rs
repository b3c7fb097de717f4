//! What the verdicts of a run come to.

use std::collections::BTreeMap;

use code_interpreter::Protection;
use serde::{Deserialize, Serialize};

use super::record::RunRecord;
use super::verdicts::{ItemVerdict, Outcome};
use crate::error::Result;
use crate::graders::Rules;
use crate::metrics::{Estimate, Interval, Proportion, mean_pass_at_k, paired_difference};
use crate::table::Table;
use crate::tasks::Item;

/// Of the intervals that are told.
const CONFIDENCE: f64 = 0.95;

/// `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What was run.
    pub run: RunRecord,
    /// Whose verdicts these are.
    pub rules: Rules,
    /// What to bear in mind, such as data that are shorter than the published ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The setting that is reported: the better one, as the paper has it.
    pub reported: String,
    /// All settings.
    pub settings: Vec<SettingSummary>,
}

/// What one setting comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettingSummary {
    /// Its name.
    pub name: String,
    /// Over the items that could be judged; an item with several samples counts by its share of right ones.
    /// Its standard error is that over clusters, where items have some. Nothing where no answer could be judged.
    pub accuracy: Option<Proportion>,
    /// Mean of the numbers from 1 to 10 that a judge gives, an item with several samples by its mean, where a judge does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratings: Option<Estimate>,
    /// The 95 % interval of Wilson, which takes items to be independent.
    pub interval: Option<Interval>,
    /// The same within each group, by the field and its value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, BTreeMap<String, Proportion>>,
    /// Chance that one of k answers is right, by k, where there are several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pass_at_k: BTreeMap<usize, f64>,
    /// Answers by what became of them.
    pub outcomes: BTreeMap<Outcome, usize>,
    /// Answers that the limit of length cut off, right ones too.
    pub cut_off: usize,
    /// Answers of which nothing could be extracted.
    pub nothing_extracted: usize,
    /// Items that are not in the accuracy, because none of their answers could be judged.
    pub items_unjudged: usize,
    /// The least protection under which a program was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<Protection>,
}

impl Summary {
    /// The setting that is reported.
    pub fn best(&self) -> Option<&SettingSummary> {
        self.settings.iter().find(|it| it.name == self.reported)
    }

    /// Settings side by side.
    pub fn table(&self) -> Table {
        let caption = format!("{}, {}", self.run.task.name, self.run.model.name);
        let is_rated = self.settings.iter().any(|it| it.ratings.is_some());
        let mut table = Table::new(caption).headers([
            "Setting",
            if is_rated { "Rating" } else { "Accuracy" },
            "95 % interval",
            "Items",
            "Cut off",
            "Nothing extracted",
            "Timed out",
            "Unjudged",
            "Unanswered",
        ]);
        for setting in &self.settings {
            let mark = match setting.name == self.reported && self.settings.len() > 1 {
                true => " (reported)",
                false => "",
            };
            let of = |outcome| setting.outcomes.get(&outcome).copied().unwrap_or_default();
            table = table.row([
                format!("{}{mark}", setting.name),
                match &setting.ratings {
                    Some(ratings) => ratings.to_string(),
                    None => shown(setting.accuracy.as_ref()),
                },
                shown(setting.interval.as_ref()),
                setting.judged_items().to_string(),
                setting.cut_off.to_string(),
                setting.nothing_extracted.to_string(),
                of(Outcome::TimedOut).to_string(),
                of(Outcome::Unjudged).to_string(),
                of(Outcome::Unanswered).to_string(),
            ]);
        }
        for note in &self.notes {
            table = table.note(note);
        }
        table
    }

    /// A table for each field that items are grouped by.
    pub fn group_tables(&self) -> Vec<Table> {
        let mut fields: BTreeMap<&str, Vec<&SettingSummary>> = BTreeMap::new();
        for setting in &self.settings {
            for field in setting.groups.keys() {
                fields.entry(field).or_default().push(setting);
            }
        }
        let mut tables = Vec::new();
        for (field, settings) in fields {
            let names = settings.iter().map(|setting| setting.name.clone());
            let headers = [field.to_owned(), "items".to_owned()]
                .into_iter()
                .chain(names);
            let mut table = Table::new(format!("Accuracy by {field}")).headers(headers);
            let mut values: BTreeMap<&str, usize> = BTreeMap::new();
            for setting in &settings {
                for (value, accuracy) in &setting.groups[field] {
                    let items = values.entry(value).or_default();
                    *items = accuracy.n.max(*items);
                }
            }
            for (value, items) in values {
                let cells = settings.iter().map(|setting| {
                    let accuracy = setting.groups[field].get(value);
                    accuracy.map_or_else(String::new, ToString::to_string)
                });
                table = table.row(
                    [value.to_owned(), items.to_string()]
                        .into_iter()
                        .chain(cells),
                );
            }
            tables.push(table);
        }
        tables
    }
}

impl SettingSummary {
    /// How many items the accuracy, or the mean rating, is over.
    pub fn judged_items(&self) -> usize {
        let rated = self.ratings.map(|it| it.n);
        rated.or(self.accuracy.map(|it| it.n)).unwrap_or(0)
    }

    /// Sums up the verdicts on the answers to some items.
    ///
    /// # Errors
    ///
    /// Never for verdicts of this crate: when a share cannot be averaged.
    pub fn of(name: &str, items: &[Item], verdicts: &[ItemVerdict]) -> Result<Self> {
        let mut by_item: BTreeMap<&str, Vec<&ItemVerdict>> = BTreeMap::new();
        for verdict in verdicts {
            by_item.entry(&verdict.id).or_default().push(verdict);
        }
        let mut judged: Vec<Judged<'_>> = Vec::new();
        let mut ratings: Vec<f64> = Vec::new();
        let mut items_unjudged = 0;
        for item in items {
            let rows = by_item.get(item.id.as_str()).map_or(&[][..], Vec::as_slice);
            let rated: Vec<f64> = rows.iter().filter_map(|row| row.rating).collect();
            if !rated.is_empty() {
                ratings.push(rated.iter().sum::<f64>() / rated.len() as f64);
                continue;
            }
            let can_be = rows.iter().filter(|row| row.outcome() != Outcome::Unjudged);
            let samples = can_be.clone().count();
            let correct = can_be.filter(|row| row.grade.is_correct()).count();
            match samples {
                0 => items_unjudged += 1,
                _ => judged.push(Judged {
                    item,
                    samples,
                    correct,
                }),
            }
        }
        let mut groups: BTreeMap<String, BTreeMap<String, Vec<&Judged<'_>>>> = BTreeMap::new();
        for it in &judged {
            for (field, value) in &it.item.groups {
                let values = groups.entry(field.clone()).or_default();
                values.entry(value.clone()).or_default().push(it);
            }
        }
        let groups = groups.into_iter().map(|(field, values)| {
            let values = values.into_iter();
            let accuracies = values.map(|(value, rows)| Ok((value, accuracy(&rows)?)));
            Ok((field, accuracies.collect::<Result<_>>()?))
        });
        let all: Vec<&Judged<'_>> = judged.iter().collect();
        let accuracy = match all.is_empty() {
            true => None,
            false => Some(accuracy(&all)?),
        };
        let mut outcomes = BTreeMap::new();
        for verdict in verdicts {
            *outcomes.entry(verdict.outcome()).or_default() += 1;
        }
        let count =
            |holds: fn(&ItemVerdict) -> bool| verdicts.iter().filter(|it| holds(it)).count();
        Ok(Self {
            name: name.to_owned(),
            interval: accuracy.map(|it| it.wilson(CONFIDENCE)).transpose()?,
            accuracy,
            ratings: mean_rating(&ratings)?,
            groups: groups.collect::<Result<_>>()?,
            pass_at_k: pass_at_k(&judged)?,
            outcomes,
            cut_off: count(|it| it.finish == Some(chat_model::Finish::Length)),
            nothing_extracted: count(|it| it.finish.is_some() && it.grade.extracted.is_none()),
            items_unjudged,
            protection: verdicts.iter().filter_map(|it| it.protection).min(),
        })
    }
}

struct Judged<'a> {
    item: &'a Item,
    samples: usize,
    correct: usize,
}

fn accuracy(judged: &[&Judged<'_>]) -> Result<Proportion> {
    let share = |it: &&Judged<'_>| it.correct as f64 / it.samples as f64;
    let shares: Vec<f64> = judged.iter().map(share).collect();
    // An item without a cluster is one of its own, whatever clusters are called.
    let clusters = judged.iter().map(|it| match &it.item.cluster {
        Some(cluster) => (Some(cluster.as_str()), None),
        None => (None, Some(it.item.id.as_str())),
    });
    Proportion::from_clusters(&shares, &clusters.collect::<Vec<_>>())
}

/// With its standard error; nothing where nothing was rated.
fn mean_rating(ratings: &[f64]) -> Result<Option<Estimate>> {
    match ratings {
        [] => Ok(None),
        _ => paired_difference(ratings, &vec![0.0; ratings.len()]).map(Some),
    }
}

fn shown(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "–".to_owned(), ToString::to_string)
}

/// For k = 1, 2, 4, ... as far as every item has so many samples.
fn pass_at_k(judged: &[Judged<'_>]) -> Result<BTreeMap<usize, f64>> {
    let fewest = judged.iter().map(|it| it.samples).min().unwrap_or(0);
    let counts: Vec<(usize, usize)> = judged.iter().map(|it| (it.samples, it.correct)).collect();
    let ks = std::iter::successors(Some(1), |k| Some(2 * k)).take_while(|&k| k <= fewest);
    let ks: Vec<usize> = ks.collect();
    if ks.len() < 2 {
        return Ok(BTreeMap::new());
    }
    ks.into_iter()
        .map(|k| Ok((k, mean_pass_at_k(&counts, k)?.mean)))
        .collect()
}
