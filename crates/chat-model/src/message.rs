//! Messages, requests and completions: the input and output of a chat model.

use serde::{Deserialize, Serialize};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Standing directions for the whole conversation.
    System,
    /// The side that asks.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The text of the message, plain.
    pub content: String,
}

impl Message {
    /// A message of the system.
    pub fn system(content: impl Into<String>) -> Self {
        Self {
            role: Role::System,
            content: content.into(),
        }
    }

    /// A message of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self {
            role: Role::User,
            content: content.into(),
        }
    }

    /// A message of the model.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self {
            role: Role::Assistant,
            content: content.into(),
        }
    }
}

/// How completions are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Softness of the distribution; 0 takes the most likely token every time. Default 1.
    pub temperature: f32,
    /// Sample from the smallest set of tokens whose probabilities sum to this. Default 1 (all).
    pub top_p: f32,
    /// Longest completion, in tokens. Default 512.
    pub max_tokens: usize,
    /// Texts that end a completion; they are not part of it. Default none.
    pub stop: Vec<String>,
    /// Seed of the draw. A model that honors it answers the same request the same way. Default 0.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 1.0,
            max_tokens: 512,
            stop: Vec::new(),
            seed: 0,
        }
    }
}

/// A conversation that is to be continued, and how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The conversation, oldest message first.
    pub messages: Vec<Message>,
    /// How many completions to draw.
    pub samples: usize,
    /// How to draw them.
    pub sampling: Sampling,
}

impl ChatRequest {
    /// One completion of a conversation, with default sampling.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        Self {
            messages: messages.into_iter().collect(),
            samples: 1,
            sampling: Sampling::default(),
        }
    }

    /// Sets how many completions to draw.
    pub fn with_samples(mut self, samples: usize) -> Self {
        self.samples = samples;
        self
    }

    /// Sets how completions are drawn.
    pub fn with_sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }
}

/// Why a completion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finish {
    /// The model ended it, or a stop text was met.
    Stop,
    /// It reached `max_tokens`: the text is cut off.
    Length,
    /// The server withheld part of the text, or ended it for a reason of its own.
    Withheld,
}

/// One sampled continuation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// The text, without the stop text.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Its length in tokens. Servers report only the sum over the samples of a call; the client
    /// divides that in proportion to the bytes of the texts.
    pub tokens: usize,
}

impl Completion {
    /// A completion that the model ended itself, its length counted as its whitespace-separated
    /// words: for scripted models, which have no tokenizer.
    pub fn stopped(text: impl Into<String>) -> Self {
        let text = text.into();
        let tokens = text.split_whitespace().count();
        Self {
            text,
            finish: Finish::Stop,
            tokens,
        }
    }
}
