//! What commands of evaluation print with `--json`. None of it says what it is: its fields do.

use std::path::Path;

use eurus_eval::analyses::process_rewards::{ProcessRewardReport, RewardField};
use eurus_eval::reranking::RerankingCurve;
use eurus_eval::reward_benches::autoj::ThresholdSweep;
use eurus_eval::reward_benches::mtbench::MtBenchReport;
use eurus_eval::reward_benches::pairs::PairsReport;
use eurus_eval::reward_benches::rewardbench::RewardBenchReport;
use eurus_eval::reward_benches::rewardbench2::RewardBench2Report;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{json, words};
use crate::error::{Error, Result};

/// What one command printed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Printed {
    /// `eurus eval rerank`: choosing among samples.
    Reranking(RerankingCurve),
    /// `eurus eval rm`: a reward model on a benchmark.
    RewardModel(RewardModelResult),
    /// `eurus eval process`: rewards of turns against their verdicts.
    Process(Vec<ProcessReward>),
}

/// What a reward model comes to on a benchmark.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RewardModelResult {
    /// RewardBench.
    RewardBench(RewardBenchReport),
    /// RewardBench 2.
    RewardBench2(RewardBench2Report),
    /// AutoJ, at every threshold up to which a difference is a tie.
    AutoJ(ThresholdSweep),
    /// MT-Bench's votes of people.
    MtBench(MtBenchReport),
    /// Pairs of one's own.
    Pairs(Box<PairsReport>),
}

/// One reward of turns.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ProcessReward {
    /// The scores that it was read from.
    pub file: String,
    /// Which of the numbers there.
    pub field: RewardField,
    /// Turns that were too long to score.
    pub not_scored: usize,
    /// How well it tells right turns from wrong ones.
    pub report: ProcessRewardReport,
}

/// The rewards that `eurus eval process` judged.
#[derive(Deserialize)]
struct ProcessRewards {
    rewards: Vec<ProcessReward>,
}

impl Printed {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let malformed = |problem: String| Error::Malformed {
            path: path.to_owned(),
            problem: format!(
                "{problem}; give what `eurus eval rerank`, `eval rm` or `eval process` of this version prints with --json, or a \
                 metrics.jsonl"
            ),
        };
        let value: Value = json(path).map_err(|error| match error {
            Error::Malformed { problem, .. } => malformed(problem),
            other => other,
        })?;
        let value = words::plain_value(value);
        let has = |fields: &[&str]| fields.iter().all(|field| value.get(field).is_some());
        let reward_model = Self::RewardModel;
        let parsed = if has(&["points"]) {
            parsed(value).map(Self::Reranking)
        } else if has(&["overall", "rewards"]) {
            parsed(value).map(|it| reward_model(RewardModelResult::Pairs(it)))
        } else if has(&["rewards"]) {
            parsed(value).map(|it: ProcessRewards| Self::Process(it.rewards))
        } else if has(&["sections"]) {
            parsed(value).map(|it| reward_model(RewardModelResult::RewardBench(it)))
        } else if has(&["subsets", "average"]) {
            parsed(value).map(|it| reward_model(RewardModelResult::RewardBench2(it)))
        } else if has(&["best_threshold"]) {
            parsed(value).map(|it| reward_model(RewardModelResult::AutoJ(it)))
        } else if has(&["with_ties"]) {
            parsed(value).map(|it| reward_model(RewardModelResult::MtBench(it)))
        } else {
            Err("has none of the fields that are known".to_owned())
        };
        parsed.map_err(malformed)
    }
}

fn parsed<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}
