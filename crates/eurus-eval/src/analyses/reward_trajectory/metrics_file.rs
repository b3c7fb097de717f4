//! The rewards of a run from its `metrics.jsonl`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use ultrainteract::Error as RowError;
use ultrainteract::formats::parse_json;
use ultrainteract::input::{self, Located};

use super::{RewardTrajectory, StepRewards};
use crate::error::{Error, Result};

/// The metrics in the folder of a run.
const METRICS: &str = "metrics.jsonl";

/// The rewards of one stage of a metrics file.
#[derive(Debug, Clone, PartialEq)]
pub struct StageTrajectory {
    /// What the file calls the stage; `None` in a file of a single run, which has none.
    pub stage: Option<String>,
    /// Its rewards.
    pub trajectory: RewardTrajectory,
}

/// An event of a trainer; only steps of preference learning and of reward models are looked into.
#[derive(Deserialize)]
struct EventRow {
    stage: Option<String>,
    event: Option<String>,
    step: Option<usize>,
    stats: Option<Stats>,
}

/// Means of a step. Null is how writers of JSON put NaN and infinity, and a count that is left out is 0.
#[derive(Deserialize)]
struct Stats {
    #[serde(default)]
    groups: usize,
    #[serde(default)]
    chosen: usize,
    #[serde(default)]
    rejected: usize,
    chosen_reward: Option<f64>,
    rejected_reward: Option<f64>,
    accuracy: Option<f64>,
}

/// The rewards of every stage with some, of a run folder with `metrics.jsonl` or of such a file, in the order of the file.
///
/// Read are the events `preference` and `reward` of the trainers of `eurus-train`; a file of several runs tells them apart
/// by the field `stage`.
///
/// # Errors
///
/// [`Error::DataFile`] for a folder without metrics and a file without such steps; [`Error::Data`] with file, row and field
/// for a file that cannot be read, a row that is no event, a reward that is no finite number, and steps out of order.
pub fn read_trajectories(path: &Path) -> Result<Vec<StageTrajectory>> {
    let file = file_of(path)?;
    let mut stages: Vec<(Option<String>, Vec<StepRewards>)> = Vec::new();
    for row in input::read(vec![file.clone()], read_row) {
        let Located { value, location } = row.map_err(|rejected| RowError::from(*rejected))?;
        let Some((stage, rewards)) = value else {
            continue;
        };
        let known = stages.iter().position(|it| it.0 == stage);
        let place = known.unwrap_or_else(|| {
            stages.push((stage, Vec::new()));
            stages.len() - 1
        });
        let steps = &mut stages[place].1;
        if let Some(before) = steps.last().filter(|before| before.step >= rewards.step) {
            let problem = format!(
                "is {} after {}: two runs in one file; keep the rows of one, or give each a `stage`",
                rewards.step, before.step
            );
            return Err(location.locate(RowError::malformed("step", problem)).into());
        }
        steps.push(rewards);
    }
    if stages.is_empty() {
        let problem = "has no step of preference learning or of a reward model; give the run of `eurus prefer` or `eurus reward`";
        return Err(Error::DataFile {
            path: file,
            problem: problem.to_owned(),
        });
    }
    let trajectory = |(stage, steps)| {
        let trajectory = RewardTrajectory::new(steps)?;
        Ok(StageTrajectory { stage, trajectory })
    };
    stages.into_iter().map(trajectory).collect()
}

fn file_of(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let file = path.join(METRICS);
    match file.is_file() {
        true => Ok(file),
        false => Err(Error::DataFile {
            path: path.to_owned(),
            problem: format!(
                "has no {METRICS}; give the folder of a run, or the file that its --metrics named"
            ),
        }),
    }
}

/// The stage and the rewards of a step; `None` for other events.
fn read_row(record: &[u8]) -> ultrainteract::Result<Option<(Option<String>, StepRewards)>> {
    let row: EventRow = parse_json(record)?;
    let Some(event) = row.event else {
        // A file of several stages has other rows than those of trainers, such as counts of trees.
        if row.stage.is_some() {
            return Ok(None);
        }
        let problem = "is missing: this is no event of a training run; give its metrics.jsonl";
        return Err(RowError::malformed("event", problem));
    };
    if !["preference", "reward"].contains(&event.as_str()) {
        return Ok(None);
    }
    let missing = |field| RowError::malformed(field, "is missing in a step");
    let step = row.step.ok_or_else(|| missing("step"))?;
    let stats = row.stats.ok_or_else(|| missing("stats"))?;
    let finite = |field, value: Option<f64>| {
        let problem = "is missing or no finite number: the run went wrong there; leave out the row";
        value.ok_or_else(|| RowError::malformed(field, problem))
    };
    let rewards = StepRewards {
        step,
        groups: stats.groups,
        chosen: stats.chosen,
        rejected: stats.rejected,
        chosen_reward: finite("stats.chosen_reward", stats.chosen_reward)?,
        rejected_reward: finite("stats.rejected_reward", stats.rejected_reward)?,
        accuracy: stats.accuracy,
    };
    Ok(Some((row.stage, rewards)))
}
