//! What the script is given of all trees, without their texts.

use serde::Serialize;
use ultrainteract::{NodeId, PreferenceTree};

use super::columns::{Column, Columns};
use super::text::first_line;
use super::view::{TreeView, ordered_actions};

/// Characters of an instruction in the list of trees.
const TITLE_CHARACTERS: usize = 100;

/// All trees.
#[derive(Debug, Serialize)]
pub(super) struct Index {
    columns: Vec<String>,
    trees: Vec<IndexTree>,
}

#[derive(Debug, Serialize)]
struct IndexTree {
    id: String,
    title: String,
    task: &'static str,
    dataset: String,
    turns: usize,
    /// How many actions are correct, incorrect, unjudged.
    verdicts: [usize; 3],
    columns: Vec<Option<IndexColumn>>,
}

/// One of the numbers in a tree; none of its actions having it, there is none. It stands in the page as a list, and as precise as
/// one sorts by, because there are many: the highest and the lowest, the largest gap between a number and its verdict, and the
/// actions where there is one, in the order of the page.
#[derive(Debug, Serialize)]
struct IndexColumn(f32, f32, f32, Vec<usize>);

impl Index {
    pub fn new(columns: &Columns) -> Self {
        Self {
            columns: columns.names(),
            trees: Vec::new(),
        }
    }

    pub fn push(
        &mut self,
        view: &TreeView<'_>,
        tree: &PreferenceTree,
        columns: &Columns,
        number: usize,
    ) {
        let order: Vec<NodeId> = ordered_actions(tree);
        let of_verdict = |verdict: &str| {
            view.actions
                .iter()
                .filter(|it| it.verdict == verdict)
                .count()
        };
        self.trees.push(IndexTree {
            id: view.id.clone(),
            title: first_line(tree.instruction(), TITLE_CHARACTERS),
            task: view.task,
            dataset: view.dataset.clone(),
            turns: tree.turns(),
            verdicts: ["correct", "incorrect", "unjudged"].map(of_verdict),
            columns: columns
                .columns
                .iter()
                .map(|it| it.index(tree, number, &order))
                .collect(),
        });
    }
}

impl Column {
    fn index(&self, tree: &PreferenceTree, number: usize, order: &[NodeId]) -> Option<IndexColumn> {
        let mut disagreements = Vec::new();
        let mut largest = 0.0f64;
        for &node in order {
            if let Some(gap) = self.gap(tree, number, node) {
                disagreements.push(node.index());
                largest = largest.max(gap);
            }
        }
        Some(IndexColumn(
            self.known(number).reduce(f64::max)? as f32,
            self.known(number).reduce(f64::min)? as f32,
            largest as f32,
            disagreements,
        ))
    }
}
