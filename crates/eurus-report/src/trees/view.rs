//! A tree as its template draws it.

use serde::Serialize;
use ultrainteract::{Action, ActionSource, NodeId, Observation, PreferenceTree, Schema, Verdict};

use super::columns::{Columns, ModelView};
use super::text::{Piece, code, pieces, short};

/// Characters of ids and names.
const MOST_NAME: usize = 200;

/// A tree.
#[derive(Debug, Serialize)]
pub(super) struct TreeView<'a> {
    /// Its place among all trees, from 1.
    place: usize,
    pub id: String,
    pub task: &'static str,
    pub dataset: String,
    ground_truth: Vec<Piece<'a>>,
    instruction: Vec<Piece<'a>>,
    pub actions: Vec<ActionView<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct ActionView<'a> {
    node: usize,
    turn: usize,
    /// Of the accessible tree, where the instruction has level 1.
    level: usize,
    pub verdict: &'static str,
    mark: &'static str,
    schema: &'static str,
    actor: String,
    badges: Vec<&'static str>,
    scores: Vec<ModelView>,
    /// The numbers that are against the verdict.
    against: Vec<String>,
    pieces: Vec<Piece<'a>>,
    observation: Option<ObservationView<'a>>,
}

#[derive(Debug, Serialize)]
struct ObservationView<'a> {
    execution: Vec<Piece<'a>>,
    feedback: Vec<Piece<'a>>,
    critique: Vec<Piece<'a>>,
}

impl<'a> TreeView<'a> {
    pub fn new(place: usize, tree: &'a PreferenceTree, columns: &Columns, number: usize) -> Self {
        let ordered = ordered_actions(tree).into_iter();
        let actions = ordered.filter_map(|id| {
            let action = tree.node(id).action()?;
            Some(ActionView::new(tree, columns, number, id, action))
        });
        Self {
            place: place + 1,
            id: short(tree.id(), MOST_NAME),
            task: tree.task().as_str(),
            dataset: short(tree.dataset(), MOST_NAME),
            ground_truth: tree.ground_truth().map(pieces).unwrap_or_default(),
            instruction: pieces(tree.instruction()),
            actions: actions.collect(),
        }
    }
}

/// The actions of a tree in the order of the page: depth first, and what was expanded last among its siblings, so that these
/// stand together.
pub(super) fn ordered_actions(tree: &PreferenceTree) -> Vec<NodeId> {
    let mut ordered = Vec::new();
    // No recursion: no depth of a tree can exhaust the stack.
    let mut open = answers_last_first(tree, tree.root());
    while let Some(action) = open.pop() {
        ordered.push(action);
        for &observation in tree.children(action) {
            open.extend(answers_last_first(tree, observation));
        }
    }
    ordered
}

fn answers_last_first(tree: &PreferenceTree, prompt: NodeId) -> Vec<NodeId> {
    let is_expanded = |id: NodeId| {
        let mut observations = tree.children(id).iter();
        observations.any(|&it| !tree.children(it).is_empty())
    };
    let mut answers = tree.children(prompt).to_vec();
    answers.sort_by_key(|&id| is_expanded(id));
    answers.reverse();
    answers
}

impl<'a> ActionView<'a> {
    fn new(
        tree: &'a PreferenceTree,
        columns: &Columns,
        number: usize,
        id: NodeId,
        action: &'a Action,
    ) -> Self {
        let turn = tree.turn(id);
        let (verdict, mark) = match action.verdict {
            Verdict::Correct => ("correct", "✓ Correct"),
            Verdict::Incorrect => ("incorrect", "✗ Incorrect"),
            Verdict::Unjudged => ("unjudged", "? Unjudged"),
        };
        let observation = tree
            .children(id)
            .iter()
            .find_map(|&it| tree.node(it).observation());
        Self {
            node: id.index(),
            turn,
            level: turn + 1,
            verdict,
            mark,
            schema: match action.schema {
                Schema::ChainOfThought => "words",
                Schema::ModularProgramming => "program",
            },
            actor: short(&action.actor, MOST_NAME),
            badges: badges(tree, id, action),
            scores: columns.of_node(number, id),
            against: columns.against(tree, number, id),
            pieces: pieces(&action.text),
            observation: observation.map(ObservationView::new),
        }
    }
}

fn badges(tree: &PreferenceTree, id: NodeId, action: &Action) -> Vec<&'static str> {
    let source = match action.source {
        ActionSource::Sampled => None,
        ActionSource::Elicited => Some("elicited"),
        ActionSource::GroundTruth => Some("ground truth"),
    };
    let chosen = tree
        .pairs()
        .iter()
        .any(|pair| pair.chosen == id)
        .then_some("chosen");
    let rejected = tree
        .pairs()
        .iter()
        .any(|pair| pair.rejected == id)
        .then_some("rejected");
    [source, chosen, rejected].into_iter().flatten().collect()
}

impl<'a> ObservationView<'a> {
    fn new(observation: &'a Observation) -> Self {
        Self {
            execution: observation
                .execution
                .as_deref()
                .map(code)
                .unwrap_or_default(),
            feedback: pieces(&observation.feedback),
            critique: observation
                .critique
                .as_deref()
                .map(pieces)
                .unwrap_or_default(),
        }
    }
}
