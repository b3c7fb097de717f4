//! Rows from trees: preference pairs and SFT examples in the released formats.

use std::fmt::Write;

use sha2::{Digest, Sha256};

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
        RowId {
            hash: self.hash.clone(),
            depth: self.depth,
            turn,
        }
        .to_string()
    }
}
