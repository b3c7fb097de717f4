//! Completions of other trees, for KL estimates.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::ResponseTree;
use crate::{Error, Result};

/// Gives every pair of [`PairedTree`](super::PairedTree)s, every response of [`LabelledTree`](super::LabelledTree)s or every
/// prompt of [`ScoredTree`](super::ScoredTree)s one mismatched completion: the chosen response of a pair, or a response, or
/// the first one to a prompt, of another tree, as one more leaf under the prompt.
/// Siblings share a prompt, so the completion must come from another tree, not merely another row.
///
/// The choice depends on the seed alone and not on the order of training, so reference log-probs of these leaves are
/// computed once like all others and the trees can be shuffled.
///
/// # Errors
///
/// [`Error::OneTreeForKl`] when there is no other tree.
pub fn add_mismatched<T: ResponseTree>(trees: &mut [T], seed: u64) -> Result<()> {
    if trees.len() < 2 {
        return Err(Error::OneTreeForKl);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let responses: Vec<Vec<usize>> = trees
        .iter()
        .map(|tree| tree.columns().into_iter().next().unwrap_or_default())
        .collect();
    let completions: Vec<Vec<Vec<u32>>> = trees
        .iter()
        .zip(&responses)
        .map(|(tree, responses)| {
            let tokens = |&node: &usize| tree.tree().nodes[node].tokens.clone();
            responses.iter().map(tokens).collect()
        })
        .collect();
    let count = trees.len();
    for (index, (tree, responses)) in trees.iter_mut().zip(responses).enumerate() {
        let (tokens, mismatched) = tree.tree_mut();
        mismatched.clear();
        for response in responses {
            let other = (index + 1 + rng.random_range(0..count - 1)) % count;
            let place = rng.random_range(0..completions[other].len());
            // A response is no root.
            if let Some(prompt) = tokens.nodes[response].parent {
                mismatched.push(tokens.push(prompt, completions[other][place].clone(), true));
            }
        }
    }
    Ok(())
}
