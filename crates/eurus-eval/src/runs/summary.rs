//! What the verdicts of a run come to.

use std::collections::{BTreeMap, BTreeSet};

use code_interpreter::Protection;
use serde::{Deserialize, Serialize};

use super::groups::{self, Groups, Row, estimate, grouped, share};
use super::record::RunRecord;
use super::verdicts::{ItemVerdict, Outcome};
use crate::error::Result;
use crate::graders::Rules;
use crate::metrics::{Estimate, Interval, Proportion, mean_pass_at_k};
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
    /// The accuracy within each group, by the field and its value. Of IFEval also the shares of prompts and of instructions
    /// that are followed strictly and loosely, under `what is counted`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: Groups<Proportion>,
    /// The mean rating within each group, and by `turn`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rating_groups: Groups<Estimate>,
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
        let settings = self.settings.iter();
        let accuracies = settings.clone().map(|it| (&it.name[..], &it.groups));
        let ratings = settings.map(|it| (&it.name[..], &it.rating_groups));
        let mut tables = group_tables("Accuracy", &accuracies.collect::<Vec<_>>(), |it| it.n);
        tables.extend(group_tables("Rating", &ratings.collect::<Vec<_>>(), |it| {
            it.n
        }));
        tables
    }
}

/// A table for each field by which the means of some setting are divided, with a column for each of these settings.
fn group_tables<M: ToString>(
    what: &str,
    settings: &[(&str, &Groups<M>)],
    n: fn(&M) -> usize,
) -> Vec<Table> {
    let fields: BTreeSet<&String> = settings.iter().flat_map(|(_, it)| it.keys()).collect();
    let mut tables = Vec::new();
    for field in fields {
        let of_field = settings
            .iter()
            .filter_map(|(name, groups)| Some((*name, groups.get(field)?)));
        let of_field: Vec<(&str, &BTreeMap<String, M>)> = of_field.collect();
        let names = of_field.iter().map(|(name, _)| *name);
        let mut table = Table::new(format!("{what} by {field}"))
            .headers([field.as_str(), "n"].into_iter().chain(names));
        let groups: BTreeSet<&String> = of_field.iter().flat_map(|(_, it)| it.keys()).collect();
        for group in groups {
            let means = of_field.iter().map(|(_, it)| it.get(group));
            let items = means.clone().flatten().map(n).max().unwrap_or(0);
            let cells = means.map(|mean| mean.map_or_else(String::new, ToString::to_string));
            table = table.row([group.clone(), items.to_string()].into_iter().chain(cells));
        }
        tables.push(table);
    }
    tables
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
        let mut counts: Vec<Count> = Vec::new();
        let (mut accuracies, mut ratings): (Vec<Row<'_>>, Vec<Row<'_>>) = (Vec::new(), Vec::new());
        let (mut instructions, mut turns) = (Vec::new(), Vec::new());
        let mut items_unjudged = 0;
        for item in items {
            let rows = by_item.get(item.id.as_str()).map_or(&[][..], Vec::as_slice);
            let rated: Vec<f64> = rows.iter().filter_map(|row| row.rating).collect();
            if !rated.is_empty() {
                let mean = rated.iter().sum::<f64>() / rated.len() as f64;
                ratings.push(Row::of_item(item, mean));
                turns.extend(groups::turns(item, rows));
                continue;
            }
            let can_be = rows.iter().filter(|row| row.outcome() != Outcome::Unjudged);
            let samples = can_be.clone().count();
            let correct = can_be.filter(|row| row.grade.is_correct()).count();
            if samples == 0 {
                items_unjudged += 1;
                continue;
            }
            counts.push(Count { samples, correct });
            accuracies.push(Row::of_item(item, correct as f64 / samples as f64));
            instructions.extend(groups::instructions(item, rows));
        }
        let accuracy = mean_of(&accuracies, share)?;
        let mut groups = grouped(&accuracies, share)?;
        groups.extend(grouped(&instructions, share)?);
        let mut rating_groups = grouped(&ratings, estimate)?;
        rating_groups.extend(grouped(&turns, estimate)?);
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
            ratings: mean_of(&ratings, estimate)?,
            groups,
            rating_groups,
            pass_at_k: pass_at_k(&counts)?,
            outcomes,
            cut_off: count(|it| it.finish == Some(chat_model::Finish::Length)),
            nothing_extracted: count(|it| it.finish.is_some() && it.grade.extracted.is_none()),
            items_unjudged,
            protection: verdicts.iter().filter_map(|it| it.protection).min(),
        })
    }
}

/// Answers to an item that could be judged, and the right ones among them.
struct Count {
    samples: usize,
    correct: usize,
}

/// Nothing where there is nothing to average.
fn mean_of<M>(rows: &[Row<'_>], mean: fn(&[&Row<'_>]) -> Result<M>) -> Result<Option<M>> {
    let rows: Vec<&Row<'_>> = rows.iter().collect();
    match rows.is_empty() {
        true => Ok(None),
        false => mean(&rows).map(Some),
    }
}

fn shown(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "–".to_owned(), ToString::to_string)
}

/// For k = 1, 2, 4, ... as far as every item has so many samples.
fn pass_at_k(judged: &[Count]) -> Result<BTreeMap<usize, f64>> {
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
