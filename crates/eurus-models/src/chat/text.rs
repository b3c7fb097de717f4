//! How requests become tokens, and tokens answers.

use chat_model::{ChatRequest, Sampling};
use token_forest::Message;

use super::LocalChatModel;
use crate::generate::{Continuation, Finish, SamplingParams};

/// What stands before a completion.
pub(super) struct Before {
    pub text: String,
    pub tokens: Vec<u32>,
}

impl LocalChatModel {
    /// The tokens that an answer to a request is drawn after, with those that it begins with.
    ///
    /// # Errors
    ///
    /// When the request [cannot be asked](ChatRequest::check), or the chat template refuses its messages.
    pub fn prompt_tokens(&self, request: &ChatRequest) -> chat_model::Result<Vec<u32>> {
        request.check(self)?;
        Ok(self.before_completion(request)?.tokens)
    }

    /// The text of an answer up to a stop text, and why it ended.
    ///
    /// # Errors
    ///
    /// When the tokenizer cannot decode its tokens.
    pub fn text_of(
        &self,
        continuation: &Continuation,
        stop: &[String],
    ) -> chat_model::Result<(String, chat_model::Finish)> {
        let text = self.tokenizer.decode(&continuation.tokens);
        let mut text = text.map_err(|error| self.error(error))?;
        let mut finish = match continuation.finish {
            Finish::Stop => chat_model::Finish::Stop,
            Finish::Length => chat_model::Finish::Length,
        };
        let cut = stop
            .iter()
            .filter(|stop| !stop.is_empty())
            .filter_map(|stop| text.find(stop.as_str()))
            .min();
        if let Some(cut) = cut {
            text.truncate(cut);
            finish = chat_model::Finish::Stop;
        }
        Ok((text, finish))
    }

    /// What stands before the completion: a prompt with how the answer begins.
    pub(super) fn before_completion(&self, request: &ChatRequest) -> chat_model::Result<Before> {
        let error = |error| self.error(error);
        let (text, mut tokens) = match &request.raw_prompt {
            Some(raw) => {
                let tokens = self.tokenizer.encode_raw_prompt(raw).map_err(error)?;
                (raw.clone(), tokens)
            }
            None => {
                let messages: Vec<Message> = request.messages.iter().map(message).collect();
                let tokens = self.tokenizer.encode_prompt(&messages).map_err(error)?;
                (
                    self.tokenizer.prompt_text(&messages).map_err(error)?,
                    tokens,
                )
            }
        };
        let Some(begun) = request.begun_answer() else {
            return Ok(Before { text, tokens });
        };
        tokens.extend(self.after(&text, begun)?);
        Ok(Before {
            text: text + begun,
            tokens,
        })
    }

    pub(super) fn after(&self, before: &str, text: &str) -> chat_model::Result<Vec<u32>> {
        let tokens = self.tokenizer.encode_continuation(before, text);
        tokens.map_err(|error| self.error(error))
    }

    /// Whether a stop text stands in the last tokens of an answer, the newest of which may have completed it.
    pub fn ends_with_stop(&self, tokens: &[u32], stop: &[String]) -> bool {
        let Some(longest) = stop.iter().map(String::len).max().filter(|&len| len > 0) else {
            return false;
        };
        // A token is a byte at least; a few more, since the first of a tail may be half a character.
        let tail = &tokens[tokens.len().saturating_sub(longest + 4)..];
        let text = self.tokenizer.decode(tail).unwrap_or_default();
        stop.iter()
            .any(|stop| !stop.is_empty() && text.contains(stop.as_str()))
    }
}

fn message(message: &chat_model::Message) -> Message {
    match message.role {
        chat_model::Role::System => Message::system(&message.content),
        chat_model::Role::User => Message::user(&message.content),
        chat_model::Role::Assistant => Message::assistant(&message.content),
    }
}

impl From<&Sampling> for SamplingParams {
    /// All but the seed and the stop texts, which are of the prompt and of the text.
    fn from(sampling: &Sampling) -> Self {
        Self {
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            top_k: 0,
            repetition_penalty: 1.0,
            max_tokens: sampling.max_tokens,
        }
    }
}
