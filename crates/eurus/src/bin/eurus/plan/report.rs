//! A plan as a table and as JSON.

use anyhow::Result;
use eurus::eval::{Table, terminal};
use eurus::forest::{LengthCounts, PackedForest};
use eurus::train::plan::PlannedStep;
use indicatif::{FormattedDuration, HumanBytes, HumanCount};
use serde::Serialize;

use super::memory::Memory;
use super::time::Time;

/// What a plan says.
#[derive(Debug, Serialize)]
pub struct Report {
    pub command: &'static str,
    /// What was read and what became of it.
    pub rows: serde_json::Value,
    pub over_long: OverLongRows,
    pub data: Data,
    pub run: Forests,
    pub memory: Memory,
    pub time: Time,
}

/// Rows beyond the limit of length, by what became of them.
#[derive(Debug, Serialize)]
pub struct OverLongRows {
    cut: usize,
    dropped_for_history: usize,
    dropped_for_response: usize,
}

impl From<LengthCounts> for OverLongRows {
    fn from(counts: LengthCounts) -> Self {
        Self {
            cut: counts.cut,
            dropped_for_history: counts.dropped_for_history,
            dropped_for_response: counts.dropped_for_response,
        }
    }
}

/// What one pass over the data holds.
#[derive(Debug, Serialize)]
pub struct Data {
    trees: usize,
    /// Pairs, or responses to imitate.
    examples: usize,
    unique_tokens: usize,
    /// Tokens with every pair as two rows, or every response as one.
    naive_tokens: usize,
    /// Naive tokens for each unique one.
    ratio: f64,
    target_tokens: usize,
}

impl Data {
    /// Sums up the steps of one pass.
    pub fn new(
        trees: usize,
        examples: usize,
        steps: impl Iterator<Item = eurus::train::Result<PlannedStep>>,
    ) -> Result<Self> {
        let mut data = Self {
            trees,
            examples,
            unique_tokens: 0,
            naive_tokens: 0,
            ratio: 0.0,
            target_tokens: 0,
        };
        for step in steps {
            let step = step?;
            data.unique_tokens += step.unique_tokens();
            data.naive_tokens += step.naive_tokens;
            data.target_tokens += targets(&step);
        }
        data.ratio = data.naive_tokens as f64 / data.unique_tokens.max(1) as f64;
        Ok(data)
    }
}

fn targets(step: &PlannedStep) -> usize {
    step.forests.iter().map(|forest| forest.targets.len()).sum()
}

/// The steps of the run and the forests in them.
#[derive(Debug, Serialize)]
pub struct Forests {
    steps: usize,
    unique_tokens: usize,
    naive_tokens: usize,
    forests: usize,
    /// Tokens of the largest forest.
    largest_forest: usize,
    token_budget: usize,
    /// Unique tokens over the room of all forests.
    utilisation: f64,
}

impl Forests {
    /// No step yet.
    pub fn new(token_budget: usize) -> Self {
        Self {
            steps: 0,
            unique_tokens: 0,
            naive_tokens: 0,
            forests: 0,
            largest_forest: 0,
            token_budget,
            utilisation: 0.0,
        }
    }

    /// Adds a step.
    pub fn add(&mut self, step: &PlannedStep) {
        self.steps += 1;
        self.unique_tokens += step.unique_tokens();
        self.naive_tokens += step.naive_tokens;
        self.forests += step.forests.len();
        let largest = step.forests.iter().map(PackedForest::len).max();
        self.largest_forest = self.largest_forest.max(largest.unwrap_or(0));
        let room = (self.forests * self.token_budget).max(1);
        self.utilisation = self.unique_tokens as f64 / room as f64;
    }
}

fn count(number: usize) -> String {
    HumanCount(number as u64).to_string()
}

fn bytes(number: usize) -> String {
    HumanBytes(number as u64).to_string()
}

impl Report {
    /// The plan for a terminal.
    pub fn table(&self) -> String {
        let (data, run, memory, time) = (&self.data, &self.run, &self.memory, &self.time);
        let examples = match self.command {
            "sft" => "responses",
            _ => "pairs",
        };
        let table = Table::new(format!("plan of `eurus {}`", self.command))
            .headers(["", "", "about"])
            .row(["trees", &count(data.trees), ""])
            .row([examples, &count(data.examples), ""])
            .row([
                "unique tokens".to_owned(),
                count(data.unique_tokens),
                "one pass over the data, each history once".to_owned(),
            ])
            .row([
                "naive tokens".to_owned(),
                count(data.naive_tokens),
                format!(
                    "{:.2} times as many: every path a row of its own",
                    data.ratio
                ),
            ])
            .row([
                "target tokens".to_owned(),
                count(data.target_tokens),
                "tokens of actions".to_owned(),
            ])
            .row([
                "optimizer steps".to_owned(),
                count(run.steps),
                format!("{} unique tokens in all", count(run.unique_tokens)),
            ])
            .row([
                "forests".to_owned(),
                count(run.forests),
                format!(
                    "{:.1}% full; the largest has {} of {} tokens",
                    100.0 * run.utilisation,
                    count(run.largest_forest),
                    count(run.token_budget)
                ),
            ])
            .row([
                "parameters".to_owned(),
                count(memory.parameters),
                format!("{} of them trained", count(memory.trained_parameters)),
            ])
            .row([
                "peak memory".to_owned(),
                bytes(memory.total),
                format!(
                    "weights {}, moments {}, gradients {}, activations {}, logits {}",
                    bytes(memory.weights),
                    bytes(memory.moments),
                    bytes(memory.gradients),
                    bytes(memory.activations),
                    bytes(memory.logits)
                ),
            ])
            .row([
                "time".to_owned(),
                FormattedDuration(std::time::Duration::from_secs_f64(time.seconds.max(0.0))).to_string(),
                format!(
                    "{:.3e} operations at {:.0} % of the {:.1} GFLOP/s that matrix products reach on {}",
                    time.flops,
                    100.0 * time.assumed_share,
                    time.matmul_flops_per_second / 1e9,
                    time.device
                ),
            ])
            .note("Memory and time are estimates; loading the model and writing the result are not in them.")
            .note("Nothing was loaded, trained or written.");
        terminal::render(&table)
    }
}
