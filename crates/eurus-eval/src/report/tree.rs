//! From a preference tree to the rows of boxes that its template draws.
//!
//! Actions to the same history stand side by side; what follows an action stands below it. Turns
//! come one under the other, in depth-first order, so that a tree of five turns stays as wide as
//! its widest turn and fits a page.

use std::collections::BTreeSet;

use serde::Serialize;
use ultrainteract::{Action, ActionSource, NodeId, Observation, PreferenceTree, Schema, Verdict};

use super::markup::{Block, blocks};

/// Width that a column needs to be read, in units of the font size.
const COLUMN_REM: usize = 17;

#[derive(Debug, Serialize)]
pub(super) struct TreeView {
    number: usize,
    id: String,
    task: &'static str,
    dataset: String,
    ground_truth: Option<String>,
    instruction: Vec<Block>,
    caption: String,
    /// Actions of the widest turn.
    widest: usize,
    turns: Vec<TurnView>,
}

/// Actions to one history.
#[derive(Debug, Serialize)]
struct TurnView {
    turn: usize,
    /// The action that leads here does not stand right above.
    detached: bool,
    /// Label of the action that leads here.
    after: String,
    /// The branches start on the left half, so the turn's name is set on the right.
    from_left: bool,
    /// Which of these actions form preference pairs, in words.
    pairs: String,
    /// One curve per action, in a square of 100 that is stretched over the gap between rows.
    branches: Vec<String>,
    actions: Vec<ActionView>,
}

#[derive(Debug, Serialize)]
struct ActionView {
    label: String,
    verdict: &'static str,
    mark: &'static str,
    ground_truth: bool,
    schema: &'static str,
    actor: String,
    blocks: Vec<Block>,
    observation: Option<ObservationView>,
    continues: bool,
}

#[derive(Debug, Serialize)]
struct ObservationView {
    execution: Option<String>,
    feedback: Vec<Block>,
    critique: Vec<Block>,
}

/// Where the rows come together; labels count the actions of a turn over the whole tree.
struct Walk<'a> {
    tree: &'a PreferenceTree,
    labels: Vec<Option<String>>,
    turns: Vec<TurnView>,
}

/// The end of a branch from which further turns grow.
struct Growth {
    parent: NodeId,
    label: String,
    percent: f64,
    detached: bool,
}

impl TreeView {
    /// Style rules for the numbers of columns of these trees. The page's policy allows no style at an element itself.
    pub fn rules<'a>(trees: impl Iterator<Item = &'a Self>) -> String {
        let columns = |tree: &'a Self| tree.turns.iter().map(|turn| turn.actions.len());
        let counts: BTreeSet<usize> = trees
            .flat_map(|tree| columns(tree).chain([tree.widest]))
            .collect();
        let rule = |count: &usize| {
            let width = count * COLUMN_REM;
            format!(
                ".columns-{count} {{ --columns: {count}; }}\n.wide-{count} {{ min-width: {width}rem; }}\n"
            )
        };
        counts.iter().map(rule).collect()
    }

    pub fn new(tree: &PreferenceTree, number: usize) -> Self {
        let mut walk = Walk {
            tree,
            labels: labels(tree),
            turns: Vec::new(),
        };
        walk.grow();
        let widest = walk
            .turns
            .iter()
            .map(|turn| turn.actions.len())
            .max()
            .unwrap_or(1);
        Self {
            number,
            id: tree.id().to_owned(),
            task: tree.task().as_str(),
            dataset: tree.dataset().to_owned(),
            ground_truth: tree.ground_truth().map(str::to_owned),
            instruction: blocks(tree.instruction()),
            caption: caption(tree),
            widest,
            turns: walk.turns,
        }
    }
}

impl Walk<'_> {
    /// Depth first and without recursion, so that no depth of a tree can exhaust the stack.
    fn grow(&mut self) {
        let root = Growth {
            parent: self.tree.root(),
            label: String::new(),
            percent: 50.0,
            detached: false,
        };
        let mut open = vec![root];
        while let Some(growth) = open.pop() {
            let actions: Vec<(NodeId, &Action)> = self.actions_after(growth.parent);
            if actions.is_empty() {
                continue;
            }
            let centre = |index: usize| (index as f64 + 0.5) / actions.len() as f64 * 100.0;
            let mut views = Vec::new();
            let mut continuations: Vec<Growth> = Vec::new();
            for (index, &(id, action)) in actions.iter().enumerate() {
                let label = self.label(id);
                let observed = self.observation_after(id);
                let continued = observed
                    .map(|(node, _)| node)
                    .filter(|node| !self.actions_after(*node).is_empty());
                if let Some(parent) = continued {
                    continuations.push(Growth {
                        parent,
                        label: label.clone(),
                        percent: centre(index),
                        detached: !continuations.is_empty(),
                    });
                }
                let directly = continued.is_some() && continuations.len() == 1;
                views.push(ActionView::new(
                    action,
                    label,
                    observed.map(|(_, observation)| observation),
                    directly,
                ));
            }
            self.turns.push(TurnView {
                turn: self.tree.turn(actions[0].0),
                detached: growth.detached,
                from_left: growth.percent < 50.0,
                after: growth.label,
                pairs: self.pairs(growth.parent),
                branches: (0..actions.len())
                    .map(|index| branch(growth.percent, centre(index)))
                    .collect(),
                actions: views,
            });
            open.extend(continuations.into_iter().rev());
        }
    }

    fn actions_after(&self, parent: NodeId) -> Vec<(NodeId, &Action)> {
        let children = self.tree.children(parent).iter();
        children
            .filter_map(|&id| Some((id, self.tree.node(id).action()?)))
            .collect()
    }

    fn observation_after(&self, action: NodeId) -> Option<(NodeId, &Observation)> {
        self.tree
            .children(action)
            .iter()
            .find_map(|&id| Some((id, self.tree.node(id).observation()?)))
    }

    fn label(&self, id: NodeId) -> String {
        self.labels
            .get(id.index())
            .cloned()
            .flatten()
            .unwrap_or_default()
    }

    /// "pair: 1.1 over 1.2", or how many pairs there are.
    fn pairs(&self, prompt: NodeId) -> String {
        let pairs: Vec<String> = self
            .tree
            .pairs()
            .iter()
            .filter(|pair| pair.prompt == prompt)
            .map(|pair| {
                format!(
                    "{} over {}",
                    self.label(pair.chosen),
                    self.label(pair.rejected)
                )
            })
            .collect();
        match pairs.len() {
            0 => String::new(),
            1 => format!("pair: {}", pairs[0]),
            2 | 3 => format!("pairs: {}", pairs.join(", ")),
            many => format!("{many} pairs"),
        }
    }
}

impl ActionView {
    fn new(
        action: &Action,
        label: String,
        observation: Option<&Observation>,
        continues: bool,
    ) -> Self {
        let (verdict, mark) = match action.verdict {
            Verdict::Correct => ("correct", "✓ Correct"),
            Verdict::Incorrect => ("incorrect", "✗ Incorrect"),
            Verdict::Unjudged => ("unjudged", "? Not judged"),
        };
        Self {
            label,
            verdict,
            mark,
            ground_truth: action.source == ActionSource::GroundTruth,
            schema: match action.schema {
                Schema::ChainOfThought => "chain of thought",
                Schema::ModularProgramming => "modular program",
            },
            actor: action.actor.clone(),
            blocks: blocks(&action.text),
            observation: observation.map(ObservationView::new),
            continues,
        }
    }
}

impl ObservationView {
    fn new(observation: &Observation) -> Self {
        Self {
            execution: observation
                .execution
                .clone()
                .map(|output| format!("Out: {output}")),
            feedback: blocks(&observation.feedback),
            critique: observation
                .critique
                .as_deref()
                .map(blocks)
                .unwrap_or_default(),
        }
    }
}

/// "turn.number" for every action, numbered within its turn.
fn labels(tree: &PreferenceTree) -> Vec<Option<String>> {
    let mut counts: Vec<usize> = Vec::new();
    let mut labels = vec![None; tree.nodes().len()];
    let mut open = vec![tree.root()];
    while let Some(id) = open.pop() {
        if tree.node(id).action().is_some() {
            let turn = tree.turn(id);
            if counts.len() <= turn {
                counts.resize(turn + 1, 0);
            }
            counts[turn] += 1;
            labels[id.index()] = Some(format!("{turn}.{}", counts[turn]));
        }
        open.extend(tree.children(id).iter().rev().copied());
    }
    labels
}

/// A curve from the middle above to the middle of a column below.
fn branch(from: f64, to: f64) -> String {
    format!("M{from:.2} 0C{from:.2} 65 {to:.2} 35 {to:.2} 100")
}

fn caption(tree: &PreferenceTree) -> String {
    let count =
        |number: usize, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    let actions = tree
        .nodes()
        .filter(|(_, node)| node.action().is_some())
        .count();
    let mut text = format!(
        "{}: {}, {}, {}.",
        tree.id(),
        count(tree.turns(), "turn"),
        count(actions, "action"),
        count(tree.pairs().len(), "preference pair"),
    );
    let fallback = |action: &Action| action.source == ActionSource::GroundTruth;
    if tree
        .nodes()
        .filter_map(|(_, node)| node.action())
        .any(fallback)
    {
        text.push_str(
            " The ground-truth rationale stands in where no sampled action was correct (double border).",
        );
    }
    text
}
