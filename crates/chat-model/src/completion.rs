//! What a chat model answers.

use serde::{Deserialize, Serialize};

/// Why a completion ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finish {
    /// The model ended it, or a stop text was met.
    #[default]
    Stop,
    /// It reached `max_tokens`: the text is cut off.
    Length,
    /// The server withheld part of the text, or ended it for a reason of its own.
    Withheld,
}

/// One sampled continuation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The text, without the stop text and without the [prefix](crate::ChatRequest::answer_prefix) that was given.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Its length in tokens. Where a server reports only the sum over the samples of a call, and no log-probabilities,
    /// the sum is divided in proportion to the bytes of the texts.
    pub tokens: usize,
    /// Its share of the prompt's tokens, which a call for several samples has once.
    #[serde(default)]
    pub prompt_tokens: usize,
    /// Whether `tokens` or `prompt_tokens` were [estimated from the text](crate::estimated_tokens), because the server
    /// did not count them, or counted one of several samples.
    #[serde(default)]
    pub estimated: bool,
    /// What it cost, in the currency of the prices, where these are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// The name under which the model answered, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the model thought before it answered, from servers that keep it apart from the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// The tokens with their log-probabilities, where [asked for](crate::ChatRequest::logprobs).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<TokenLogProb>>,
}

impl Completion {
    /// A completion with its text, end and length, and nothing else known of it.
    pub fn new(text: impl Into<String>, finish: Finish, tokens: usize) -> Self {
        Self {
            text: text.into(),
            finish,
            tokens,
            ..Self::default()
        }
    }

    /// A completion that the model ended itself, its length counted as its whitespace-separated
    /// words: for scripted models, which have no tokenizer.
    pub fn stopped(text: impl Into<String>) -> Self {
        let text = text.into();
        let tokens = text.split_whitespace().count();
        Self::new(text, Finish::Stop, tokens)
    }

    /// The log-probability of the whole completion (natural logarithm), where [asked for](crate::ChatRequest::logprobs).
    pub fn log_prob(&self) -> Option<f64> {
        let tokens = self.logprobs.as_ref()?;
        Some(tokens.iter().map(|token| token.log_prob).sum())
    }
}

/// A token and how likely it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogProb {
    /// The token as text; a part of a character stands as the server writes it.
    pub token: String,
    /// Natural logarithm of its probability given all before it.
    pub log_prob: f64,
}
