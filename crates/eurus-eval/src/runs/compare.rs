//! Two runs on the same items, and a run beside published figures.

use std::collections::BTreeMap;

use super::summary::Summary;
use super::verdicts::{ItemVerdict, Outcome};
use crate::metrics::{ItemResult, Proportion, RunComparison};
use crate::table::Table;
use crate::tasks::{Item, Published};

/// How a run did on each item that could be judged. Of several answers more than half must be right.
pub fn item_results(items: &[Item], verdicts: &[ItemVerdict]) -> Vec<ItemResult> {
    let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for verdict in verdicts
        .iter()
        .filter(|it| !matches!(it.outcome(), Outcome::Unjudged | Outcome::Rated))
    {
        let [right, all] = counts.entry(&verdict.id).or_default();
        *right += usize::from(verdict.grade.is_correct());
        *all += 1;
    }
    let judged = items.iter().filter_map(|item| {
        let [right, all] = counts.get(item.id.as_str())?;
        Some(ItemResult {
            id: item.id.clone(),
            correct: 2 * right > *all,
            cluster: item.cluster.clone(),
        })
    });
    judged.collect()
}

/// Two runs side by side, with what tells whether they differ.
pub fn comparison_table(names: [&str; 2], compared: &RunComparison) -> Table {
    let left_out = compared.only_in_left + compared.only_in_right;
    let mut table = Table::new(format!("{} items in common", compared.left.n))
        .headers(["Run", "Accuracy", "Right here alone"])
        .row([
            names[0].to_owned(),
            compared.left.to_string(),
            compared.only_left_correct.len().to_string(),
        ])
        .row([
            names[1].to_owned(),
            compared.right.to_string(),
            compared.only_right_correct.len().to_string(),
        ])
        .note(format!(
            "Difference {}; exact McNemar test p {}.",
            compared.difference.in_points(),
            match compared.mcnemar.p_value {
                small if small < 0.001 => "< 0.001".to_owned(),
                p => format!("= {p:.3}"),
            }
        ));
    if compared.clusters < compared.left.n {
        table = table.note(format!(
            "Items come in {} clusters and are not independent: read the difference, not the test.",
            compared.clusters
        ));
    }
    if left_out > 0 {
        table = table.note(format!(
            "{left_out} items are in one run alone, or could not be judged there."
        ));
    }
    table
}

/// The figures that were published for a task beside the run's, each with what was counted. Nothing for a task without any.
pub fn published_table(summary: &Summary, published: &[Published]) -> Option<Table> {
    let best = summary.best()?;
    let first = published.first()?;
    let mut table = Table::new(format!("Published in {}", first.table)).headers([
        "Model",
        "Published",
        "This run",
        "Difference",
        "Counted",
    ]);
    for figure in published {
        if let Some(ours) = best.ratings {
            table = table.row([
                figure.model.clone(),
                format!("{:.2}", figure.value),
                ours.to_string(),
                format!("{:+.2}", ours.mean - figure.value),
                figure.counted.clone(),
            ]);
            continue;
        }
        let ours = match figure.group.iter().next() {
            None => best.accuracy,
            Some((field, value)) => best.groups.get(field).and_then(|it| it.get(value)).copied(),
        };
        let difference = |ours: Proportion| format!("{:+.1}", 100.0 * ours.mean - figure.value);
        let about: Vec<&str> = figure.group.values().map(String::as_str).collect();
        table = table.row([
            [&[figure.model.as_str()], &about[..]].concat().join(", "),
            format!("{:.1} %", figure.value),
            ours.map_or_else(|| "–".to_owned(), |ours| ours.to_string()),
            ours.map_or_else(String::new, difference),
            figure.counted.clone(),
        ]);
    }
    Some(table)
}
