//! The special tokens with which a template marks turns.

use crate::{ChatTokenizer, Message, Result, TokenizerFiles};

impl ChatTokenizer {
    /// The special tokens that the template writes around a question and an answer, in order of their ids.
    ///
    /// # Errors
    ///
    /// When the template refuses such a conversation.
    pub fn template_tokens(&self) -> Result<Vec<u32>> {
        let messages = [Message::user("6 * 7?"), Message::assistant("42")];
        let tree = self.encode_messages(&messages)?;
        let mut tokens: Vec<u32> = tree
            .nodes
            .iter()
            .flat_map(|node| node.tokens.iter().copied())
            .filter(|&id| self.token(id).is_some_and(|token| self.is_special(&token)))
            .collect();
        tokens.sort_unstable();
        tokens.dedup();
        Ok(tokens)
    }

    /// Those of the [template's tokens](Self::template_tokens) that neither the template of other files writes, if they have
    /// one, nor are BOS or EOS there. A model that came with these files has probably never seen them.
    ///
    /// # Errors
    ///
    /// As [`template_tokens`](Self::template_tokens), and when the files are malformed.
    pub fn tokens_new_to(&self, files: &TokenizerFiles) -> Result<Vec<u32>> {
        let own = Self::from_files(files.clone()).and_then(|own| own.template_tokens());
        let own = own.unwrap_or_default();
        let named = files.special_tokens()?;
        let ends = |token: &String| {
            ["bos_token", "eos_token"]
                .iter()
                .any(|variable| named.get(*variable) == Some(token))
        };
        let mut tokens = self.template_tokens()?;
        tokens.retain(|id| !own.contains(id) && !self.token(*id).is_some_and(|token| ends(&token)));
        Ok(tokens)
    }
}
