//! The trees of a step, what their groups come to, and numbers kept to tell which group is not finite.

use std::iter::Sum;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use token_forest::{GroupForest, PackedGroup, Pieces, TrainingTree};

use crate::log_probs::node_target_counts;
use crate::{Error, Result};

/// The trees of a step that a rank computes, packed.
pub(crate) struct PackedStep<'a> {
    pub trees: Vec<&'a TrainingTree>,
    /// An error is told to the other ranks, which wait for this one.
    pub forests: Result<Vec<GroupForest>>,
}

impl<'a> PackedStep<'a> {
    /// Some of the trees that pieces were cut from, by index.
    pub fn new(trees: &'a [TrainingTree], pieces: &Pieces<'_>, members: &[usize]) -> Self {
        Self {
            trees: members.iter().map(|&member| &trees[member]).collect(),
            forests: pieces.pack(members).map_err(Error::from),
        }
    }

    pub fn naive_tokens(&self) -> usize {
        self.trees.iter().map(|tree| tree.naive_tokens()).sum()
    }
}

/// Numbers of a forest's groups.
pub(crate) struct GroupTerms {
    pub groups: Vec<PackedGroup>,
    /// In the order in which they come about: name and values `[groups]`.
    pub terms: Vec<(&'static str, Tensor<1>)>,
}

impl GroupTerms {
    /// Names the term that went wrong first in each group. A group is called `noun`, `id` names a tree.
    pub fn name<'a>(self, noun: &str, id: impl Fn(usize) -> &'a str) -> Vec<String> {
        let mut wrong: Vec<Option<String>> = vec![None; self.groups.len()];
        for (name, values) in self.terms {
            let values = values.into_data();
            for ((value, group), wrong) in values.iter::<f32>().zip(&self.groups).zip(&mut wrong) {
                if !value.is_finite() && wrong.is_none() {
                    let (id, index) = (id(group.tree), group.index);
                    *wrong = Some(format!("{name} in {noun} {index} of `{id}` is {value}"));
                }
            }
        }
        wrong.into_iter().flatten().collect()
    }
}

/// Totals of a step's groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct GroupCounts {
    pub groups: usize,
    /// Target tokens of the groups' first responses.
    pub first_tokens: usize,
    /// Tokens of the forests.
    pub unique_tokens: usize,
}

impl GroupCounts {
    /// Those of some forests.
    pub fn of(forests: &[GroupForest]) -> Self {
        let of_forest = |packed: &GroupForest| {
            let counts = node_target_counts(&packed.forest);
            Self {
                groups: packed.groups.len(),
                first_tokens: packed
                    .column(0)
                    .map(|node| counts[node as usize] as usize)
                    .sum(),
                unique_tokens: packed.forest.len(),
            }
        };
        forests.iter().map(of_forest).sum()
    }
}

impl Sum for GroupCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |a, b| Self {
            groups: a.groups + b.groups,
            first_tokens: a.first_tokens + b.first_tokens,
            unique_tokens: a.unique_tokens + b.unique_tokens,
        })
    }
}
