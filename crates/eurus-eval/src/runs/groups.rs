//! Means within groups: the one way in which a summary divides what it counts.

use std::collections::BTreeMap;

use super::verdicts::{ItemVerdict, Outcome};
use crate::error::Result;
use crate::metrics::{Estimate, Proportion, clustered_mean};
use crate::tasks::Item;

/// Means by what they divide by and its value, such as `level` and `Level 5`.
pub type Groups<M> = BTreeMap<String, BTreeMap<String, M>>;

/// The group of IFEval's four figures.
const COUNTED: &str = "what is counted";
/// The group of the turns of a conversation, from 1.
const TURN: &str = "turn";

/// A value that is averaged, with the groups in which it stands.
pub(super) struct Row<'a> {
    pub value: f64,
    /// Equal for values that are not independent.
    pub cluster: Cluster<'a>,
    groups: Vec<(&'a str, String)>,
}

/// An item without a cluster is one of its own, whatever clusters are called.
type Cluster<'a> = (Option<&'a str>, Option<&'a str>);

fn cluster(item: &Item) -> Cluster<'_> {
    match &item.cluster {
        Some(cluster) => (Some(cluster), None),
        None => (None, Some(&item.id)),
    }
}

impl<'a> Row<'a> {
    /// A value of an item, in the item's groups.
    pub fn of_item(item: &'a Item, value: f64) -> Self {
        let groups = item.groups.iter();
        Self {
            value,
            cluster: cluster(item),
            groups: groups
                .map(|(field, group)| (field.as_str(), group.clone()))
                .collect(),
        }
    }

    fn of_part(item: &'a Item, value: f64, field: &'static str, group: String) -> Self {
        Self {
            value,
            cluster: cluster(item),
            groups: vec![(field, group)],
        }
    }
}

/// The share of answers in which each instruction of an item is followed, strictly and loosely, and in which all are. An item
/// without an answer has none: nobody looked at its instructions.
pub(super) fn instructions<'a>(item: &'a Item, verdicts: &[&ItemVerdict]) -> Vec<Row<'a>> {
    let followed = verdicts.iter().filter_map(|it| it.grade.followed.as_ref());
    let followed: Vec<_> = followed.collect();
    let mut rows = Vec::new();
    for (name, of) in [
        ("strict", followed.iter().map(|it| &it.strict[..]).collect()),
        ("loose", followed.iter().map(|it| &it.loose[..]).collect()),
    ] {
        let of: Vec<&[bool]> = of;
        let count = of.iter().map(|it| it.len()).min().unwrap_or(0);
        let mut push = |unit: &str, holds: &dyn Fn(&[bool]) -> bool| {
            let right = of.iter().filter(|it| holds(it)).count();
            let share = right as f64 / of.len() as f64;
            let group = format!("{unit}, {name}");
            rows.push(Row::of_part(item, share, COUNTED, group));
        };
        if !of.is_empty() {
            push("prompts", &|it| it.iter().all(|&it| it));
        }
        for at in 0..count {
            push("instructions", &|it| it[at]);
        }
    }
    rows
}

/// What a judge gives each turn of a conversation, of several answers the mean.
pub(super) fn turns<'a>(item: &'a Item, verdicts: &[&ItemVerdict]) -> Vec<Row<'a>> {
    let rated = verdicts.iter().filter(|it| it.outcome() == Outcome::Rated);
    let mut turns: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for verdict in rated {
        for (turn, rating) in verdict.turn_ratings.iter().enumerate() {
            turns.entry(turn + 1).or_default().push(*rating);
        }
    }
    let turns = turns.into_iter();
    turns
        .map(|(turn, ratings)| {
            let mean = ratings.iter().sum::<f64>() / ratings.len() as f64;
            Row::of_part(item, mean, TURN, turn.to_string())
        })
        .collect()
}

/// The means of rows within each of their groups.
pub(super) fn grouped<M>(
    rows: &[Row<'_>],
    mean: fn(&[&Row<'_>]) -> Result<M>,
) -> Result<Groups<M>> {
    let mut groups: Groups<Vec<&Row<'_>>> = BTreeMap::new();
    for row in rows {
        for (field, group) in &row.groups {
            let values = groups.entry((*field).to_owned()).or_default();
            values.entry(group.clone()).or_default().push(row);
        }
    }
    let groups = groups.into_iter().map(|(field, values)| {
        let values = values.into_iter();
        let means = values.map(|(group, rows)| Ok((group, mean(&rows)?)));
        Ok((field, means.collect::<Result<_>>()?))
    });
    groups.collect()
}

/// The mean of shares.
pub(super) fn share(rows: &[&Row<'_>]) -> Result<Proportion> {
    let (shares, clusters) = columns(rows);
    Proportion::from_clusters(&shares, &clusters)
}

/// The mean of any numbers.
pub(super) fn estimate(rows: &[&Row<'_>]) -> Result<Estimate> {
    let (values, clusters) = columns(rows);
    clustered_mean(&values, &clusters)
}

fn columns<'a>(rows: &[&Row<'a>]) -> (Vec<f64>, Vec<Cluster<'a>>) {
    rows.iter().map(|row| (row.value, row.cluster)).unzip()
}
