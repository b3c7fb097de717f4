//! The bodies that are sent.

use serde_json::{Map, Value, json};

use super::config::{OpenAiConfig, TokenLimitField};
use super::http::Path;
use crate::{ChatRequest, FIRST_SAMPLE_HEADER, SEED_HEADER};

/// A call for some samples of a request, with indices that follow each other.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub request: &'a ChatRequest,
    /// Index of the first sample.
    pub first: usize,
    /// How many samples.
    pub samples: usize,
    /// Whether the answer is to come piece by piece.
    pub streamed: bool,
}

/// What is sent.
pub(super) struct Body {
    pub json: Vec<u8>,
    /// Headers with whole numbers.
    pub headers: Vec<(&'static str, u64)>,
}

impl Body {
    /// A body with nothing beside it.
    pub fn of(json: &Value) -> Self {
        Self {
            json: json.to_string().into_bytes(),
            headers: Vec::new(),
        }
    }
}

impl Ask<'_> {
    pub fn path(&self) -> Path {
        match self.request.raw_prompt {
            Some(_) => Path::Completions,
            None => Path::Chat,
        }
    }
}

/// The body of a call.
pub(super) fn encode(config: &OpenAiConfig, ask: &Ask<'_>) -> Body {
    let Ask { request, .. } = ask;
    let sampling = &request.sampling;
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("model", json!(config.model));
    let limit = match &request.raw_prompt {
        Some(raw) => {
            let prefix = request.begun_answer().unwrap_or_default();
            set("prompt", json!(format!("{raw}{prefix}")));
            "max_tokens"
        }
        None => {
            let mut messages = json!(request.messages);
            if let (Some(prefix), Some(list)) = (request.begun_answer(), messages.as_array_mut()) {
                list.push(json!({"role": "assistant", "content": prefix}));
                set("continue_final_message", json!(true));
                set("add_generation_prompt", json!(false));
            }
            set("messages", messages);
            match config.token_limit_field {
                TokenLimitField::MaxTokens => "max_tokens",
                TokenLimitField::MaxCompletionTokens => "max_completion_tokens",
            }
        }
    };
    set(limit, json!(sampling.max_tokens));
    set("n", json!(ask.samples));
    set("temperature", decimal(sampling.temperature));
    set("top_p", decimal(sampling.top_p));
    if !sampling.stop.is_empty() {
        set("stop", json!(sampling.stop));
    }
    if config.send_seed {
        set("seed", json!(sample_seed(sampling.seed, ask.first)));
    }
    if request.logprobs {
        set(
            "logprobs",
            match ask.path() {
                Path::Chat => json!(true),
                // The number of alternatives; with 0 some servers leave out the token itself.
                Path::Completions => json!(1),
            },
        );
    }
    if ask.streamed {
        set("stream", json!(true));
        set("stream_options", json!({"include_usage": true}));
    }
    for (name, value) in &config.extra_body {
        set(name, value.clone());
    }
    let headers = match config.send_seed {
        true => vec![
            (SEED_HEADER, sampling.seed),
            (FIRST_SAMPLE_HEADER, ask.first as u64),
        ],
        false => Vec::new(),
    };
    Body {
        headers,
        ..Body::of(&Value::Object(body))
    }
}

/// A float in the digits it was given with: 0.7, not 0.699999988079071.
fn decimal(value: f32) -> Value {
    let shortest = value.to_string().parse::<f64>().unwrap_or(value.into());
    json!(shortest)
}

/// The seed of a sample: that of the request, spread out, plus the index.
///
/// A call carries the seed of its first sample, and servers that give their j-th choice the seed plus j (vLLM, llama.cpp)
/// thus draw a sample with the same seed however samples are grouped into calls. Spread out, because callers who draw
/// again take the next seed, which must not give sample 1 of the last draw as sample 0. Some servers keep 32 signed bits.
pub(super) fn sample_seed(seed: u64, sample: usize) -> u64 {
    // The finalizer of splitmix64.
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed & 0x3fff_ffff) + (sample as u64 & 0x3fff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, Sampling};

    fn body(config: &OpenAiConfig, request: &ChatRequest, samples: usize, first: usize) -> Value {
        let ask = Ask {
            request,
            first,
            samples,
            streamed: false,
        };
        serde_json::from_slice(&encode(config, &ask).json).unwrap()
    }

    #[test]
    fn the_body_has_the_fields_of_the_protocol_and_the_extra_ones() {
        let mut config = OpenAiConfig::new("http://h/v1", "m");
        config.extra_body.insert("top_k".into(), 40.into());
        config.extra_body.insert("top_p".into(), 0.5.into());
        let request =
            ChatRequest::new([Message::system("s"), Message::user("u")]).with_sampling(Sampling {
                temperature: 0.7,
                top_p: 1.0,
                max_tokens: 7,
                stop: vec!["\n".into()],
                seed: 9,
            });
        assert_eq!(
            body(&config, &request, 3, 2),
            json!({
                "model": "m",
                "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
                "n": 3, "temperature": 0.7, "top_p": 0.5, "max_tokens": 7, "stop": ["\n"],
                "seed": sample_seed(9, 2), "top_k": 40,
            })
        );
    }

    #[test]
    fn the_seed_of_the_caller_and_the_first_sample_stand_in_headers_unless_no_seed_is_sent() {
        let mut config = OpenAiConfig::new("http://h/v1", "m");
        let request = ChatRequest::new([Message::user("u")]).with_sampling(Sampling {
            seed: u64::MAX,
            ..Sampling::default()
        });
        let ask = Ask {
            request: &request,
            first: 5,
            samples: 2,
            streamed: false,
        };
        let headers = encode(&config, &ask).headers;
        assert_eq!(headers, [(SEED_HEADER, u64::MAX), (FIRST_SAMPLE_HEADER, 5)]);
        config.send_seed = false;
        assert!(encode(&config, &ask).headers.is_empty());
    }

    #[test]
    fn the_newer_name_of_the_length_limit_replaces_the_older_one() {
        let mut config = OpenAiConfig::new("http://h/v1", "m");
        config.token_limit_field = TokenLimitField::MaxCompletionTokens;
        config.send_seed = false;
        let body = body(&config, &ChatRequest::new([Message::user("u")]), 1, 0);
        assert_eq!(body["max_completion_tokens"], 512);
        for absent in ["max_tokens", "seed", "stop", "logprobs", "stream"] {
            assert!(body.get(absent).is_none(), "{absent}");
        }
    }

    #[test]
    fn a_begun_answer_is_a_last_message_or_the_end_of_a_raw_prompt() {
        let config = OpenAiConfig::new("http://h/v1", "m");
        let chat = ChatRequest::new([Message::user("u")]).with_answer_prefix("def ");
        let chat = body(&config, &chat, 1, 0);
        assert_eq!(
            chat["messages"][1],
            json!({"role": "assistant", "content": "def "})
        );
        assert_eq!(chat["continue_final_message"], true);
        assert_eq!(chat["add_generation_prompt"], false);
        let raw = ChatRequest::raw("u:")
            .with_answer_prefix("def ")
            .with_logprobs();
        let raw = body(&config, &raw, 1, 0);
        assert_eq!(raw["prompt"], "u:def ");
        assert_eq!(raw["logprobs"], 1);
        assert!(raw.get("messages").is_none());
    }

    #[test]
    fn seeds_stay_in_31_bits_count_up_with_the_sample_and_differ_between_requests() {
        assert_eq!(sample_seed(7, 5), sample_seed(7, 0) + 5);
        for seed in [0, 1, 2, u64::MAX] {
            assert!(sample_seed(seed, 1 << 20) <= 0x7fff_ffff);
            assert!(sample_seed(seed, 0).abs_diff(sample_seed(seed.wrapping_add(1), 0)) > 1000);
        }
    }
}
