//! What a run will put through its model, found without one: the forests of every step and of the reference, as training
//! packs them.
//!
//! ```
//! use eurus_train::{NodePair, Optimization, PairedTree, plan};
//! use token_forest::TokenTree;
//!
//! # fn main() -> eurus_train::Result<()> {
//! let mut tree = TokenTree::new(vec![1, 2, 3], false);
//! let (chosen, rejected) = (tree.push(0, vec![4, 5], true), tree.push(0, vec![6], true));
//! let trees = [PairedTree::new("p1", &tree, &[NodePair { chosen, rejected }])?];
//! let settings = Optimization { epochs: 2, ..Optimization::default() };
//! for step in plan::response_steps(&trees, &settings)? {
//!     let step = step?;
//!     assert_eq!((step.unique_tokens(), step.naive_tokens), (6, 9));
//! }
//! # Ok(())
//! # }
//! ```

use token_forest::{PackedForest, TokenTree};

use crate::data::{ResponseTree, SftTree, step_order};
use crate::packing::{
    GroupForest, pack_mismatched, pack_reference, pack_responses, pack_trees, response_pieces,
    tree_pieces,
};
use crate::preference::naive_tokens;
use crate::reference::GROUP;
use crate::run::path_tokens;
use crate::{Error, Optimization, Result};

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

/// The steps of [`SftTrainer::train`](crate::SftTrainer::train), packed one by one as they are asked for.
///
/// # Errors
///
/// A setting is outside its range, there are no trees, or one does not fit in the budget.
pub fn sft_steps<'a>(
    trees: &'a [SftTree],
    settings: &'a Optimization,
) -> Result<impl Iterator<Item = Result<PlannedStep>> + 'a> {
    let pieces = trees
        .iter()
        .map(|it| tree_pieces(&it.tree, settings.token_budget));
    let order = order(pieces, "trees", settings)?;
    Ok(order.into_iter().map(move |members| {
        let trees: Vec<&TokenTree> = members.iter().map(|&m| &trees[m].tree).collect();
        let forests = pack_trees(&trees, settings.token_budget)?;
        Ok(PlannedStep {
            forests: forests
                .into_iter()
                .map(|packed| packed.forest)
                .filter(|forest| !forest.targets.is_empty())
                .collect(),
            mismatched: Vec::new(),
            naive_tokens: path_tokens(&trees),
        })
    }))
}

/// The steps of [`PreferenceTrainer::train`](crate::PreferenceTrainer::train) and of
/// [`RewardTrainer::train`](crate::RewardTrainer::train), packed one by one as they are asked for.
///
/// # Errors
///
/// A setting is outside its range, there are no trees, or a pair does not fit in the budget.
pub fn response_steps<'a, T: ResponseTree>(
    trees: &'a [T],
    settings: &'a Optimization,
) -> Result<impl Iterator<Item = Result<PlannedStep>> + 'a> {
    let pieces = trees
        .iter()
        .map(|tree| response_pieces(tree, settings.token_budget));
    let order = order(pieces, T::GROUP[1], settings)?;
    Ok(order.into_iter().map(move |members| {
        let trees: Vec<&T> = members.iter().map(|&m| &trees[m]).collect();
        Ok(PlannedStep {
            forests: forests(pack_responses(&trees, settings.token_budget)?),
            mismatched: forests(pack_mismatched(&trees, settings.token_budget)?),
            naive_tokens: naive_tokens(&trees),
        })
    }))
}

/// The forests of [`ReferenceLogProbs::compute`](crate::ReferenceLogProbs::compute), packed as they are asked for: pairs or
/// responses with their mismatched completions, each history once. A cache spares the trees that it has.
///
/// # Errors
///
/// A setting is outside its range, or there are no trees. An item is an error if a pair does not fit in the budget.
pub fn reference_forests<'a, T: ResponseTree>(
    trees: &'a [T],
    settings: &'a Optimization,
) -> Result<impl Iterator<Item = Result<PackedForest>> + 'a> {
    settings.validate()?;
    if trees.is_empty() {
        return Err(Error::NoData { what: T::GROUP[1] });
    }
    Ok(trees.chunks(GROUP).flat_map(|group| {
        let group: Vec<&T> = group.iter().collect();
        match pack_reference(&group, settings.token_budget) {
            Ok(packed) => forests(packed).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        }
    }))
}

fn forests(packed: Vec<GroupForest>) -> Vec<PackedForest> {
    packed.into_iter().map(|group| group.forest).collect()
}

fn order(
    pieces: impl Iterator<Item = Result<Vec<usize>>>,
    what: &'static str,
    settings: &Optimization,
) -> Result<Vec<Vec<usize>>> {
    settings.validate()?;
    let pieces: Vec<Vec<usize>> = pieces.collect::<Result<_>>()?;
    if pieces.is_empty() {
        return Err(Error::NoData { what });
    }
    Ok(step_order(&pieces, settings))
}
