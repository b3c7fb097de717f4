//! The paper's tables about a data set, for any data set (arXiv 2404.02078, Tables 1 and 7).
//!
//! The definitions, read off the paper's numbers where its text leaves them open:
//!
//! - *Instructions* (Table 7: *prompts*): different problems of a data set, by `parent_id`; in data
//!   without one, by the text of the prompt.
//! - *With interaction*: an action of the tree was observed and answered again, or there is a single
//!   correct action. Without: several correct actions to the instruction, and nothing after them. In
//!   Table 1 the latter have 4.8 to 11 trajectories an instruction, the former one.
//! - *With tool*: `Math_PoT` is, `Math_CoT` is not; logic is if the instruction says `Tool
//!   available`; coding is neither, as in the paper.
//! - *Trajectories*: one for a tree with interaction, the way to its deepest turn, through a correct
//!   action if there is one; one for each correct action of a tree without. `T1`, `T2`, ...: how many
//!   have that many turns.
//! - *Tokens per trajectory* (Table 7: *average length*): tokens of all messages on that way, by the
//!   counter that the caller gives. [`pieces`] needs no tokenizer and is an estimate.
//! - *Pairs*: preferences. *Correct answers*: different correct actions; in SFT rows, responses; in
//!   unpaired rows, those labelled as good.
//! - The line of totals is over all trajectories. (The paper's is the plain mean of its lines.)
//! - *Has answer, has rationale*: whether some tree has a ground truth or an annotated rationale;
//!   for the paper's data sets, by name, what its Table 7 says.

mod render;
mod tables;
mod trajectories;

use std::collections::BTreeMap;

pub use render::Layout;
pub use tables::{Domain, Stats, Table1, Table1Row, Table7, Table7Row};

use crate::example::Example;
use crate::rebuild::Problem;
use crate::spill::{Spill, key_hash};
use crate::{ActionSource, Message, PreferenceTree, Result, Task};
use tables::Cell;
use trajectories::trajectories;

/// Counts the tokens of a text.
pub type TokenCounter<'a> = dyn Fn(&str) -> usize + Sync + 'a;

/// Tokens of a text without a tokenizer: words with the space before them, single digits, runs of
/// punctuation and of white space.
///
/// An estimate that is too low, since rare words and long runs of marks are one piece here. Of the
/// tokens of SmolLM2's vocabulary of 49,152 entries it finds 93% in answers of GPT-4 to MT-Bench,
/// 92% in GSM8K and MBPP, 90% in LeetCode, 89% in HumanEval and 88% in solutions of MATH.
///
/// ```
/// use ultrainteract::stats::pieces;
/// assert_eq!(pieces("Tom has 12 apples."), 6); // `Tom`, ` has`, ` 1`, `2`, ` apples`, `.`
/// ```
pub fn pieces(text: &str) -> usize {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Start,
        Letters,
        Digit,
        Marks,
        Space,
    }
    // A space belongs to the word after it; more of them, or a line break, are a piece.
    let (mut count, mut last, mut space) = (0, Kind::Start, false);
    let mut spaces = 0usize;
    for &byte in text.as_bytes() {
        let kind = match byte {
            b'0'..=b'9' => Kind::Digit,
            b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => Kind::Letters,
            b' ' | b'\t' | b'\n' | b'\r' => Kind::Space,
            _ => Kind::Marks,
        };
        if kind == Kind::Space {
            spaces += 1;
            space |= byte != b' ' || spaces > 1;
        } else {
            count += usize::from(space) + usize::from(kind != last || kind == Kind::Digit);
            (spaces, space) = (0, false);
        }
        last = kind;
    }
    count + usize::from(spaces > 0)
}

/// The contribution of one problem or example to the tables.
#[derive(Debug, Clone)]
pub struct Contribution {
    key: Key,
    problem: u64,
    cell: Cell,
}

/// The key of a line of Table 7: domain, data set and tool, and whether there is interaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    domain: Domain,
    dataset: String,
    tool: Option<bool>,
    interaction: Option<bool>,
}

impl Contribution {
    /// The contributions of a problem's trees; none if the problem has no tree.
    pub fn of_problem(problem: &Problem, tokens: &TokenCounter) -> Vec<Self> {
        Self::of_trees(&problem.trees, tokens)
    }

    /// The contributions of trees of one problem.
    pub fn of_trees(trees: &[PreferenceTree], tokens: &TokenCounter) -> Vec<Self> {
        trees
            .iter()
            .map(|tree| Self::of_tree(tree, tokens))
            .collect()
    }

    fn of_tree(tree: &PreferenceTree, tokens: &TokenCounter) -> Self {
        let actions = || tree.nodes().filter_map(|(_, node)| node.action());
        let (interaction, ways) = trajectories(tree);
        let mut cell = Cell {
            pairs: tree.pairs().len() as u64,
            correct: actions()
                .filter(|action| action.verdict == crate::Verdict::Correct)
                .count() as u64,
            has_answer: tree.ground_truth().is_some(),
            has_rationale: actions().any(|action| action.source == ActionSource::GroundTruth),
            ..Cell::default()
        };
        for way in ways {
            let length = way
                .iter()
                .map(|&node| tokens(&tree.node(node).text()) as u64)
                .sum();
            let turns = way.last().map_or(0, |&node| tree.turn(node));
            cell.add_trajectory(turns, length);
        }
        Self {
            key: Key {
                domain: Domain::of(Some(tree.task())),
                dataset: tree.dataset().to_string(),
                tool: with_tool(Some(tree.task()), tree.instruction()),
                interaction: Some(interaction),
            },
            problem: key_hash(tree.id()),
            cell,
        }
    }

    /// The contributions of an example of any kind. Pair rows belong into trees first
    /// ([`rebuild::problems`](crate::rebuild::problems)); alone, each is a tree of its own here.
    pub fn of_example(example: &Example, tokens: &TokenCounter) -> Vec<Self> {
        let length = |messages: &[Message]| -> u64 {
            messages
                .iter()
                .map(|message| tokens(&message.content) as u64)
                .sum()
        };
        let answers = |messages: &[Message]| {
            messages
                .iter()
                .filter(|message| message.role == crate::Role::Assistant)
                .count()
        };
        let mut cell = Cell::default();
        match example {
            Example::Tree(tree) => return vec![Self::of_tree(tree, tokens)],
            Example::Pair(row) => {
                return crate::rebuild::trees_from_pairs([row])
                    .map(|trees| Self::of_trees(&trees, tokens))
                    .unwrap_or_default();
            }
            Example::Sft(row) => {
                cell.correct = 1;
                let length = tokens(&row.instruction) + tokens(&row.response);
                cell.add_trajectory(1, length as u64);
            }
            Example::Conversation(row) => {
                cell.add_trajectory(answers(&row.messages), length(&row.messages));
            }
            Example::Completion(row) => {
                let turns = answers(&row.prompt) + answers(&row.completion);
                cell.add_trajectory(turns, length(&row.prompt) + length(&row.completion));
            }
            Example::Unpaired(row) => {
                cell.correct = u64::from(row.label);
                let turns = answers(&row.prompt) + answers(&row.completion);
                cell.add_trajectory(turns, length(&row.prompt) + length(&row.completion));
            }
            Example::Preference(row) => {
                cell.pairs = 1;
                let turns = answers(&row.prompt) + answers(&row.chosen);
                cell.add_trajectory(turns, length(&row.prompt) + length(&row.chosen));
            }
            Example::Ranking(ranking) => {
                cell.pairs = ranking.preferences().len() as u64;
                let instruction = tokens(&ranking.instruction) as u64;
                for completion in &ranking.completions {
                    cell.add_trajectory(1, instruction + tokens(&completion.response) as u64);
                }
            }
        }
        let origin = example.origin();
        let instruction = example.instruction();
        vec![Self {
            key: Key {
                domain: Domain::of(origin.task),
                dataset: origin.dataset.unwrap_or_else(|| "-".to_string()),
                tool: with_tool(origin.task, instruction),
                interaction: None,
            },
            problem: match &origin.parent_id {
                Some(parent_id) => key_hash(parent_id.as_str()),
                None => key_hash(instruction),
            },
            cell,
        }]
    }
}

fn with_tool(task: Option<Task>, instruction: &str) -> Option<bool> {
    match task? {
        Task::MathPot => Some(true),
        Task::MathCot => Some(false),
        Task::Logic => Some(instruction.contains("Tool available")),
        Task::Coding => None,
    }
}

/// Adds contributions up. Memory does not grow with their number.
///
/// ```
/// use ultrainteract::stats::{Contribution, Layout, StatsBuilder, pieces};
/// use ultrainteract::{PreferenceTree, Task};
///
/// let tree = PreferenceTree::new("p1", Task::MathCot, "toy", "What is 1 + 1?")?;
/// let mut builder = StatsBuilder::default();
/// for contribution in Contribution::of_trees(&[tree], &pieces) {
///     builder.add(contribution)?;
/// }
/// let stats = builder.finish()?;
/// assert_eq!(stats.table1().total.instructions, 1);
/// println!("{}", stats.render(Layout::Markdown));
/// # Ok::<(), ultrainteract::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct StatsBuilder {
    cells: BTreeMap<Key, (u64, Cell)>,
    problems: Spill,
}

impl StatsBuilder {
    /// Adds one.
    ///
    /// # Errors
    ///
    /// Temporary files cannot be written.
    pub fn add(&mut self, contribution: Contribution) -> Result<()> {
        let next = self.cells.len() as u64;
        let (number, cell) = self
            .cells
            .entry(contribution.key)
            .or_insert_with(|| (next, Cell::default()));
        cell.add(&contribution.cell);
        self.problems.push(contribution.problem, *number)
    }

    /// The tables.
    ///
    /// # Errors
    ///
    /// Temporary files cannot be read.
    pub fn finish(self) -> Result<Stats> {
        let mut instructions = vec![0u64; self.cells.len()];
        let mut sorted = self.problems.finish()?;
        let mut last = None;
        while let Some(entry) = sorted.next()? {
            if last != Some(entry) {
                last = Some(entry);
                instructions[entry.1 as usize] += 1;
            }
        }
        let cells = self
            .cells
            .into_iter()
            .map(|(key, (number, mut cell))| {
                cell.instructions = instructions[number as usize];
                (key, cell)
            })
            .collect();
        Ok(Stats { cells })
    }
}
