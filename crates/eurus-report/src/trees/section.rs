//! What stands around the trees: how many there are, whose numbers, and where the others are.

use serde::Serialize;

use super::FROM;
use super::columns::{Columns, letter};
use super::scores::Scores;
use super::source::{Choice, Trees};
use super::text::shown;

/// The context of the section's template.
#[derive(Debug, Serialize)]
pub(super) struct SectionView {
    count: String,
    pages: Option<Pages>,
    models: Vec<LegendModel>,
    legend: Option<&'static str>,
    columns: Vec<String>,
    index: minijinja::Value,
}

/// Addresses of the trees before and after.
#[derive(Debug, Serialize)]
struct Pages {
    previous: Option<String>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct LegendModel {
    letter: Option<char>,
    name: String,
    note: Option<String>,
}

const LEGEND: &str = "Blue is above zero, orange below; the deepest colour is what one number in twenty exceeds. A step \
                      disagrees if a wrong one has more than a right one to the same history, or a right one less; without \
                      such a neighbour, if a wrong one is above zero or a right one below.";

impl SectionView {
    pub fn new(trees: &Trees, columns: &Columns, scores: &[Scores], index: String) -> Self {
        let models = scores.iter().enumerate().map(|(model, scores)| {
            let unscored = trees
                .trees
                .iter()
                .filter(|(_, tree)| !scores.has(tree))
                .count();
            LegendModel {
                letter: columns.several.then(|| letter(model)),
                name: shown(&scores.name()).into_owned(),
                note: (unscored > 0).then(|| format!("no scores of {}", trees_text(unscored))),
            }
        });
        Self {
            count: count(trees),
            pages: pages(trees),
            models: models.collect(),
            legend: (!columns.columns.is_empty()).then_some(LEGEND),
            columns: columns.names(),
            index: minijinja::Value::from_safe_string(index),
        }
    }
}

/// Which trees of how many the page has.
fn count(trees: &Trees) -> String {
    let (here, of) = (trees.trees.len(), trees.of);
    match trees.choice {
        Choice::All => format!("{}.", trees_text(of)),
        Choice::Drawn { seed } => format!(
            "{} of {}, drawn with seed {seed}.",
            thousands(here),
            trees_text(of)
        ),
        Choice::Range { from, .. } if here > 0 => {
            let (first, last) = (thousands(from + 1), thousands(from + here));
            format!("Trees {first} to {last} of {}.", thousands(of))
        }
        Choice::Range { from, .. } => format!(
            "No tree from {} on; there are {}.",
            thousands(from.saturating_add(1)),
            thousands(of)
        ),
    }
}

fn pages(trees: &Trees) -> Option<Pages> {
    let Choice::Range { from, count } = trees.choice else {
        return None;
    };
    let to = |from: usize| format!("?{FROM}={from}#trees");
    let after = from.saturating_add(count);
    Some(Pages {
        previous: (from > 0).then(|| to(from.saturating_sub(count))),
        next: (after < trees.of).then(|| to(after)),
    })
}

fn trees_text(count: usize) -> String {
    match count {
        1 => "1 tree".to_owned(),
        _ => format!("{} trees", thousands(count)),
    }
}

fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<String> = groups
        .map(|it| String::from_utf8_lossy(it).into_owned())
        .collect();
    groups.join(",")
}
