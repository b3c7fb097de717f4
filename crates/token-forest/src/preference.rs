//! Preference trees and rows of UltraInteract as token trees.

use ultrainteract::formats::{Message, SftRow, Speaker};
use ultrainteract::{Node, NodeId, PreferenceTree};

use crate::{ChatMessage, ChatTokenizer, Result, Role, TokenTree};

/// How many paths of a tree get other tokens when their whole text is tokenized at once.
///
/// Tokens of nodes are made node by node, so that they depend on no sibling; where a tokenizer would join
/// characters across the border of two nodes, the tokens of the whole text differ. Both spell the same text.
/// Borders at special tokens never differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BoundaryDifferences {
    /// Number of root-to-leaf paths.
    pub paths: usize,
    /// How many of them differ.
    pub different: usize,
}

impl ChatTokenizer {
    /// A preference tree as tokens: token node `i` is node `i` of the tree.
    ///
    /// An instruction or observation carries the template's text for it through the generation prompt, an
    /// action its text through the end-of-turn token; see [`ChatTokenizer::encode_messages`]. `trainable` says
    /// which nodes are to be predicted.
    ///
    /// ```
    /// use token_forest::{ChatTokenizer, train_bpe};
    /// use ultrainteract::{Action, ActionSource, PreferenceTree, Schema, Task, Verdict};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let action = |text: &str, verdict| Action {
    ///     text: text.into(),
    ///     verdict,
    ///     actor: "example".into(),
    ///     schema: Schema::ChainOfThought,
    ///     source: ActionSource::Sampled,
    /// };
    /// let mut tree = PreferenceTree::new("p1", Task::MathCot, "toy", "6 * 7?")?;
    /// let right = tree.add_action(tree.root(), action("42", Verdict::Correct))?;
    /// let wrong = tree.add_action(tree.root(), action("41", Verdict::Incorrect))?;
    ///
    /// let bpe = train_bpe(["6 * 7? 42"], 300, &["<|im_start|>", "<|im_end|>"])?;
    /// let tokenizer = ChatTokenizer::from_files(bpe.files()?)?;
    /// let tokens = tokenizer.encode_tree(&tree, |node| node != tree.root())?;
    /// let path = tokenizer.decode_with_special_tokens(&tokens.path_tokens(wrong.index()))?;
    /// assert_eq!(
    ///     path,
    ///     "<|im_start|>user\n6 * 7?<|im_end|>\n<|im_start|>assistant\n41<|im_end|>"
    /// );
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ChatTokenizer::encode_messages`], naming the tree and the node.
    pub fn encode_tree(
        &self,
        tree: &PreferenceTree,
        trainable: impl Fn(NodeId) -> bool,
    ) -> Result<TokenTree> {
        let texts = self.texts_of(tree)?;
        let mut tokens = TokenTree::default();
        for (id, node) in tree.nodes() {
            let piece = self
                .encode_after(before(&texts, node), &texts[id.index()])
                .map_err(|e| e.in_tree(place(tree, id)))?;
            match node.parent() {
                None => tokens = TokenTree::new(piece, trainable(id)),
                Some(parent) => {
                    tokens.push(parent.index(), piece, trainable(id));
                }
            }
        }
        tokens.validate().map_err(|e| e.in_tree(tree.id()))?;
        Ok(tokens)
    }

    /// An SFT row as a tree with one path: the instruction, and the response to be trained.
    ///
    /// # Errors
    ///
    /// As [`ChatTokenizer::encode_messages`], naming the row.
    pub fn encode_sft(&self, row: &SftRow) -> Result<TokenTree> {
        let messages = [
            ChatMessage::user(&row.instruction),
            ChatMessage::assistant(&row.response),
        ];
        self.encode_messages(&messages)
            .map_err(|e| e.in_tree(&row.id))
    }

    /// Compares the tokens of a tree, made node by node, with those of each path's whole text.
    ///
    /// # Errors
    ///
    /// As [`ChatTokenizer::encode_tree`].
    pub fn boundary_differences(&self, tree: &PreferenceTree) -> Result<BoundaryDifferences> {
        let texts = self.texts_of(tree)?;
        let tokens = self.encode_tree(tree, |_| false)?;
        let mut found = BoundaryDifferences::default();
        for leaf in tokens.leaves() {
            let whole = self
                .encode_text(&texts[leaf])
                .map_err(|e| e.in_tree(tree.id()))?;
            found.paths += 1;
            found.different += usize::from(whole != tokens.path_tokens(leaf));
        }
        Ok(found)
    }

    /// The text of every node's path, through that node.
    fn texts_of(&self, tree: &PreferenceTree) -> Result<Vec<String>> {
        let mut texts: Vec<String> = Vec::with_capacity(tree.len());
        for (id, node) in tree.nodes() {
            let messages: Vec<ChatMessage> = tree
                .path(id)
                .into_iter()
                .map(|on_path| message(tree.node(on_path)))
                .collect();
            let text = self
                .text_through(before(&texts, node), &messages)
                .map_err(|e| e.in_tree(place(tree, id)))?;
            texts.push(text);
        }
        Ok(texts)
    }
}

/// The text before a node: that of its parent's path, which comes earlier in the arena.
fn before<'a>(texts: &'a [String], node: &Node) -> &'a str {
    node.parent().map_or("", |parent| &texts[parent.index()])
}

fn message(node: &Node) -> ChatMessage {
    if node.action().is_some() {
        ChatMessage::assistant(node.text())
    } else {
        ChatMessage::user(node.text())
    }
}

fn place(tree: &PreferenceTree, node: NodeId) -> String {
    format!("{}, node {}", tree.id(), node.index())
}

impl From<Speaker> for Role {
    fn from(speaker: Speaker) -> Self {
        match speaker {
            Speaker::User => Self::User,
            Speaker::Assistant => Self::Assistant,
        }
    }
}

impl From<&Message> for ChatMessage {
    fn from(message: &Message) -> Self {
        Self {
            role: message.from.into(),
            content: message.value.clone(),
        }
    }
}
