//! Runs side by side.

use super::{RewardMeans, RewardTrajectory, reward_pass_correlation};
use crate::error::Result;
use crate::metrics::{Proportion, typeset};
use crate::table::Table;

/// A row for each run: the chosen reward by quarters of its steps, the last quarter's other means, and what its policy solves
/// where that is given. With pass rates of all runs, a note has their rank correlation with the last chosen reward.
///
/// # Errors
///
/// Never for trajectories and proportions of this crate, whose numbers are finite.
pub fn trajectory_table<'a>(
    caption: impl Into<String>,
    runs: impl IntoIterator<Item = (&'a str, &'a RewardTrajectory, Option<Proportion>)>,
) -> Result<Table> {
    let runs: Vec<_> = runs.into_iter().collect();
    let passes = runs.iter().any(|(_, _, pass)| pass.is_some());
    let mut headers = vec![
        "Run",
        "Steps",
        "Chosen reward, 1st quarter",
        "2nd",
        "3rd",
        "last",
        "Rejected, last",
        "Margin, last",
        "Accuracy, last",
    ];
    headers.extend(passes.then_some("Pass rate"));
    let mut table = Table::new(caption).headers(headers);
    for (name, run, pass) in &runs {
        let last = run.last();
        let mut row = vec![(*name).to_owned(), run.steps.len().to_string()];
        let chosen = run.quarters.iter();
        row.extend(chosen.map(|it| reward(it, it.chosen, it.chosen_reward)));
        row.push(reward(last, last.rejected, last.rejected_reward));
        row.push(reward(last, last.chosen.min(last.rejected), last.margin));
        row.push(last.accuracy.map_or_else(none, |it| format!("{it:.3}")));
        if passes {
            row.push(pass.map_or_else(none, |it| it.to_string()));
        }
        table = table.row(row);
    }
    table = table.note("Rewards: means over the pairs of each quarter of the steps.");
    let known: Option<Vec<(&RewardTrajectory, f64)>> = runs
        .iter()
        .map(|(_, run, pass)| Some((*run, (*pass)?.mean)))
        .collect();
    let known = known.filter(|it| it.len() > 1);
    let correlation = known.map(reward_pass_correlation).transpose()?.flatten();
    Ok(match correlation {
        None => table,
        Some(rho) => table.note(typeset(format!(
            "Rank correlation of the last chosen reward with the pass rate over {} runs: {rho:.3}.",
            runs.len()
        ))),
    })
}

fn none() -> String {
    "–".to_owned()
}

/// A mean reward, or a dash where it is one of nothing.
fn reward(of: &RewardMeans, count: usize, value: f64) -> String {
    match of.steps == 0 || count == 0 {
        true => none(),
        false => typeset(format!("{value:+.3}")),
    }
}
