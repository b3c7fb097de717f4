//! Pre-tokenized trees of a file: one a line, `{"parent_id", "nodes": [{"parent", "ids"}], "pairs": [{"chosen", "rejected"}]}`,
//! parents before children and -1 above the root.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use token_forest::{Group, TokenTree, TrainingTree};

#[derive(Deserialize)]
struct WorkTree {
    parent_id: String,
    nodes: Vec<WorkNode>,
    pairs: Vec<WorkPair>,
}

#[derive(Deserialize)]
struct WorkNode {
    parent: i64,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct WorkPair {
    chosen: usize,
    rejected: usize,
}

impl WorkTree {
    fn paired(self) -> Result<TrainingTree> {
        let mut nodes = self.nodes.into_iter();
        let root = nodes.next().context("a tree without nodes")?;
        let mut tree = TokenTree::new(root.ids, false);
        for node in nodes {
            tree.push(usize::try_from(node.parent)?, node.ids, false);
        }
        let pairs = self.pairs.iter();
        let pairs = pairs.map(|pair| Group::pair(pair.chosen, pair.rejected));
        Ok(TrainingTree::new(self.parent_id, &tree, pairs.collect())?)
    }
}

/// The trees of a file, or of `trees_tok.jsonl` in a folder.
///
/// # Errors
///
/// When the file cannot be read or a line is no tree.
pub fn read(path: &Path) -> Result<Vec<TrainingTree>> {
    let path = match path.is_dir() {
        true => path.join("trees_tok.jsonl"),
        false => path.to_owned(),
    };
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    text.lines()
        .map(|line| {
            serde_json::from_str::<WorkTree>(line)
                .context("a line that is no tree")?
                .paired()
        })
        .collect()
}
