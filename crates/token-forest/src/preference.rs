//! Preference trees and rows of UltraInteract as token trees.

use ultrainteract::formats::{Message, SftRow, Speaker};
use ultrainteract::{Node, NodeId, PreferenceTree};

use crate::conversation::{MessageNode, MessageTree};
use crate::{ChatMessage, ChatTokenizer, Result, Role, TokenTree};

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
        let trainable: Vec<bool> = tree.nodes().map(|(id, _)| trainable(id)).collect();
        let encoded = self.encode_nodes(&message_tree(tree), |node| trainable[node])?;
        Ok(encoded.tokens)
    }

    /// An SFT row as a tree with one path: the instruction, and the response to be trained.
    ///
    /// # Errors
    ///
    /// As [`ChatTokenizer::encode_messages`], naming the row.
    pub fn encode_sft(&self, row: &SftRow) -> Result<TokenTree> {
        self.encode_messages(&sft_messages(row))
            .map_err(|e| e.in_tree(&row.id))
    }
}

/// The messages of a preference tree; node `i` is node `i` of the tree.
pub(crate) fn message_tree(tree: &PreferenceTree) -> MessageTree {
    let message = |node: &Node| {
        if node.action().is_some() {
            ChatMessage::assistant(node.text())
        } else {
            ChatMessage::user(node.text())
        }
    };
    let nodes = tree.nodes().map(|(_, node)| MessageNode {
        parent: node.parent().map(NodeId::index),
        messages: vec![message(node)],
    });
    MessageTree {
        id: Some(tree.id().to_string()),
        nodes: nodes.collect(),
    }
}

/// The messages of an SFT row.
pub(crate) fn sft_messages(row: &SftRow) -> [ChatMessage; 2] {
    [
        ChatMessage::user(&row.instruction),
        ChatMessage::assistant(&row.response),
    ]
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
