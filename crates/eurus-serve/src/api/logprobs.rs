//! Log-probabilities of tokens, in both shapes that the protocol has.

use eurus_models::LocalChatModel;
use eurus_models::generate::TokenScore;
use serde_json::{Map, Value, json};

use super::answers::Shape;
use crate::engine::Drawn;

/// What stands for the logarithm of nothing, which JSON cannot say.
const LEAST: f64 = -9999.0;

/// A token as it is told.
#[derive(Clone)]
pub struct Told {
    pub text: String,
    /// None for the first token of a text.
    pub score: Option<TokenScore>,
}

/// Tokens of an answer, each spelled by itself.
pub fn told(model: &LocalChatModel, tokens: Vec<Drawn>) -> Vec<Told> {
    tokens
        .into_iter()
        .map(|drawn| Told {
            text: spelled(model, drawn.token),
            score: Some(drawn.score),
        })
        .collect()
}

fn spelled(model: &LocalChatModel, token: u32) -> String {
    let text = model.tokenizer().decode_with_special_tokens(&[token]);
    text.unwrap_or_default()
}

/// The text of each token of a whole text: together they are the text. The text of a character of several tokens is that of its
/// last one.
pub fn pieces(model: &LocalChatModel, tokens: &[u32]) -> Vec<String> {
    let decode = |tokens: &[u32]| {
        let text = model.tokenizer().decode_with_special_tokens(tokens);
        text.unwrap_or_default()
    };
    let (mut context, mut read) = (0, 0);
    let mut pieces = Vec::with_capacity(tokens.len());
    for end in 1..=tokens.len() {
        let before = decode(&tokens[context..read]);
        let text = decode(&tokens[context..end]);
        let is_last = end == tokens.len();
        match text.strip_prefix(&before) {
            // Half a character is shown as one that stands for what cannot be read.
            Some(new) if is_last || !text.ends_with(char::REPLACEMENT_CHARACTER) => {
                pieces.push(new.to_owned());
                (context, read) = (read, end);
            }
            _ => pieces.push(String::new()),
        }
    }
    pieces
}

/// The log-probabilities of some tokens. `offset` is where the first of them begins in the text of a completion, in characters, and
/// is moved behind the last.
pub fn logprobs(
    model: &LocalChatModel,
    shape: Shape,
    tokens: &[Told],
    offset: &mut usize,
) -> Value {
    match shape {
        Shape::Chat => {
            let content: Vec<Value> = tokens.iter().map(|token| entry(model, token)).collect();
            json!({"content": content, "refusal": null})
        }
        Shape::Text => {
            let mut offsets = Vec::with_capacity(tokens.len());
            for token in tokens {
                offsets.push(*offset);
                *offset += token.text.chars().count();
            }
            let values = tokens.iter().map(|token| {
                let score = token.score.as_ref();
                score.map(|score| log_prob(score.log_prob))
            });
            json!({
                "tokens": tokens.iter().map(|token| &token.text).collect::<Vec<_>>(),
                "token_logprobs": values.collect::<Vec<_>>(),
                "top_logprobs": tokens.iter().map(|it| likeliest(model, it)).collect::<Vec<_>>(),
                "text_offset": offsets,
            })
        }
    }
}

/// A token in the shape of chats.
fn entry(model: &LocalChatModel, token: &Told) -> Value {
    let Some(score) = &token.score else {
        return Value::Null;
    };
    let likeliest = score.likeliest.iter().map(|&(other, value)| {
        let text = spelled(model, other);
        json!({"token": text, "logprob": log_prob(value), "bytes": bytes(&text)})
    });
    json!({
        "token": token.text,
        "logprob": log_prob(score.log_prob),
        "bytes": bytes(&token.text),
        "top_logprobs": likeliest.collect::<Vec<_>>(),
    })
}

/// The likeliest tokens in the shape of completions: the token itself is always among them.
fn likeliest(model: &LocalChatModel, token: &Told) -> Value {
    let Some(score) = &token.score else {
        return Value::Null;
    };
    let mut all = Map::new();
    for &(other, value) in &score.likeliest {
        // Parts of characters are spelled alike; the likelier one stands.
        all.entry(spelled(model, other))
            .or_insert_with(|| log_prob(value).into());
    }
    all.entry(token.text.clone())
        .or_insert_with(|| log_prob(score.log_prob).into());
    Value::Object(all)
}

fn log_prob(value: f32) -> f64 {
    f64::from(value).max(LEAST)
}

/// The bytes of a token, unless it is a part of a character.
fn bytes(text: &str) -> Option<&[u8]> {
    (!text.contains(char::REPLACEMENT_CHARACTER)).then_some(text.as_bytes())
}
