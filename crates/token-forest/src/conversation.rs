//! The text and the tokens of a conversation, message by message.

use crate::{ChatMessage, ChatTokenizer, Error, Result, Role, TokenTree};

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
    pub fn encode_messages(&self, messages: &[ChatMessage]) -> Result<TokenTree> {
        let mut tree = TokenTree::default();
        let mut before = String::new();
        for (index, message) in messages.iter().enumerate() {
            let trainable = message.role == Role::Assistant;
            let prompt_goes_on = messages
                .get(index + 1)
                .is_some_and(|next| next.role != Role::Assistant);
            if !trainable && prompt_goes_on {
                continue;
            }
            let whole = self.text_through(&before, &messages[..=index])?;
            let tokens = self.encode_after(&before, &whole)?;
            match tree.nodes.len() {
                0 => tree = TokenTree::new(tokens, trainable),
                nodes => {
                    tree.push(nodes - 1, tokens, trainable);
                }
            }
            before = whole;
        }
        tree.validate()?;
        Ok(tree)
    }

    /// The tokens of a conversation that waits for an action: through the generation prompt.
    ///
    /// They are those of the same path in a tree, so a model is asked what it was trained on.
    ///
    /// # Errors
    ///
    /// As [`ChatTokenizer::encode_messages`], and when the last message is the assistant's.
    pub fn encode_prompt(&self, messages: &[ChatMessage]) -> Result<Vec<u32>> {
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

    /// The text of a conversation through its last message: the generation prompt after a prompt, the
    /// end-of-turn token after an assistant message. `before` is the same for the history, empty for none.
    pub(crate) fn text_through(&self, before: &str, messages: &[ChatMessage]) -> Result<String> {
        let Some(last) = messages.last() else {
            return Ok(String::new());
        };
        let answers = last.role == Role::Assistant;
        if answers {
            self.check_turn(messages, last)?;
        }
        let mut whole = self.template().render(messages, !answers)?;
        let Some(added) = whole.strip_prefix(before) else {
            return Err(self.rewritten(before, &whole, messages.len()));
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

    fn check_turn(&self, messages: &[ChatMessage], last: &ChatMessage) -> Result<()> {
        let message = messages.len();
        if last.content.contains(self.eos()) {
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

    fn rewritten(&self, before: &str, now: &str, message: usize) -> Error {
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
            message,
            at,
            before: excerpt(before),
            after: excerpt(now),
        }
    }
}
