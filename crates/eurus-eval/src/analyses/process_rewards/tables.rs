//! Reports of several rewards of the same trees, side by side.

use std::collections::{BTreeMap, BTreeSet};

use super::{ProcessRewardReport, Separation};
use crate::metrics::Interval;
use crate::table::Table;

/// A row for each reward: how well it tells right turns from wrong ones, and where it is least.
///
/// What length alone tells is the last row, where lengths are known; it is the same for all rewards of the same trees.
pub fn comparison_table<'a>(
    caption: impl Into<String>,
    rewards: impl IntoIterator<Item = (&'a str, &'a ProcessRewardReport)>,
) -> Table {
    let mut table = Table::new(caption).headers([
        "Reward",
        "AUC",
        "95 % interval",
        "Siblings ranked right",
        "First wrong turn found",
    ]);
    let mut first = None;
    for (name, report) in rewards {
        let found = report.first_error.map(|it| it.found);
        table = table.row(row(name, &report.reward, shown(found)));
        first = first.or(Some(report));
    }
    let Some(report) = first else {
        return table;
    };
    if let Some(length_only) = &report.length_only {
        table = table.row(row("Length alone, in tokens", length_only, "–".to_owned()));
    }
    let pairs = report.reward.pair_accuracy.map_or(0, |it| it.n);
    table = table.note(format!(
        "{} trees; {} correct and {} incorrect turns, {pairs} pairs of siblings. Intervals and ± are over trees; one half is chance.",
        report.trees, report.reward.correct, report.reward.incorrect
    ));
    if let Some(error) = &report.first_error {
        table = table.note(format!(
            "The least reward of {} trajectories of two turns or more with a wrong one. A turn at random would be it in {:.1} %, the first turn in {:.1} %.",
            error.found.n,
            100.0 * error.chance,
            100.0 * error.first_turn
        ));
    }
    match report.unjudged {
        0 => table,
        count => table.note(format!(
            "{count} turns were not judged: they count in the rewards of whole responses alone."
        )),
    }
}

/// A row for each turn of the trees. A reward that has no such turn has a dash there, and so do the counts of verdicts where two
/// rewards are of other trees.
pub fn turn_table<'a>(
    caption: impl Into<String>,
    rewards: impl IntoIterator<Item = (&'a str, &'a ProcessRewardReport)>,
) -> Table {
    let mut headers = ["Turn", "Correct", "Incorrect"].map(str::to_owned).to_vec();
    let mut by_turn: BTreeMap<usize, Vec<Option<&Separation>>> = BTreeMap::new();
    for (place, (name, report)) in rewards.into_iter().enumerate() {
        headers.push(format!("AUC, {name}"));
        headers.push(format!("Siblings, {name}"));
        for it in &report.by_turn {
            let of_turn = by_turn.entry(it.turn).or_default();
            of_turn.resize(place, None);
            of_turn.push(Some(&it.separation));
        }
    }
    let places = (headers.len() - 3) / 2;
    let table = Table::new(caption).headers(headers);
    by_turn
        .into_iter()
        .fold(table, |table, (turn, mut of_turn)| {
            of_turn.resize(places, None);
            let count = |of: fn(&Separation) -> usize| {
                let counts: BTreeSet<usize> = of_turn.iter().flatten().map(|it| of(it)).collect();
                shown(counts.first().filter(|_| counts.len() == 1))
            };
            let counts = [count(|it| it.correct), count(|it| it.incorrect)];
            let cells = of_turn.iter().flat_map(|of| match of {
                Some(of) => [area(of), shown(of.pair_accuracy)],
                None => [(); 2].map(|()| "–".to_owned()),
            });
            table.row([turn.to_string()].into_iter().chain(counts).chain(cells))
        })
}

/// A row for each reward and each way to make one of a whole response of it; the last row is what counting turns tells.
pub fn response_table<'a>(
    caption: impl Into<String>,
    rewards: impl IntoIterator<Item = (&'a str, &'a ProcessRewardReport)>,
) -> Table {
    let mut table = Table::new(caption).headers([
        "Reward of a response",
        "AUC",
        "95 % interval",
        "Ranked right within a tree",
    ]);
    let row = |name: String, of: &Separation| {
        [
            name,
            area(of),
            interval(of.interval),
            shown(of.pair_accuracy),
        ]
    };
    let mut first = None;
    for (name, report) in rewards {
        for it in &report.responses {
            table = table.row(row(format!("{name}, {}", it.aggregation), &it.separation));
        }
        first = first.or(Some(report));
    }
    match first {
        None => table,
        Some(ProcessRewardReport { fewer_turns, .. }) => table
            .row(row("Fewer turns alone".to_owned(), fewer_turns))
            .note(format!(
                "{} trajectories that end right, {} that end wrong.",
                fewer_turns.correct, fewer_turns.incorrect
            )),
    }
}

fn row(name: &str, of: &Separation, found: String) -> [String; 5] {
    [
        name.to_owned(),
        area(of),
        interval(of.interval),
        shown(of.pair_accuracy),
        found,
    ]
}

fn area(of: &Separation) -> String {
    of.auc
        .map_or_else(|| "–".to_owned(), |it| format!("{it:.3}"))
}

fn interval(of: Option<Interval>) -> String {
    let text = |it: Interval| format!("[{:.3}, {:.3}]", it.low, it.high);
    of.map_or_else(|| "–".to_owned(), text)
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "–".to_owned(), |it| it.to_string())
}
