//! The numbers of a run by name, for programs to read, and their means over several runs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use eurus_eval::Table;
use eurus_eval::metrics;
use eurus_eval::reranking::Method;
use eurus_examples::evaluation::BEST_HABIT;
use serde::Serialize;

use crate::report::Results;

/// `summary.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    pub seed: u64,
    pub parameters: usize,
    pub seconds: f64,
    pub peak_resident_bytes: Option<u64>,
    /// Shares are between 0 and 1.
    pub measures: BTreeMap<String, f64>,
}

impl Summary {
    pub fn of(results: &Results, seconds: f64) -> Self {
        Self {
            seed: results.seed,
            parameters: results.parameters,
            seconds,
            peak_resident_bytes: eurus_memory::peak_resident_bytes(),
            measures: measures(results),
        }
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }
}

fn measures(results: &Results) -> BTreeMap<String, f64> {
    let mut measures = BTreeMap::new();
    let mut add = |name: String, value: f64| measures.insert(name, value);
    for row in &results.pass.rows {
        add(format!("pass@1, {}", row.rate.name), row.rate.pass.mean);
        add(format!("programs, {}", row.rate.name), row.programs);
        if let Some(over) = &row.rate.over_baseline {
            add(format!("pass@1 over SFT, {}", row.rate.name), over.mean);
        }
        if let Some(entropy) = row.entropy {
            add(format!("entropy, {}", row.rate.name), entropy);
        }
    }
    let fixed = results
        .pass
        .rows
        .iter()
        .find(|row| row.rate.name == BEST_HABIT);
    for run in &results.learned {
        let row = results
            .pass
            .rows
            .iter()
            .find(|row| row.rate.name == run.name);
        if let Some((row, fixed)) = row.zip(fixed) {
            let over = row.rate.pass.mean - fixed.rate.pass.mean;
            add(format!("pass@1 over the best habit, {}", run.name), over);
        }
        let (chosen, rejected) = (run.late().chosen_reward, run.late().rejected_reward);
        add(format!("final chosen reward, {}", run.name), chosen);
        add(format!("final rejected reward, {}", run.name), rejected);
    }
    for (name, report) in &results.rewards {
        add(format!("pairs ranked right, {name}"), report.accuracy.mean);
        add(format!("chosen reward, {name}"), report.mean_chosen);
        add(format!("rejected reward, {name}"), report.mean_rejected);
        if let Some(longer) = report.length_only_accuracy {
            add("pairs ranked right, the longer".to_owned(), longer.mean);
        }
    }
    if let Some(share) = results.programs_ranked_right {
        add("pairs ranked right, the program".to_owned(), share);
    }
    let n = results.reranking.n;
    for row in &results.reranking.rows {
        let name = match &row.method {
            Method::BestOfN { scorer } => format!("best of {n}, {scorer}"),
            method => format!("of {n}, {method}"),
        };
        add(name.clone(), row.accuracy.mean);
        if row.method != Method::Random {
            add(format!("{name}, over random"), row.over_random.mean);
        }
    }
    let turns = &results.trees.stats.turns;
    if let Some(first) = turns.first() {
        let judged = first.counts.correct + first.counts.incorrect;
        let share = first.counts.correct as f64 / judged.max(1) as f64;
        add("correct actions of the first turn".to_owned(), share);
    }
    let pairs: usize = turns.iter().map(|turn| turn.counts.pairs).sum();
    add("pairs in trees".to_owned(), pairs as f64);
    measures
}

/// Means over runs with their standard errors, and what each run gave.
pub fn over_seeds(summaries: &[Summary]) -> Result<Table> {
    let seeds = summaries.iter().map(|it| format!("Seed {}", it.seed));
    let headers = ["Measure".to_owned(), "Mean".to_owned()];
    let mut table = Table::new("Means over seeds.")
        .headers(headers.into_iter().chain(seeds).collect::<Vec<_>>());
    let seconds = summaries.iter().map(|it| it.seconds).collect();
    let mut rows: BTreeMap<&str, Vec<f64>> = BTreeMap::from([("seconds", seconds)]);
    for (name, value) in summaries.iter().flat_map(|it| &it.measures) {
        rows.entry(name).or_default().push(*value);
    }
    // A measure that a run does not have (no pairs, say) has no mean over runs.
    rows.retain(|_, values| values.len() == summaries.len());
    for (name, values) in rows {
        let mean = metrics::over_seeds(&values)?;
        let cells = values.iter().map(|value| format!("{value:.3}"));
        table = table.row(
            [name.to_owned(), mean.to_string()]
                .into_iter()
                .chain(cells)
                .collect::<Vec<_>>(),
        );
    }
    Ok(table.note("± is the standard error over seeds. Shares are between 0 and 1."))
}
