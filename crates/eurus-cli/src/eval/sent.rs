//! What a model reads of a request.

use anyhow::Result;
use eurus::chat::{self, ChatRequest};
use eurus::eval::tasks::{Bos, Item};
use eurus::forest::{ChatTokenizer, Message};

/// A request as a model reads it.
pub struct Sent {
    /// The whole text, with how the answer begins.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// The token that the tokenizer begins texts with, and how often it stands at the start. None for one that begins them with
    /// nothing.
    pub bos: Option<(String, usize)>,
    /// Whether the template refuses messages of the system, so that their text begins the user's first.
    pub without_system: bool,
}

impl Sent {
    /// The first request of an item.
    pub fn new(item: &Item, bos: Bos, tokenizer: &ChatTokenizer) -> Result<Self> {
        let prefix = item.request.answer_prefix.as_deref().unwrap_or_default();
        let (text, tokens, without_system) = match &item.request.raw_prompt {
            Some(raw) => {
                let text = format!("{raw}{prefix}");
                let tokens = tokenizer.encode_raw_prompt(&text)?;
                (text, tokens, false)
            }
            None => {
                let (prompt, messages, without_system) = prompt(item, tokenizer)?;
                let text = format!("{prompt}{prefix}");
                let tokens = match bos {
                    Bos::Twice => tokenizer.encode_raw_prompt(&text)?,
                    Bos::Template => {
                        let mut tokens = tokenizer.encode_prompt(&messages)?;
                        if !prefix.is_empty() {
                            tokens.extend(tokenizer.encode_continuation(&prompt, prefix)?);
                        }
                        tokens
                    }
                };
                (text, tokens, without_system)
            }
        };
        let begin = tokenizer.encode_raw_prompt("")?.first().copied();
        let bos = begin.map(|begin| {
            let count = tokens.iter().take_while(|token| **token == begin).count();
            (tokenizer.token(begin).unwrap_or_default(), count)
        });
        Ok(Self {
            text,
            tokens,
            bos,
            without_system,
        })
    }
}

/// The text that the template makes, of which messages, and whether those of the system had to be taken into the user's.
fn prompt(item: &Item, tokenizer: &ChatTokenizer) -> Result<(String, Vec<Message>, bool)> {
    let whole = messages(&item.request);
    let refused = match tokenizer.prompt_text(&whole) {
        Ok(text) => return Ok((text, whole, false)),
        Err(error) => error,
    };
    let has_system = |request: &ChatRequest| {
        let mut roles = request.messages.iter().map(|message| message.role);
        roles.any(|role| role == chat::Role::System)
    };
    if !has_system(&item.request) {
        return Err(refused.into());
    }
    let messages = messages(&item.request_without_system());
    Ok((tokenizer.prompt_text(&messages)?, messages, true))
}

fn messages(request: &ChatRequest) -> Vec<Message> {
    let messages = request.messages.iter();
    let message = |message: &chat::Message| match message.role {
        chat::Role::System => Message::system(&message.content),
        chat::Role::User => Message::user(&message.content),
        chat::Role::Assistant => Message::assistant(&message.content),
    };
    messages.map(message).collect()
}
