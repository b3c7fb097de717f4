//! Derivations of the paper from trees: preference pairs, SFT rows, unpaired rows, augmented pairs.
//!
//! | what | function | in the paper |
//! | --- | --- | --- |
//! | multi-turn trajectory pairs | [`pair_rows`] | preference learning and reward model |
//! | the same pairs, each a tree of its own | [`flat_rows`] | (an ablation of the tree) |
//! | single-turn pairs across turns | [`augment`] | reward model, Appendix B |
//! | correct actions without history | [`sft_rows`] | SFT |
//! | other selections for SFT | [`sft`] | (what SFT was compared with) |
//! | judged actions one by one | [`unpaired`] | KTO |

pub(crate) mod augment;

use std::fmt::Write;

use sha2::{Digest, Sha256};

pub use augment::{Augmentation, augment};

use crate::Message;
use crate::example::{Completion, Conversation, Example, Origin, Unpaired};
use crate::formats::{PairRow, RowId, SftRow};
use crate::{NodeId, PreferenceTree, Verdict};

/// One row for every pair of the tree, in the order of the pairs.
///
/// A pair that came from a row keeps its id. Otherwise the id is `<hash>_<depth>_<turn>` with the
/// hash of the instruction ([`instruction_hash`]), the turns of the tree, and the pair's turn; so
/// the pairs of one turn share an id.
///
/// ```
/// use ultrainteract::{Action, ActionSource, PreferenceTree, Schema, Task, Verdict, derive};
///
/// let action = |text: &str, verdict| Action {
///     text: text.into(), verdict, actor: "toy".into(),
///     schema: Schema::ChainOfThought, source: ActionSource::Sampled,
/// };
/// let mut tree = PreferenceTree::new("p1", Task::MathCot, "toy", "What is 1 + 1?")?;
/// let right = tree.add_action(tree.root(), action("Answer: 2", Verdict::Correct))?;
/// let wrong = tree.add_action(tree.root(), action("Answer: 3", Verdict::Incorrect))?;
/// tree.add_pair(right, wrong)?;
///
/// let rows = derive::pair_rows(&tree);
/// assert_eq!(rows[0].chosen, "Answer: 2");
/// assert_eq!(rows[0].id, format!("{}_1_1", derive::instruction_hash("What is 1 + 1?")));
/// assert_eq!(derive::sft_rows(&tree)[0].response, "Answer: 2");
/// # Ok::<(), ultrainteract::Error>(())
/// ```
pub fn pair_rows(tree: &PreferenceTree) -> Vec<PairRow> {
    let ids = RowIds::new(tree);
    tree.pairs()
        .iter()
        .enumerate()
        .map(|(index, pair)| PairRow {
            id: match tree.pair_id(index) {
                Some(id) => id.to_string(),
                None => ids.at(pair.turn),
            },
            parent_id: tree.id().to_string(),
            task: tree.task(),
            dataset: tree.dataset().to_string(),
            trajectory: tree.messages(pair.prompt),
            chosen: text(tree, pair.chosen),
            rejected: text(tree, pair.rejected),
        })
        .collect()
}

/// One row for every correct action, in the order of the nodes, with the history dropped: the
/// instruction and the action, as the paper trains on. Ids are made as in [`pair_rows`].
pub fn sft_rows(tree: &PreferenceTree) -> Vec<SftRow> {
    let ids = RowIds::new(tree);
    tree.nodes()
        .filter_map(|(id, node)| {
            let action = node.action()?;
            (action.verdict == Verdict::Correct).then(|| SftRow {
                id: ids.at(tree.turn(id)),
                parent_id: tree.id().to_string(),
                task: tree.task(),
                dataset: tree.dataset().to_string(),
                instruction: tree.instruction().to_string(),
                response: action.text.clone(),
            })
        })
        .collect()
}

/// The pairs of a tree as rows without a tree: every row is a problem of its own, so that nothing
/// that packs rows by problem finds a history to share. Same pairs, same texts, same order.
///
/// The row's `parent_id` becomes `<parent_id>/<number of the pair>`.
pub fn flat_rows(tree: &PreferenceTree) -> Vec<PairRow> {
    let mut rows = pair_rows(tree);
    for (number, row) in (1..).zip(&mut rows) {
        row.parent_id = format!("{}/{number}", row.parent_id);
    }
    rows
}

/// Which actions of a tree become SFT examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SftSelection {
    /// Correct actions, which are leaves, with the history dropped: what the paper trains on.
    #[default]
    CorrectLeaves,
    /// Every action, right or wrong, as the answer to its whole history.
    AllNodes,
    /// The way to each correct action as one conversation; all its answers are learned.
    Trajectories,
}

/// SFT examples of a tree, in the order of the nodes: SFT rows for correct leaves, completions for
/// all nodes, conversations for trajectories. Ids are made as in [`pair_rows`].
///
/// ```
/// use ultrainteract::derive::{self, SftSelection};
/// use ultrainteract::{Action, ActionSource, Observation, PreferenceTree, Schema, Task, Verdict};
///
/// let action = |text: &str, verdict| Action {
///     text: text.into(), verdict, actor: "toy".into(),
///     schema: Schema::ChainOfThought, source: ActionSource::Sampled,
/// };
/// let mut tree = PreferenceTree::new("p1", Task::MathCot, "toy", "What is 1 + 1?")?;
/// let wrong = tree.add_action(tree.root(), action("Answer: 3", Verdict::Incorrect))?;
/// let again = tree.add_observation(wrong, Observation::parse("Your answer is wrong."))?;
/// tree.add_action(again, action("Answer: 2", Verdict::Correct))?;
///
/// assert_eq!(derive::sft(&tree, SftSelection::CorrectLeaves).len(), 1);
/// assert_eq!(derive::sft(&tree, SftSelection::AllNodes).len(), 2);
/// let whole = derive::sft(&tree, SftSelection::Trajectories);
/// assert_eq!(whole[0].conversations().unwrap()[0].messages.len(), 4);
/// # Ok::<(), ultrainteract::Error>(())
/// ```
pub fn sft(tree: &PreferenceTree, selection: SftSelection) -> Vec<Example> {
    let ids = RowIds::new(tree);
    let origin = |node| origin(tree, &ids, node);
    let history = |node| tree.messages(node);
    let actions = tree.nodes().filter_map(|(id, node)| {
        let action = node.action()?;
        Some((id, node.parent()?, action))
    });
    match selection {
        SftSelection::CorrectLeaves => sft_rows(tree).into_iter().map(Example::Sft).collect(),
        SftSelection::AllNodes => actions
            .map(|(id, parent, action)| {
                Example::Completion(Completion {
                    origin: origin(id),
                    prompt: history(parent),
                    completion: vec![Message::assistant(&action.text)],
                })
            })
            .collect(),
        SftSelection::Trajectories => actions
            .filter(|(_, _, action)| action.verdict == Verdict::Correct)
            .map(|(id, _, _)| {
                Example::Conversation(Conversation {
                    origin: origin(id),
                    messages: history(id),
                })
            })
            .collect(),
    }
}

/// Every judged action with its history, in the order of the nodes: correct ones are desirable,
/// incorrect ones are not. An action that is in several pairs comes once. This is what KTO trains on.
pub fn unpaired(tree: &PreferenceTree) -> Vec<Unpaired> {
    let ids = RowIds::new(tree);
    tree.nodes()
        .filter_map(|(id, node)| {
            let label = match node.action()?.verdict {
                Verdict::Correct => true,
                Verdict::Incorrect => false,
                Verdict::Unjudged => return None,
            };
            let history = tree.messages(node.parent()?);
            Some(Unpaired {
                origin: origin(tree, &ids, id),
                prompt: history.clone(),
                completion: vec![Message::assistant(node.text())],
                label,
            })
        })
        .collect()
}

/// Where an action comes from.
fn origin(tree: &PreferenceTree, ids: &RowIds, action: NodeId) -> Origin {
    Origin {
        id: Some(ids.at(tree.turn(action))),
        parent_id: Some(tree.id().to_string()),
        task: Some(tree.task()),
        dataset: Some(tree.dataset().to_string()),
    }
}

/// SHA-256 of an instruction's text, in hexadecimal.
///
/// ```
/// assert!(ultrainteract::derive::instruction_hash("abc").starts_with("ba7816bf8f01cfea"));
/// ```
pub fn instruction_hash(instruction: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(instruction.as_bytes()) {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn text(tree: &PreferenceTree, node: NodeId) -> String {
    tree.node(node).text().into_owned()
}

struct RowIds {
    hash: String,
    depth: usize,
}

impl RowIds {
    fn new(tree: &PreferenceTree) -> Self {
        Self {
            hash: instruction_hash(tree.instruction()),
            depth: tree.turns(),
        }
    }

    fn at(&self, turn: usize) -> String {
        self.of(self.hash.clone(), turn)
    }

    fn of(&self, hash: String, turn: usize) -> String {
        let depth = self.depth;
        RowId { hash, depth, turn }.to_string()
    }
}
