//! Where tokens made node by node differ from those of a path's whole text.

use std::fmt;
use std::ops::{AddAssign, Range};

use crate::{ChatTokenizer, MessageTree, Result};

/// How many paths and tokens become others when a path's whole text is tokenized at once, and the first places.
///
/// Tokens of nodes are made node by node, so that they depend on no sibling; where a tokenizer would join
/// characters across the border of two nodes, the tokens of the whole text differ. Both spell the same text.
/// Borders at special tokens never differ. The whole text is what the template renders for the path, without
/// special tokens of the tokenizer's own, through the last end of a turn.
///
/// Counts of several trees are added with `+=`; the first ten places are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BoundaryDifferences {
    /// Number of root-to-leaf paths that were compared.
    pub paths: usize,
    /// How many of them differ.
    pub different_paths: usize,
    /// Number of tokens of these paths, made node by node; a token shared by several paths counts for each.
    pub tokens: usize,
    /// How many tokens differ: at each place, those of the longer side.
    pub different_tokens: usize,
    /// The first places.
    pub places: Vec<BorderPlace>,
}

/// One place where the two differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BorderPlace {
    /// Name of the tree or row; empty when it has none.
    pub tree: String,
    /// The leaf whose path it is, a node of the token tree.
    pub leaf: usize,
    /// Index in the path of the first token that differs.
    pub at: usize,
    /// The text before it, a few tokens.
    pub before: String,
    /// The tokens made node by node.
    pub node_by_node: Vec<String>,
    /// Those of the whole text, which spell the same.
    pub whole: Vec<String>,
    /// The text after it, a few tokens.
    pub after: String,
}

/// Places that are kept.
const PLACES: usize = 10;
/// Tokens of text around a place.
const AROUND: usize = 6;
/// Tokens in a row that agree where two sequences meet again. A single one can agree by chance.
const AGREEING: usize = 3;
/// Tokens within which they must meet; else the rest of the path counts as different.
const WINDOW: usize = 64;

impl ChatTokenizer {
    /// Compares the tokens of a conversation with branches, made node by node, with those of the whole text of each of its
    /// paths.
    ///
    /// # Errors
    ///
    /// As [`ChatTokenizer::encode`].
    pub fn boundary_differences(&self, tree: &MessageTree) -> Result<BoundaryDifferences> {
        let encoded = self.encode_nodes(tree, |_| false)?;
        let mut found = BoundaryDifferences::default();
        for leaf in encoded.tokens.leaves() {
            let whole = self
                .encode_text(&encoded.texts[leaf])
                .map_err(|problem| tree.place(problem, Some(leaf)))?;
            let node_by_node = encoded.tokens.path_tokens(leaf);
            let parts = differences(&node_by_node, &whole);
            found.paths += 1;
            found.different_paths += usize::from(!parts.is_empty());
            found.tokens += node_by_node.len();
            for (here, there) in parts {
                found.different_tokens += here.len().max(there.len());
                if found.places.len() < PLACES {
                    let until = node_by_node.len().min(here.end + AROUND);
                    found.places.push(BorderPlace {
                        tree: tree.id.clone(),
                        leaf,
                        at: here.start,
                        before: self.decode_with_special_tokens(
                            &node_by_node[here.start.saturating_sub(AROUND)..here.start],
                        )?,
                        after: self.decode_with_special_tokens(&node_by_node[here.end..until])?,
                        node_by_node: self.spell(&node_by_node[here]),
                        whole: self.spell(&whole[there]),
                    });
                }
            }
        }
        Ok(found)
    }

    /// Tokens as the vocabulary spells them.
    fn spell(&self, ids: &[u32]) -> Vec<String> {
        ids.iter()
            .map(|&id| self.token(id).unwrap_or_else(|| format!("#{id}")))
            .collect()
    }
}

impl AddAssign for BoundaryDifferences {
    fn add_assign(&mut self, other: Self) {
        self.paths += other.paths;
        self.different_paths += other.different_paths;
        self.tokens += other.tokens;
        self.different_tokens += other.different_tokens;
        self.places.extend(other.places);
        self.places.truncate(PLACES);
    }
}

/// One line: the text around, and the tokens either way.
impl fmt::Display for BorderPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.tree.is_empty() {
            write!(f, "{}, ", self.tree)?;
        }
        write!(
            f,
            "node {}, token {}: after {:?} come {:?}, in the whole text {:?}, before {:?}",
            self.leaf, self.at, self.before, self.node_by_node, self.whole, self.after
        )
    }
}

/// Where two token sequences of one text part, until they meet again.
fn differences(a: &[u32], b: &[u32]) -> Vec<(Range<usize>, Range<usize>)> {
    let mut found = Vec::new();
    let (mut i, mut j) = (0, 0);
    loop {
        let same = a[i..].iter().zip(&b[j..]).take_while(|(a, b)| a == b);
        let same = same.count();
        (i, j) = (i + same, j + same);
        if i == a.len() && j == b.len() {
            return found;
        }
        let (skip_a, skip_b) = meeting_point(&a[i..], &b[j..]);
        found.push((i..i + skip_a, j..j + skip_b));
        (i, j) = (i + skip_a, j + skip_b);
    }
}

/// The fewest tokens to skip on either side after which the sequences agree for a while, or to their ends.
fn meeting_point(a: &[u32], b: &[u32]) -> (usize, usize) {
    let agree = |skip_a: usize, skip_b: usize| match (a.get(skip_a..), b.get(skip_b..)) {
        (Some(a), Some(b)) if a.len() >= AGREEING && b.len() >= AGREEING => {
            a[..AGREEING] == b[..AGREEING]
        }
        (Some(a), Some(b)) => a == b,
        _ => false,
    };
    (1..=WINDOW)
        .flat_map(|skipped| (0..=skipped).map(move |skip_a| (skip_a, skipped - skip_a)))
        .find(|&(skip_a, skip_b)| agree(skip_a, skip_b))
        .unwrap_or((a.len(), b.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_part_and_meet_again() {
        assert_eq!(differences(&[1, 2, 3], &[1, 2, 3]), []);
        assert_eq!(
            differences(&[1, 2, 3, 4, 5, 6], &[1, 9, 4, 5, 6]),
            [(1..3, 1..2)]
        );
        assert_eq!(differences(&[1, 2], &[1, 2, 7]), [(2..2, 2..3)]);
        assert_eq!(differences(&[5, 1], &[6, 1]), [(0..1, 0..1)]);
        assert_eq!(
            differences(&[8, 1, 2, 3, 8, 4], &[9, 1, 2, 3, 9, 4]),
            [(0..1, 0..1), (4..5, 4..5)]
        );
    }

    #[test]
    fn sequences_that_do_not_meet_differ_to_the_end() {
        let a: Vec<u32> = (0..200).collect();
        let b: Vec<u32> = (200..300).collect();
        assert_eq!(differences(&a, &b), [(0..200, 0..100)]);
    }
}
