//! The bodies that go over the wire.

use serde::{Deserialize, Serialize};

use super::config::{OpenAiConfig, TokenLimitField};
use crate::{ChatRequest, Completion, Finish, Message};

/// The JSON body of a request for chat completions.
#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: &'a [Message],
    n: usize,
    temperature: f32,
    top_p: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<usize>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(flatten)]
    extra: &'a serde_json::Map<String, serde_json::Value>,
}

/// The body of a call for `samples` completions, `done` of the request being there already.
pub(super) fn encode(
    config: &OpenAiConfig,
    request: &ChatRequest,
    samples: usize,
    done: usize,
) -> serde_json::Result<Vec<u8>> {
    let sampling = &request.sampling;
    let limit = |field| (config.token_limit_field == field).then_some(sampling.max_tokens);
    serde_json::to_vec(&Body {
        model: &config.model,
        messages: &request.messages,
        n: samples,
        temperature: sampling.temperature,
        top_p: sampling.top_p,
        max_tokens: limit(TokenLimitField::MaxTokens),
        max_completion_tokens: limit(TokenLimitField::MaxCompletionTokens),
        stop: &sampling.stop,
        seed: config.send_seed.then(|| call_seed(sampling.seed, done)),
        extra: &config.extra_body,
    })
}

/// The seed of a call. A server that is asked again must not give the same samples again, and some
/// servers keep seeds in 32 signed bits.
fn call_seed(seed: u64, done: usize) -> u64 {
    let folded = seed ^ (seed >> 32);
    (folded.wrapping_add(done as u64)) & 0x7fff_ffff
}

/// The JSON body of a reply, as far as it is needed.
#[derive(Deserialize)]
struct Reply {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: usize,
    message: ReplyMessage,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct ReplyMessage {
    #[serde(default)]
    content: Option<String>,
}

/// The server's count.
#[derive(Deserialize, Default, Clone, Copy)]
pub(super) struct Tokens {
    #[serde(default)]
    pub prompt_tokens: u64,
    #[serde(default)]
    pub completion_tokens: u64,
}

/// The completions in an answer, at most `samples` and at least one, and the server's count.
pub(super) fn decode(body: &[u8], samples: usize) -> Result<(Vec<Completion>, Tokens), String> {
    let mut reply: Reply = serde_json::from_slice(body)
        .map_err(|error| format!("the answer is not a chat completion ({error})"))?;
    if reply.choices.is_empty() {
        return Err("the answer has no choices".to_owned());
    }
    // A stable sort, so that choices of a server that sends no indices keep their order.
    reply.choices.sort_by_key(|choice| choice.index);
    let tokens = reply.usage.unwrap_or_default();
    let texts: Vec<(String, Finish)> = reply
        .choices
        .into_iter()
        .map(|choice| {
            let finish = match choice.finish_reason.as_deref() {
                Some("length") => Finish::Length,
                None | Some("stop" | "eos" | "end_turn") => Finish::Stop,
                Some(_) => Finish::Withheld,
            };
            (choice.message.content.unwrap_or_default(), finish)
        })
        .collect();
    let bytes: usize = texts.iter().map(|(text, _)| text.len()).sum();
    let completions = texts
        .into_iter()
        .take(samples)
        .map(|(text, finish)| {
            let share = text.len() as f64 / bytes.max(1) as f64;
            Completion {
                tokens: (tokens.completion_tokens as f64 * share).round() as usize,
                text,
                finish,
            }
        })
        .collect();
    Ok((completions, tokens))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sampling;

    #[test]
    fn the_body_has_the_fields_of_the_protocol_and_the_extra_ones() {
        let mut config = OpenAiConfig::new("http://h/v1", "m");
        config.extra_body.insert("top_k".into(), 40.into());
        let request =
            ChatRequest::new([Message::system("s"), Message::user("u")]).with_sampling(Sampling {
                temperature: 0.5,
                top_p: 1.0,
                max_tokens: 7,
                stop: vec!["\n".into()],
                seed: 9,
            });
        let body: serde_json::Value =
            serde_json::from_slice(&encode(&config, &request, 3, 0).unwrap()).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "model": "m",
                "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
                "n": 3, "temperature": 0.5, "top_p": 1.0, "max_tokens": 7, "stop": ["\n"],
                "seed": 9, "top_k": 40,
            })
        );
    }

    #[test]
    fn the_newer_name_of_the_length_limit_replaces_the_older_one() {
        let mut config = OpenAiConfig::new("http://h/v1", "m");
        config.token_limit_field = TokenLimitField::MaxCompletionTokens;
        config.send_seed = false;
        let request = ChatRequest::new([Message::user("u")]);
        let body: serde_json::Value =
            serde_json::from_slice(&encode(&config, &request, 1, 0).unwrap()).unwrap();
        assert_eq!(body["max_completion_tokens"], 512);
        assert!(body.get("max_tokens").is_none());
        assert!(body.get("seed").is_none());
        assert!(body.get("stop").is_none());
    }

    #[test]
    fn seeds_stay_in_31_bits_and_differ_from_call_to_call() {
        assert_ne!(call_seed(u64::MAX, 0), call_seed(u64::MAX, 1));
        assert!(call_seed(u64::MAX - 5, 3) <= 0x7fff_ffff);
        assert_ne!(call_seed(1, 0), call_seed(2, 0));
    }

    #[test]
    fn choices_come_back_in_the_order_of_their_index_and_share_the_token_count() {
        let body = br#"{"choices": [
            {"index": 1, "message": {"content": "bbb"}, "finish_reason": "length"},
            {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"},
            {"index": 2, "message": {"content": null}, "finish_reason": "content_filter"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 8}}"#;
        let (completions, tokens) = decode(body, 3).unwrap();
        let found: Vec<_> = completions
            .iter()
            .map(|c| (c.text.as_str(), c.finish, c.tokens))
            .collect();
        assert_eq!(
            found,
            [
                ("a", Finish::Stop, 2),
                ("bbb", Finish::Length, 6),
                ("", Finish::Withheld, 0)
            ]
        );
        assert_eq!((tokens.prompt_tokens, tokens.completion_tokens), (5, 8));
    }
}
