//! The numbers of actions: each measure of each model.

use serde::Serialize;
use ultrainteract::{NodeId, PreferenceTree};

use super::judged::{against, scale, shade};
use super::scores::{Measure, Scores};
use super::source::Trees;
use super::{Error, Result};

/// The numbers that actions have: each measure of each model.
pub(super) struct Columns {
    pub columns: Vec<Column>,
    /// More than one model has numbers.
    pub several: bool,
}

/// One of the numbers.
pub(super) struct Column {
    model: usize,
    measure: Measure,
    scale: f64,
    /// A number of each node of each tree.
    values: Vec<Vec<Option<f64>>>,
}

impl Columns {
    pub fn new(trees: &Trees, scores: &[Scores]) -> Result<Self> {
        let mut columns = Vec::new();
        for (model, scores) in scores.iter().enumerate() {
            if !trees.trees.is_empty() && !trees.trees.iter().any(|(_, tree)| scores.has(tree)) {
                return Err(Error::NoScores {
                    path: scores.path().to_owned(),
                });
            }
            for measure in scores.measures() {
                let of_trees = trees.trees.iter().map(|(_, tree)| scores.of(tree, measure));
                let values = of_trees.collect::<Result<Vec<_>>>()?;
                columns.push(Column {
                    model,
                    measure,
                    scale: scale(values.iter().flatten().copied().flatten()),
                    values,
                });
            }
        }
        Ok(Self {
            columns,
            several: scores.len() > 1,
        })
    }

    /// What the numbers are called, in their order.
    pub fn names(&self) -> Vec<String> {
        let name = |column: &Column| match self.several {
            true => format!("{} {}", letter(column.model), column.measure.name()),
            false => column.measure.name().to_owned(),
        };
        self.columns.iter().map(name).collect()
    }
}

pub(super) fn letter(model: usize) -> char {
    if model == 0 { 'A' } else { 'B' }
}

/// The numbers of one model.
#[derive(Debug, Serialize)]
pub(super) struct ModelView {
    letter: Option<char>,
    scores: Vec<ScoreView>,
}

#[derive(Debug, Serialize)]
struct ScoreView {
    name: &'static str,
    text: String,
    shade: String,
}

impl Columns {
    /// The names of the numbers of a node that are against its verdict.
    pub fn against(&self, tree: &PreferenceTree, number: usize, node: NodeId) -> Vec<String> {
        let named = self.columns.iter().zip(self.names());
        let disagrees = named.filter(|(column, _)| column.gap(tree, number, node).is_some());
        disagrees.map(|(_, name)| name).collect()
    }

    /// The numbers of a node, by model.
    pub fn of_node(&self, number: usize, node: NodeId) -> Vec<ModelView> {
        let models = self.columns.chunk_by(|a, b| a.model == b.model);
        let views = models.filter_map(|columns| {
            let scores: Vec<ScoreView> = columns
                .iter()
                .filter_map(|column| Some(column.view(column.values[number][node.index()]?)))
                .collect();
            let model = columns.first()?.model;
            (!scores.is_empty()).then_some(ModelView {
                letter: self.several.then(|| letter(model)),
                scores,
            })
        });
        views.collect()
    }
}

impl Column {
    /// How far the number of a node is against its verdict, if it is.
    pub fn gap(&self, tree: &PreferenceTree, number: usize, node: NodeId) -> Option<f64> {
        against(tree, &self.values[number], self.measure, node)
    }

    /// The numbers of a tree.
    pub fn known(&self, number: usize) -> impl Iterator<Item = f64> {
        self.values[number].iter().copied().flatten()
    }

    fn view(&self, value: f64) -> ScoreView {
        let depth = shade(value, self.scale);
        ScoreView {
            name: self.measure.name(),
            text: number_text(value),
            shade: match depth {
                _ if !self.measure.is_signed() => "c".to_owned(),
                0 => "z".to_owned(),
                1.. => format!("p{depth}"),
                _ => format!("n{}", -depth),
            },
        }
    }
}

/// A number with its sign, and as many digits as one compares by.
fn number_text(value: f64) -> String {
    let digits = match value.abs() {
        0.0..0.095 => 3,
        0.0..99.5 => 2,
        _ => 1,
    };
    let size = format!("{:.digits$}", value.abs());
    match value {
        _ if value > 0.0 => format!("+{size}"),
        _ if value < 0.0 => format!("−{size}"),
        _ => size,
    }
}
