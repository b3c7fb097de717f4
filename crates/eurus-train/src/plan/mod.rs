//! Plans the work of a run without a model: the forests of every step and of the reference, as training packs them, what they
//! cost ([`Costs`]), and the memory that they need ([`Memory`]).
//!
//! ```
//! use eurus_train::{TrainingConfig, plan};
//! use token_forest::{Group, TokenTree, TrainingTree};
//!
//! # fn main() -> eurus_train::Result<()> {
//! let mut tree = TokenTree::new(vec![1, 2, 3], false);
//! let (chosen, rejected) = (tree.push(0, vec![4, 5], true), tree.push(0, vec![6], true));
//! let trees = [TrainingTree::new("p1", &tree, vec![Group::pair(chosen, rejected)])?];
//! let settings = TrainingConfig { epochs: 2, ..TrainingConfig::default() };
//! for step in plan::steps(&trees, &settings)? {
//!     let step = step?;
//!     assert_eq!((step.unique_tokens(), step.naive_tokens), (6, 9));
//! }
//! # Ok(())
//! # }
//! ```

mod costs;
mod memory;

pub use costs::{Costs, Machine, Objective, Work};
pub use memory::Memory;

use token_forest::{GroupForest, PackedForest, Pieces, Span, TrainingTree};

use crate::order::step_order;
use crate::reference::GROUP;
use crate::{Error, Result, TrainingConfig};

/// The forests of one optimizer step.
#[derive(Debug, Clone)]
pub struct PlannedStep {
    /// The forests that gradients are computed for.
    pub forests: Vec<PackedForest>,
    /// The forests of mismatched completions, which the policy scores without gradients. Empty unless the trees have any.
    pub mismatched: Vec<PackedForest>,
    /// Tokens that the step costs when every path is a row of its own, as
    /// [`StepProgress::naive_tokens`](crate::StepProgress::naive_tokens).
    pub naive_tokens: usize,
}

impl PlannedStep {
    /// Tokens that go through the model with gradients, as
    /// [`StepProgress::unique_tokens`](crate::StepProgress::unique_tokens).
    pub fn unique_tokens(&self) -> usize {
        self.forests.iter().map(PackedForest::len).sum()
    }
}

/// The steps of any trainer's `train`, packed one by one as they are asked for.
///
/// # Errors
///
/// A setting is outside its range, there are no trees, or a group does not fit in the budget.
pub fn steps<'a>(
    trees: &'a [TrainingTree],
    settings: &'a TrainingConfig,
) -> Result<impl Iterator<Item = Result<PlannedStep>> + 'a> {
    check(trees, settings)?;
    let pieces = Pieces::of_groups(trees, Span::Responses, settings.token_budget)?;
    let mismatched = Pieces::of_mismatched(trees, settings.token_budget)?;
    let order = step_order(&pieces.sizes(), settings);
    Ok(order.into_iter().map(move |members| {
        Ok(PlannedStep {
            forests: forests(pieces.pack(&members)?),
            mismatched: forests(mismatched.pack(&members)?),
            naive_tokens: members.iter().map(|&m| trees[m].naive_tokens()).sum(),
        })
    }))
}

/// The forests of [`ReferenceLogProbs::compute`](crate::ReferenceLogProbs::compute), packed as they are asked for: groups with
/// their mismatched responses, each history once. A cache spares the trees that it has.
///
/// # Errors
///
/// A setting is outside its range, or there are no trees. An item is an error if a group does not fit in the budget.
pub fn reference_forests<'a>(
    trees: &'a [TrainingTree],
    settings: &'a TrainingConfig,
) -> Result<impl Iterator<Item = Result<PackedForest>> + 'a> {
    check(trees, settings)?;
    Ok(trees.chunks(GROUP).flat_map(|group| {
        let all: Vec<usize> = (0..group.len()).collect();
        let pieces = Pieces::of_reference(group, Span::Responses, settings.token_budget);
        match pieces.and_then(|pieces| pieces.pack(&all)) {
            Ok(packed) => forests(packed).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error.into())],
        }
    }))
}

fn forests(packed: Vec<GroupForest>) -> Vec<PackedForest> {
    packed.into_iter().map(|group| group.forest).collect()
}

fn check(trees: &[TrainingTree], settings: &TrainingConfig) -> Result<()> {
    settings.validate()?;
    match trees.is_empty() {
        true => Err(Error::NoData { what: "trees" }),
        false => Ok(()),
    }
}
