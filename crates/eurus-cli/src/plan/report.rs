//! A plan as a table and as JSON.

use std::time::Duration;

use eurus::eval::{Table, terminal};
use eurus::forest::rows::RowReport;
use eurus::forest::{LengthCounts, PackedForest};
use eurus::train::plan::{Memory, PlannedStep};
use indicatif::{FormattedDuration, HumanBytes, HumanCount};
use serde::Serialize;

use super::time::Time;

/// The report of a plan: rows, steps, memory and time.
#[derive(Debug, Serialize)]
pub struct Report {
    pub command: &'static str,
    /// Counts of rows that were read, used and dropped.
    pub rows: RowReport,
    /// Rows beyond the limit of length, by what became of them.
    pub over_long: LengthCounts,
    pub trees: usize,
    /// The noun for the examples: pairs, say.
    #[serde(skip)]
    pub example: &'static str,
    pub examples: usize,
    pub run: Steps,
    pub memory: Memory,
    pub time: Time,
}

/// The steps of the run and the forests in them, summed up over all epochs.
#[derive(Debug, Serialize)]
pub struct Steps {
    steps: usize,
    unique_tokens: usize,
    /// Tokens with every pair as two rows, or every response as one.
    naive_tokens: usize,
    target_tokens: usize,
    /// Unique tokens that the reference scores before the first step.
    pub reference_tokens: usize,
    forests: usize,
    /// Tokens of the largest forest.
    largest_forest: usize,
    token_budget: usize,
    /// Unique tokens over the room of all forests.
    utilization: f64,
}

impl Steps {
    /// No step yet.
    pub fn new(token_budget: usize) -> Self {
        Self {
            steps: 0,
            unique_tokens: 0,
            naive_tokens: 0,
            target_tokens: 0,
            reference_tokens: 0,
            forests: 0,
            largest_forest: 0,
            token_budget,
            utilization: 0.0,
        }
    }

    /// Adds a step.
    pub fn add(&mut self, step: &PlannedStep) {
        self.steps += 1;
        self.unique_tokens += step.unique_tokens();
        self.naive_tokens += step.naive_tokens;
        self.forests += step.forests.len();
        for forest in &step.forests {
            self.target_tokens += forest.targets.len();
            self.largest_forest = self.largest_forest.max(PackedForest::len(forest));
        }
        let room = (self.forests * self.token_budget).max(1);
        self.utilization = self.unique_tokens as f64 / room as f64;
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
        let (steps, memory, time) = (&self.run, &self.memory, &self.time);
        let ratio = steps.naive_tokens as f64 / steps.unique_tokens.max(1) as f64;
        let seconds = Duration::try_from_secs_f64(time.seconds).unwrap_or(Duration::MAX);
        let mut rows = vec![
            ("trees", count(self.trees), String::new()),
            (self.example, count(self.examples), String::new()),
            (
                "optimizer steps",
                count(steps.steps),
                "of all epochs, as what follows".to_owned(),
            ),
            (
                "unique tokens",
                count(steps.unique_tokens),
                "each history once for all that share it".to_owned(),
            ),
            (
                "naive tokens",
                count(steps.naive_tokens),
                format!("{ratio:.2} times as many: every path a row of its own"),
            ),
            (
                "target tokens",
                count(steps.target_tokens),
                "tokens of actions".to_owned(),
            ),
        ];
        if steps.reference_tokens > 0 {
            let mut about = "scored once before the first step, unless a cache has them".to_owned();
            if memory.reference > 0 {
                let weights = bytes(memory.reference);
                about.push_str(&format!(
                    "; weights of {weights}, gone when training begins"
                ));
            }
            rows.push(("reference tokens", count(steps.reference_tokens), about));
        }
        rows.extend([
            (
                "forests",
                count(steps.forests),
                format!(
                    "{:.1}% full; the largest has {} of {} tokens",
                    100.0 * steps.utilization,
                    count(steps.largest_forest),
                    count(steps.token_budget)
                ),
            ),
            (
                "parameters",
                count(memory.parameters),
                format!("{} of them trained", count(memory.trained_parameters)),
            ),
            (
                "peak memory",
                bytes(memory.total),
                format!(
                    "weights {}, moments {}, gradients {}, activations {}, logits {}",
                    bytes(memory.weights),
                    bytes(memory.moments),
                    bytes(memory.gradients),
                    bytes(memory.activations),
                    bytes(memory.logits)
                ),
            ),
        ]);
        if memory.evaluation > 0 {
            rows.push((
                "evaluation",
                bytes(memory.evaluation),
                "for the answers of --eval-samples, if none ends before --eval-max-tokens or the model's context; \
                 between steps, beside weights and moments"
                    .to_owned(),
            ));
        }
        rows.extend([(
            "time",
            FormattedDuration(seconds).to_string(),
            format!(
                "{:.3e} operations at {:.0} % of the {:.1} GFLOP/s that matrix products reach",
                time.flops,
                100.0 * time.assumed_share,
                time.matmul_flops_per_second / 1e9
            ),
        )]);
        let table =
            Table::new(format!("plan of `eurus {}`", self.command)).headers(["", "", "about"]);
        let table = rows
            .into_iter()
            .fold(table, |table, (what, number, about)| {
                table.row([what.to_owned(), number, about])
            });
        terminal::render(&table.note(
            "Memory and time are estimates, without loading, held-out losses, snapshots and writing the result.",
        ))
    }
}
