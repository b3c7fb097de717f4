//! Which trees share a forest: best-fit decreasing by token budget.

use std::collections::BTreeSet;

use crate::{Error, Result, TokenTree};

/// Assigns trees to forests of at most `token_budget` tokens each.
///
/// Best-fit decreasing: the largest trees first, each into the fullest forest that still has room. Every
/// tree is in exactly one forest. The result depends on the sizes and their order alone; forests are listed
/// by their lowest tree index and name their trees in ascending order. Large trees meet large trees, so
/// shuffle the forests before training.
///
/// ```
/// use token_forest::{TokenTree, pack, utilization};
///
/// # fn main() -> token_forest::Result<()> {
/// let trees: Vec<TokenTree> = [3, 6, 4, 7].map(|n| TokenTree::new(vec![0; n], false)).into();
/// let forests = pack(&trees, 10)?;
/// assert_eq!(forests, [vec![0, 3], vec![1, 2]]);
/// assert_eq!(utilization(&trees, &forests, 10), 1.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// When a tree alone is larger than the budget: [`TokenTree::split`] it first.
pub fn pack(trees: &[TokenTree], token_budget: usize) -> Result<Vec<Vec<usize>>> {
    let sizes: Vec<usize> = trees.iter().map(TokenTree::unique_tokens).collect();
    if let Some(index) = sizes.iter().position(|&size| size > token_budget) {
        return Err(Error::TreeTooLarge {
            tokens: sizes[index],
            longest_path: trees[index].longest_path_tokens(),
            budget: token_budget,
        }
        .in_tree(index));
    }

    Ok(pack_sizes(&sizes, token_budget))
}

/// Packs sizes, none of which is larger than the budget, as trees are packed.
pub(crate) fn pack_sizes(sizes: &[usize], token_budget: usize) -> Vec<Vec<usize>> {
    let mut forests = best_fit_decreasing(sizes, token_budget);
    for forest in &mut forests {
        forest.sort_unstable();
    }
    forests.sort_unstable();
    forests
}

/// How many forests [`pack`] makes of trees of these sizes. One that is larger than the budget counts as pieces of at most
/// that size.
///
/// ```
/// use token_forest::forests_needed;
///
/// assert_eq!(forests_needed(&[3, 6, 4, 7], 10), 2);
/// assert_eq!(forests_needed(&[25, 5], 10), 3);
/// ```
#[must_use]
pub fn forests_needed(sizes: &[usize], token_budget: usize) -> usize {
    let budget = token_budget.max(1);
    let whole: usize = sizes.iter().map(|size| size / budget).sum();
    let rests: Vec<usize> = sizes.iter().map(|size| size % budget).collect();
    let rests: Vec<usize> = rests.into_iter().filter(|&rest| rest > 0).collect();
    whole + best_fit_decreasing(&rests, budget).len()
}

/// Indices of sizes by forest; no size is above the budget.
fn best_fit_decreasing(sizes: &[usize], token_budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&tree| std::cmp::Reverse(sizes[tree])); // stable: ties stay in the given order

    let mut forests: Vec<Vec<usize>> = Vec::new();
    let mut room: BTreeSet<(usize, usize)> = BTreeSet::new(); // (tokens left, forest)
    for tree in order {
        let size = sizes[tree];
        let fullest = room.range((size, 0)..).next().copied();
        let (left, forest) = fullest.unwrap_or((token_budget, forests.len()));
        if fullest.is_some() {
            room.remove(&(left, forest));
        } else {
            forests.push(Vec::new());
        }
        forests[forest].push(tree);
        room.insert((left - size, forest));
    }
    forests
}

/// The share of the budget that the forests use, from 0 to 1; 0 when there is no forest.
///
/// # Panics
///
/// When a forest names a tree that does not exist.
#[must_use]
pub fn utilization(trees: &[TokenTree], forests: &[Vec<usize>], token_budget: usize) -> f64 {
    let used: usize = forests
        .iter()
        .flatten()
        .map(|&tree| trees[tree].unique_tokens())
        .sum();
    let capacity = forests.len() * token_budget;
    if capacity == 0 {
        0.0
    } else {
        used as f64 / capacity as f64
    }
}
