//! Checks of what is trained on, before anything is computed.

use token_forest::{LabelKind, TokenTree, TrainingTree};

use crate::{Error, Result, TrainingConfig};

/// Checks that there are trees, that their groups are of the kind the loss learns from, and their paths and tokens.
pub(crate) fn check_examples(
    trees: &[TrainingTree],
    kind: LabelKind,
    settings: &TrainingConfig,
    vocab_size: usize,
) -> Result<()> {
    if trees.is_empty() {
        return Err(Error::NoData {
            what: kind.nouns()[1],
        });
    }
    if let Some(other) = trees.iter().find(|tree| tree.kind() != kind) {
        return Err(Error::OtherKind {
            id: other.id().to_owned(),
            found: other.kind(),
            wanted: kind,
        });
    }
    check_trees(
        trees.iter().map(|tree| (tree.id(), tree.tree())),
        settings.max_path_tokens,
        vocab_size,
    )
}

/// Checks path lengths and token ids before anything is computed.
pub(crate) fn check_trees<'a>(
    trees: impl Iterator<Item = (&'a str, &'a TokenTree)>,
    limit: usize,
    vocab_size: usize,
) -> Result<()> {
    for (id, tree) in trees {
        let mut tokens = tree.nodes.iter().flat_map(|node| &node.tokens);
        if let Some(&token) = tokens.find(|&&token| token as usize >= vocab_size) {
            return Err(Error::UnknownToken {
                id: id.to_owned(),
                token,
                vocab_size,
            });
        }
        let tokens = tree.longest_path_tokens();
        if tokens > limit {
            return Err(Error::PathTooLong {
                id: id.to_owned(),
                tokens,
                limit,
            });
        }
    }
    Ok(())
}
