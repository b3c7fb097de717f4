//! The account of tokens and money.

use serde::{Deserialize, Serialize};

use crate::{ChatRequest, Message};

/// Counts of calls and tokens used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Calls that were sent, repeated ones included.
    pub calls: u64,
    /// Calls that were a repetition of one that failed.
    pub retries: u64,
    /// Tokens sent, in calls that were answered.
    pub prompt_tokens: u64,
    /// Tokens received.
    pub completion_tokens: u64,
    /// Calls in which tokens were [estimated](estimated_tokens), because the server did not count them all.
    pub estimated_calls: u64,
    /// Calls that brought nothing and may have been paid: no answer in time, or a broken one. Their tokens are in no count,
    /// the most that they can have cost is in the [`Budget`](crate::Budget).
    pub uncertain_calls: u64,
}

impl Usage {
    /// The cost of this usage at the given prices, in their currency.
    pub fn cost(&self, prices: &Prices) -> f64 {
        prices.cost(self.prompt_tokens as f64, self.completion_tokens as f64)
    }
}

/// Prices of a model, in any one currency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Price of a million prompt tokens.
    pub prompt_per_million: f64,
    /// Price of a million completion tokens.
    pub completion_per_million: f64,
}

impl Prices {
    /// The cost of so many tokens.
    pub fn cost(&self, prompt_tokens: f64, completion_tokens: f64) -> f64 {
        let prompt = prompt_tokens * self.prompt_per_million;
        let completion = completion_tokens * self.completion_per_million;
        (prompt + completion) / 1e6
    }
}

/// Bytes of text that an estimate takes for a token. Byte-pair vocabularies have 3 (source code) to 4.5 (English); the
/// lower end, so that an estimate errs towards more.
const BYTES_PER_TOKEN: usize = 3;

/// Tokens that a chat template puts around a message, as an estimate has it.
const TOKENS_PER_MESSAGE: usize = 4;

/// The length of a text in tokens where nobody counted it: a token per three bytes, rounded up.
pub fn estimated_tokens(text: &str) -> usize {
    text.len().div_ceil(BYTES_PER_TOKEN)
}

/// The length of a prompt in tokens where nobody counted it: [a token per three bytes](estimated_tokens), and four a
/// message for the template.
pub fn estimated_prompt_tokens(request: &ChatRequest) -> usize {
    texts(request)
        .map(|text| estimated_tokens(text) + TOKENS_PER_MESSAGE)
        .sum()
}

/// More tokens than a prompt can have: one a byte (a byte-level vocabulary never has more), with room for a template and
/// the directions that some templates add.
pub fn most_prompt_tokens(request: &ChatRequest) -> usize {
    64 + texts(request).map(|text| text.len() + 16).sum::<usize>()
}

fn texts(request: &ChatRequest) -> impl Iterator<Item = &str> {
    let contents = request
        .messages
        .iter()
        .map(|Message { content, .. }| content);
    contents
        .chain(&request.raw_prompt)
        .chain(&request.answer_prefix)
        .map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_is_tokens_times_price_per_million() {
        let usage = Usage {
            prompt_tokens: 2_000_000,
            completion_tokens: 500_000,
            ..Usage::default()
        };
        let prices = Prices {
            prompt_per_million: 0.5,
            completion_per_million: 4.0,
        };
        assert_eq!(usage.cost(&prices), 3.0);
    }

    #[test]
    fn an_estimate_counts_all_texts_of_a_request_and_stays_below_the_most() {
        let request = ChatRequest::new([Message::system("abc"), Message::user("defg")])
            .with_answer_prefix("h");
        assert_eq!(
            estimated_prompt_tokens(&request),
            (1 + 4) + (2 + 4) + (1 + 4)
        );
        assert!(most_prompt_tokens(&request) > 8 + 3 * 8);
        assert_eq!(estimated_prompt_tokens(&ChatRequest::raw("abcdef")), 6);
    }
}
