//! The two tables.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Key;
use super::render::{self, Layout};
use crate::Task;

/// The paper's tasks, with mathematics as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Domain {
    /// `Math_CoT` and `Math_PoT`.
    Math,
    /// `Coding`.
    Coding,
    /// `Logic`.
    Logic,
    /// Data without a task.
    Other,
}

impl Domain {
    pub(super) fn of(task: Option<Task>) -> Self {
        match task {
            Some(Task::MathCot | Task::MathPot) => Domain::Math,
            Some(Task::Coding) => Domain::Coding,
            Some(Task::Logic) => Domain::Logic,
            None => Domain::Other,
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Domain::Math => "Math",
            Domain::Coding => "Coding",
            Domain::Logic => "Logic",
            Domain::Other => "Other",
        })
    }
}

/// Sums over examples of one kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cell {
    pub instructions: u64,
    /// Trajectories by turns: the first entry is for none.
    pub trajectories: Vec<u64>,
    pub tokens: u64,
    pub pairs: u64,
    pub correct: u64,
    pub has_answer: bool,
    pub has_rationale: bool,
}

impl Cell {
    pub fn add_trajectory(&mut self, turns: usize, tokens: u64) {
        if self.trajectories.len() <= turns {
            self.trajectories.resize(turns + 1, 0);
        }
        self.trajectories[turns] += 1;
        self.tokens += tokens;
    }

    pub fn add(&mut self, other: &Cell) {
        if self.trajectories.len() < other.trajectories.len() {
            self.trajectories.resize(other.trajectories.len(), 0);
        }
        for (sum, count) in self.trajectories.iter_mut().zip(&other.trajectories) {
            *sum += count;
        }
        self.instructions += other.instructions;
        self.tokens += other.tokens;
        self.pairs += other.pairs;
        self.correct += other.correct;
        self.has_answer |= other.has_answer;
        self.has_rationale |= other.has_rationale;
    }

    fn trajectory_count(&self) -> u64 {
        self.trajectories.iter().sum()
    }

    fn tokens_per_trajectory(&self) -> f64 {
        ratio(self.tokens, self.trajectory_count())
    }
}

fn ratio(sum: u64, count: u64) -> f64 {
    match count {
        0 => 0.0,
        count => sum as f64 / count as f64,
    }
}

/// Statistics of a data set.
#[derive(Debug, Clone)]
pub struct Stats {
    pub(super) cells: BTreeMap<Key, Cell>,
}

/// Table 1: by task, interaction and tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table1 {
    /// Its lines.
    pub rows: Vec<Table1Row>,
    /// The line of totals.
    pub total: Table1Row,
}

/// A line of [`Table1`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table1Row {
    /// Task; none in the line of totals.
    pub task: Option<Domain>,
    /// Whether the trees have interaction, where that can be said.
    pub interaction: Option<bool>,
    /// Whether there is a tool, where that can be said.
    pub tool: Option<bool>,
    /// Different instructions.
    pub instructions: u64,
    /// Trajectories of one turn, two turns, ...
    pub turns: Vec<u64>,
    /// Mean tokens of a trajectory.
    pub tokens_per_trajectory: f64,
    /// Trajectories by instructions.
    pub trajectories_per_instruction: f64,
    /// Preference pairs.
    pub pairs: u64,
    /// Correct answers.
    pub correct_answers: u64,
}

/// Table 7: by task, data set and tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table7 {
    /// Its lines.
    pub rows: Vec<Table7Row>,
}

/// A line of [`Table7`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table7Row {
    /// Task.
    pub task: Domain,
    /// Data set.
    pub dataset: String,
    /// Whether there is a tool, where that can be said.
    pub tool: Option<bool>,
    /// Different prompts.
    pub prompts: u64,
    /// Preference pairs.
    pub pairs: u64,
    /// Correct answers.
    pub correct_answers: u64,
    /// Mean tokens of a trajectory.
    pub average_length: f64,
    /// Whether people wrote answers, where that is known.
    pub has_answer: Option<bool>,
    /// Whether people wrote rationales, where that is known.
    pub has_rationale: Option<bool>,
}

impl Stats {
    /// The paper's Table 1 for this data.
    pub fn table1(&self) -> Table1 {
        let mut groups: BTreeMap<_, Cell> = BTreeMap::new();
        let mut all = Cell::default();
        for (key, cell) in &self.cells {
            // The paper has yes before no, and tools before interaction.
            let flag = |flag: Option<bool>| flag.map(|flag| !flag);
            groups
                .entry((key.domain, flag(key.tool), flag(key.interaction)))
                .or_default()
                .add(cell);
            all.add(cell);
        }
        let rows = groups
            .into_iter()
            .map(|((domain, tool, interaction), cell)| {
                let no = |flag: Option<bool>| flag.map(|flag| !flag);
                table1_row(Some(domain), no(interaction), no(tool), &cell)
            })
            .collect();
        Table1 {
            rows,
            total: table1_row(None, None, None, &all),
        }
    }

    /// The paper's Table 7 for this data.
    pub fn table7(&self) -> Table7 {
        let mut groups: BTreeMap<_, Cell> = BTreeMap::new();
        for (key, cell) in &self.cells {
            groups
                .entry((key.domain, key.dataset.as_str(), key.tool.map(|tool| !tool)))
                .or_default()
                .add(cell);
        }
        let rows = groups
            .into_iter()
            .map(|((domain, dataset, tool), cell)| {
                let known = annotation(dataset);
                Table7Row {
                    task: domain,
                    dataset: dataset.to_string(),
                    tool: tool.map(|tool| !tool),
                    prompts: cell.instructions,
                    pairs: cell.pairs,
                    correct_answers: cell.correct,
                    average_length: cell.tokens_per_trajectory(),
                    has_answer: cell
                        .has_answer
                        .then_some(true)
                        .or(known.map(|(answer, _)| answer)),
                    has_rationale: cell
                        .has_rationale
                        .then_some(true)
                        .or(known.map(|(_, rationale)| rationale)),
                }
            })
            .collect();
        Table7 { rows }
    }

    /// Both tables, laid out.
    pub fn render(&self, layout: Layout) -> String {
        render::both(&self.table1(), &self.table7(), layout)
    }
}

fn table1_row(
    task: Option<Domain>,
    interaction: Option<bool>,
    tool: Option<bool>,
    cell: &Cell,
) -> Table1Row {
    Table1Row {
        task,
        interaction,
        tool,
        instructions: cell.instructions,
        turns: cell.trajectories.iter().skip(1).copied().collect(),
        tokens_per_trajectory: cell.tokens_per_trajectory(),
        trajectories_per_instruction: ratio(cell.trajectory_count(), cell.instructions),
        pairs: cell.pairs,
        correct_answers: cell.correct,
    }
}

/// Whether people wrote answers and rationales for a data set, as the paper's Table 7 says.
fn annotation(dataset: &str) -> Option<(bool, bool)> {
    let name: String = dataset
        .chars()
        .filter(|c| c.is_alphanumeric())
        .map(|c| c.to_ascii_lowercase())
        .collect();
    match name.as_str() {
        "gsm8k" | "math" | "mathqa" | "codecontest" | "codecontests" | "taco" => Some((true, true)),
        "numglue" | "tabmwp" | "wikitable" | "wikitablequestions" | "reclor" | "hotpotqa"
        | "strategyqa" => Some((true, false)),
        "magicoder" | "magicoderevol" | "magicoderevolinstruct" => Some((false, false)),
        _ => None,
    }
}
