//! Single-turn pairs for reward models, matched across the turns of a tree.

use std::collections::{HashMap, HashSet};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::{RowIds, instruction_hash};
use crate::Message;
use crate::formats::PairRow;
use crate::{PreferenceTree, Verdict};

/// Limits of [`augment`]; the defaults are the paper's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Augmentation {
    /// Trees of N turns are used if N x N is at most this.
    pub max_matches: usize,
    /// The most pairs made from a tree.
    pub max_pairs: usize,
    /// How often an action may occur in them.
    pub max_uses: usize,
    /// Seed of the choice. The choice for a tree depends on this and the tree's id alone, so neither
    /// the order of trees nor the number of threads changes it.
    pub seed: u64,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            max_matches: 10,
            max_pairs: 9,
            max_uses: 3,
            seed: 0,
        }
    }
}

/// Pairs of a correct action with an incorrect action of *another* turn, both as answers to the
/// instruction alone (arXiv 2404.02078, Appendix B).
///
/// A tree of N turns has up to N x N matches of a turn's correct with a turn's incorrect action.
/// Those within one turn are left out, since the multi-turn pairs have them already. Trees with
/// N x N > `max_matches` are left out, so N is at most three. Of the rest at most `max_pairs` are
/// drawn at random, each action at most `max_uses` times. Where a turn has several correct or
/// incorrect actions, all of them are matched. An action is its text here, since its history is
/// dropped; a text that is correct at one turn and incorrect at another is not used.
///
/// Every row has an id of its own, `<hash of the two actions>_<turns of the tree>_1`.
///
/// ```
/// use ultrainteract::derive::{Augmentation, augment};
/// use ultrainteract::{Action, ActionSource, Observation, PreferenceTree, Schema, Task, Verdict};
///
/// let action = |text: &str, verdict| Action {
///     text: text.into(), verdict, actor: "toy".into(),
///     schema: Schema::ChainOfThought, source: ActionSource::Sampled,
/// };
/// let mut tree = PreferenceTree::new("p1", Task::MathCot, "toy", "What is 1 + 1?")?;
/// tree.add_action(tree.root(), action("2", Verdict::Correct))?;
/// let wrong = tree.add_action(tree.root(), action("3", Verdict::Incorrect))?;
/// let again = tree.add_observation(wrong, Observation::parse("Your answer is wrong."))?;
/// tree.add_action(again, action("It is 2", Verdict::Correct))?;
/// tree.add_action(again, action("4", Verdict::Incorrect))?;
///
/// let rows = augment(&tree, &Augmentation::default());
/// let mut pairs: Vec<_> = rows.iter().map(|row| (&row.chosen[..], &row.rejected[..])).collect();
/// pairs.sort();
/// assert_eq!(pairs, [("2", "4"), ("It is 2", "3")]);
/// assert!(rows.iter().all(|row| row.trajectory.len() == 1));
/// # Ok::<(), ultrainteract::Error>(())
/// ```
pub fn augment(tree: &PreferenceTree, settings: &Augmentation) -> Vec<PairRow> {
    let turns = tree.turns();
    if turns.saturating_mul(turns) > settings.max_matches {
        return Vec::new();
    }
    let of_verdict = |verdict| -> Vec<(usize, &str)> {
        tree.nodes()
            .filter_map(|(id, node)| {
                let action = node.action()?;
                (action.verdict == verdict).then(|| (tree.turn(id), action.text.as_str()))
            })
            .collect()
    };
    let (correct, incorrect) = (of_verdict(Verdict::Correct), of_verdict(Verdict::Incorrect));
    let right: HashSet<&str> = correct.iter().map(|(_, text)| *text).collect();
    let wrong: HashSet<&str> = incorrect.iter().map(|(_, text)| *text).collect();

    // What shares a turn anywhere is among the multi-turn pairs, whatever other turns it is in.
    let mut same_turn: HashSet<(&str, &str)> = HashSet::new();
    let mut matches: Vec<(&str, &str)> = Vec::new();
    let mut seen: HashSet<(&str, &str)> = HashSet::new();
    for &(chosen_turn, chosen) in &correct {
        for &(rejected_turn, rejected) in &incorrect {
            if wrong.contains(chosen) || right.contains(rejected) {
                continue;
            }
            if chosen_turn == rejected_turn {
                same_turn.insert((chosen, rejected));
            } else if seen.insert((chosen, rejected)) {
                matches.push((chosen, rejected));
            }
        }
    }
    matches.retain(|pair| !same_turn.contains(pair));
    matches.shuffle(&mut generator(settings.seed, tree.id()));

    let mut uses: HashMap<&str, usize> = HashMap::new();
    let mut rows = Vec::new();
    let ids = RowIds::new(tree);
    for (chosen, rejected) in matches {
        let used = |text| uses.get(text).copied().unwrap_or(0) >= settings.max_uses;
        if rows.len() == settings.max_pairs {
            break;
        }
        if used(chosen) || used(rejected) {
            continue;
        }
        *uses.entry(chosen).or_default() += 1;
        *uses.entry(rejected).or_default() += 1;
        rows.push(PairRow {
            id: ids.of(instruction_hash(&format!("{chosen}\0{rejected}")), 1),
            parent_id: tree.id().to_string(),
            task: tree.task(),
            dataset: tree.dataset().to_string(),
            trajectory: vec![Message::user(tree.instruction())],
            chosen: chosen.to_string(),
            rejected: rejected.to_string(),
        });
    }
    rows
}

/// Random numbers that depend on the seed and a name.
pub(crate) fn generator(seed: u64, name: &str) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(name.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}
