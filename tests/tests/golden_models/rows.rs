//! Rows of a padded batch as separate trees of one packed forest: no padding reaches the model.

use anyhow::Result;
use token_forest::{PackedForest, TokenTree};

use super::schema::{Case, Pairs};

/// The real tokens of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub tokens: Vec<u32>,
    /// Which tokens' log-probs count.
    pub counted: Vec<bool>,
    /// Where the tokens stand in the padded row.
    pub places: Vec<usize>,
    /// What the reference's rotary embedding saw.
    pub positions: Vec<u32>,
}

impl Row {
    /// One path, cut where counted and other tokens meet.
    pub fn tree(&self) -> TokenTree {
        let mut tree = TokenTree::default();
        let mut start = 0;
        for end in 1..=self.tokens.len() {
            if end < self.tokens.len() && self.counted[end] == self.counted[start] {
                continue;
            }
            let tokens = self.tokens[start..end].to_vec();
            match tree.nodes.len() {
                0 => tree = TokenTree::new(tokens, self.counted[start]),
                nodes => {
                    tree.push(nodes - 1, tokens, self.counted[start]);
                }
            }
            start = end;
        }
        tree
    }

    pub fn counted_tokens(&self) -> usize {
        self.counted.iter().filter(|&&counted| counted).count()
    }
}

fn real(mask: &[u8]) -> Vec<usize> {
    (0..mask.len()).filter(|&place| mask[place] == 1).collect()
}

/// The rows of a case.
pub fn rows(case: &Case) -> Vec<Row> {
    (0..case.input_ids.len())
        .map(|row| {
            let places = real(&case.attention_mask[row]);
            let pick = |place: &usize| case.input_ids[row][*place];
            Row {
                tokens: places.iter().map(pick).collect(),
                counted: places
                    .iter()
                    .map(|&at| case.completion_mask[row][at] == 1)
                    .collect(),
                positions: places
                    .iter()
                    .map(|&at| case.position_ids[row][at])
                    .collect(),
                places,
            }
        })
        .collect()
}

/// The rows of pairs, in which no token is to be predicted.
pub fn pair_rows(pairs: &Pairs) -> Vec<Row> {
    let masks = pairs.input_ids.iter().zip(&pairs.attention_mask);
    masks
        .map(|(ids, mask)| {
            let places = real(mask);
            Row {
                tokens: places.iter().map(|&place| ids[place]).collect(),
                counted: vec![false; places.len()],
                positions: (0..places.len() as u32).collect(),
                places,
            }
        })
        .collect()
}

/// A forest with one tree per row. A row's tokens stand together, in order.
pub fn pack(rows: &[Row]) -> Result<PackedForest> {
    let trees: Vec<TokenTree> = rows.iter().map(Row::tree).collect();
    Ok(PackedForest::from_trees(&trees)?)
}

/// Cuts a list with one entry per token of all rows into rows; `len` says how many belong to a row.
pub fn by_row<'a, T>(values: &'a [T], rows: &[Row], len: impl Fn(&Row) -> usize) -> Vec<&'a [T]> {
    let mut rest = values;
    rows.iter()
        .map(|row| {
            let (own, after) = rest.split_at(len(row));
            rest = after;
            own
        })
        .collect()
}
