//! Preference trees as token trees.

use ultrainteract::{NodeId, PreferenceTree};

use crate::{ChatTokenizer, MessageTree, Result, TokenTree};

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
        let encoded = self.encode_nodes(&MessageTree::from(tree), |node| trainable[node])?;
        Ok(encoded.tokens)
    }
}
