//! `eurus eval trajectories`: where rewards went in training, and whether that goes with what the policies solve.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use eurus::eval::analyses::reward_trajectory::{
    RewardTrajectory, read_trajectories, reward_pass_correlation, trajectory_table,
};
use eurus::eval::metrics::Proportion;
use eurus::eval::report::{Figure, Report};
use eurus::eval::runs::{RunFolder, RunRecord};
use eurus::eval::terminal;
use serde_json::{Value, json};

use super::write_page;
use crate::data::check_new;
use crate::job::print;

pub const EXAMPLES: &str = "\
The paper explains DPO's fall in reasoning by the reward of chosen responses, which it pushes down (arXiv 2404.02078, figure 5). \
A run is told by means over the pairs of each quarter of its steps; --out draws every step. With what the policies solve of one \
task, the rank correlation of the last chosen reward with the pass rate over the runs stands below.

Examples:
  eurus eval trajectories runs/dpo runs/kto runs/nca
  eurus eval trajectories runs/dpo runs/kto runs/nca --results evals/dpo evals/kto evals/nca
  eurus eval trajectories dpo-metrics.jsonl --out rewards.html";

/// `eurus eval trajectories`.
#[derive(Debug, Args)]
pub struct Trajectories {
    /// Folders of `eurus prefer` or `eurus reward`, or their metrics files
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,

    /// Folders of `eurus eval run` with what each policy solves, in the order of the runs
    #[arg(long, num_args = 1.., value_name = "DIR")]
    results: Vec<PathBuf>,

    /// File for a page with the table and the rewards of every step as a figure
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Replace the page if it is there
    #[arg(long, requires = "out")]
    overwrite: bool,

    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

/// A run, or a stage of one.
struct Run {
    name: String,
    rewards: RewardTrajectory,
    pass: Option<Proportion>,
}

impl Trajectories {
    pub fn run(&self) -> Result<()> {
        if let Some(out) = &self.out {
            check_new(out, "--out", self.overwrite)?;
        }
        let runs = self.read()?;
        let table = trajectory_table(
            "Rewards in training.",
            runs.iter()
                .map(|it| (it.name.as_str(), &it.rewards, it.pass)),
        )?;
        let page = match &self.out {
            None => None,
            Some(out) => {
                let points = runs.iter().map(|it| (it.name.clone(), it.rewards.points()));
                let caption = "Rewards of chosen and rejected responses in training.";
                let mut report = Report::new("Rewards in training");
                report
                    .table(table.clone())
                    .figure(Figure::reward_trajectories(caption, points));
                Some(write_page(&report, out)?)
            }
        };
        if self.json {
            print(&to_json(&runs)?.to_string());
            return Ok(());
        }
        print(&terminal::render(&table));
        page.iter().for_each(|page| print(page));
        Ok(())
    }

    fn read(&self) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        for path in &self.runs {
            let name = path.display().to_string();
            let stages = read_trajectories(path)?;
            runs.extend(stages.into_iter().map(|it| Run {
                name: match it.stage {
                    Some(stage) => format!("{stage} ({name})"),
                    None => name.clone(),
                },
                rewards: it.trajectory,
                pass: None,
            }));
        }
        if self.results.is_empty() {
            return Ok(runs);
        }
        if self.results.len() != runs.len() {
            let names: Vec<&str> = runs.iter().map(|it| it.name.as_str()).collect();
            bail!(
                "--results names {} folders, and there are rewards of {}: {}; give one for each, in this order",
                self.results.len(),
                runs.len(),
                names.join(", ")
            );
        }
        let mut first: Option<RunRecord> = None;
        for (run, path) in runs.iter_mut().zip(&self.results) {
            run.pass = Some(pass_rate(path, &mut first)?);
        }
        Ok(runs)
    }
}

/// What a run of a benchmark solved; all must be of the task and data of the first.
fn pass_rate(path: &Path, first: &mut Option<RunRecord>) -> Result<Proportion> {
    let folder = RunFolder::open(path);
    let summary = folder.summary().context("--results")?;
    let first = first.get_or_insert_with(|| summary.run.clone());
    let of = |record: &RunRecord| (record.task.name.clone(), record.data.sha256.clone());
    if of(first) != of(&summary.run) {
        bail!(
            "{} is a run of `{}`, and the first of --results one of `{}` or of other data; pass rates are compared on one task",
            path.display(),
            summary.run.task.name,
            first.task.name
        );
    }
    let accuracy = summary.best().and_then(|it| it.accuracy);
    accuracy.with_context(|| {
        format!(
            "{}: no answer of it could be judged right or wrong; grade it again, or leave it out",
            path.display()
        )
    })
}

fn to_json(runs: &[Run]) -> Result<Value> {
    let known: Option<Vec<(&RewardTrajectory, f64)>> = runs
        .iter()
        .map(|run| Some((&run.rewards, run.pass?.mean)))
        .collect();
    let known = known.filter(|it| it.len() > 1);
    let correlation = known.map(reward_pass_correlation).transpose()?.flatten();
    let rows = runs.iter().map(|run| {
        json!({"run": run.name, "quarters": run.rewards.quarters, "steps": run.rewards.steps, "pass_rate": run.pass})
    });
    Ok(json!({
        "runs": rows.collect::<Vec<_>>(),
        "rank_correlation": correlation,
    }))
}
