//! The text and the tokens of a conversation, message by message.

use crate::{
    ChatTokenizer, Error, Message, MessageTree, Result, Rewriting, Role, TextCounts, TokenNode,
    TokenTree,
};

/// A conversation with branches as text and as tokens; node `i` is node `i` of the [`MessageTree`].
#[derive(Debug, Clone, Default)]
pub(crate) struct EncodedTree {
    /// The text of every node's path, through that node.
    pub texts: Vec<String>,
    pub tokens: TokenTree,
    pub counts: TextCounts,
}

impl ChatTokenizer {
    /// A conversation as a tree with one path.
    ///
    /// Each assistant message is a trainable node, from after the generation prompt through the end-of-turn
    /// token; the messages between two of them are one node, with the template's text around them and the
    /// generation prompt. What the template writes after the end of a turn (such as a newline) belongs to the
    /// next node, and is absent after the last turn.
    ///
    /// # Errors
    ///
    /// When there is no message, an assistant message has no prompt before it, a turn contains the end-of-turn
    /// token, or the template refuses the conversation or rewrites its history.
    pub fn encode_messages(&self, messages: &[Message]) -> Result<TokenTree> {
        self.encode(&MessageTree::of_messages(messages))
    }

    /// The tokens of a conversation with branches: token node `i` is its node `i`, and assistant messages are trainable.
    ///
    /// # Errors
    ///
    /// As [`ChatTokenizer::encode_messages`], naming the tree and the node.
    pub fn encode(&self, tree: &MessageTree) -> Result<TokenTree> {
        let encoded = self.encode_nodes(tree, |node| tree.is_answer(node))?;
        Ok(encoded.tokens)
    }

    /// The tokens of a conversation that waits for an action: through the generation prompt.
    ///
    /// They are those of the same path in a tree, so a model is asked what it was trained on.
    ///
    /// # Errors
    ///
    /// As [`ChatTokenizer::encode_messages`], and when the last message is the assistant's.
    pub fn encode_prompt(&self, messages: &[Message]) -> Result<Vec<u32>> {
        if messages
            .last()
            .is_some_and(|last| last.role == Role::Assistant)
        {
            return Err(Error::MessageOrder {
                message: messages.len(),
                reason: "a prompt must not end with an assistant message; drop it or add the next user message",
            });
        }
        let tree = self.encode_messages(messages)?;
        Ok(tree.path_tokens(tree.nodes.len() - 1))
    }

    /// The text of a conversation that waits for an action: through the generation prompt.
    ///
    /// # Errors
    ///
    /// When the template refuses the conversation.
    pub fn prompt_text(&self, messages: &[Message]) -> Result<String> {
        self.text_through("", messages)
    }

    /// All nodes of a tree, in order.
    pub(crate) fn encode_nodes(
        &self,
        tree: &MessageTree,
        trainable: impl Fn(usize) -> bool,
    ) -> Result<EncodedTree> {
        let mut encoded = EncodedTree::default();
        for node in 0..tree.nodes.len() {
            self.encode_node(tree, node, trainable(node), &mut encoded)?;
        }
        let valid = encoded.tokens.validate();
        valid.map_err(|problem| tree.place(problem, None))?;
        Ok(encoded)
    }

    /// The next node of a tree: `encoded` holds those before it.
    pub(crate) fn encode_node(
        &self,
        tree: &MessageTree,
        node: usize,
        trainable: bool,
        encoded: &mut EncodedTree,
    ) -> Result<()> {
        let parent = tree.nodes[node].parent;
        let before = parent.map_or("", |parent| &encoded.texts[parent]);
        let messages = tree.path_messages(node);
        let text_and_tokens = self.text_through(before, &messages).and_then(|whole| {
            let earlier = messages.len() - tree.nodes[node].messages.len();
            let changed = self.check_texts(before, &whole, &messages, earlier)?;
            let tokens = self.encode_after(before, &whole)?;
            Ok((whole, tokens, earlier, changed))
        });
        let (whole, tokens, earlier, changed) =
            text_and_tokens.map_err(|problem| tree.place(problem, Some(node)))?;
        encoded.counts.other_white_space += changed;
        encoded.counts += self.count_special(&messages, earlier, &tree.id);
        encoded.texts.push(whole);
        encoded.tokens.nodes.push(TokenNode {
            parent,
            tokens,
            trainable,
        });
        Ok(())
    }

    /// The text of a conversation through its last message: the generation prompt after a prompt, the
    /// end-of-turn token after an assistant message. `before` is the same for the history, empty for none.
    pub(crate) fn text_through(&self, before: &str, messages: &[Message]) -> Result<String> {
        let Some(last) = messages.last() else {
            return Ok(String::new());
        };
        let answers = last.role == Role::Assistant;
        if answers {
            self.check_turn(messages, last)?;
        }
        let mut whole = self.template().render(messages, !answers)?;
        let Some(added) = whole.strip_prefix(before) else {
            return Err(self.rewritten(before, &whole, messages));
        };
        if answers {
            let eos = self.eos();
            let end = added.rfind(eos).ok_or_else(|| Error::NoTurnEnd {
                template: self.template().name().to_string(),
                eos: eos.to_string(),
            })?;
            whole.truncate(before.len() + end + eos.len());
        }
        Ok(whole)
    }

    fn check_turn(&self, messages: &[Message], last: &Message) -> Result<()> {
        let message = messages.len();
        if last.texts().any(|text| text.contains(self.eos())) {
            return Err(Error::EosInText {
                message,
                eos: self.eos().to_string(),
            });
        }
        let previous = message.checked_sub(2).map(|index| messages[index].role);
        if previous.is_none_or(|role| role == Role::Assistant) {
            return Err(Error::MessageOrder {
                message,
                reason: "an assistant message must answer a user message; add one before it or join the two",
            });
        }
        Ok(())
    }

    fn rewritten(&self, before: &str, now: &str, messages: &[Message]) -> Error {
        let same = before
            .bytes()
            .zip(now.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        let at = (0..=same)
            .rev()
            .find(|&at| before.is_char_boundary(at) && now.is_char_boundary(at))
            .unwrap_or(0);
        let excerpt = |text: &str| text[at..].chars().take(40).collect();
        Error::TemplateNotPrefixStable {
            template: self.template().name().to_string(),
            cause: Rewriting::found(self.template(), self.eos(), messages, [before, now], at),
            message: messages.len(),
            at,
            before: excerpt(before),
            after: excerpt(now),
        }
    }
}
