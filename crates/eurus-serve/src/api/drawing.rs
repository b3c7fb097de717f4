//! How answers are drawn: what both kinds of requests have in common.

use std::sync::atomic::Ordering;

use axum::http::HeaderMap;
use chat_model::Sampling;
use eurus_models::generate::{Order, Prompt, SamplingParams};
use serde::Deserialize;
use serde_json::{Number, Value};

use super::App;
use super::failure::{Failure, of_chat};
use super::fields::Fields;

/// Texts that end an answer, and characters of each, at most.
const MOST_STOPS: usize = 64;
const LONGEST_STOP: usize = 1024;

/// Most alternatives to each token.
pub const MOST_LIKELIEST: usize = 20;

/// How answers are drawn, and how they are handed over.
pub struct Drawing {
    pub samples: usize,
    pub params: SamplingParams,
    pub stop: Vec<String>,
    seed: u64,
    /// The number of the first sample.
    first: usize,
    pub streamed: bool,
    /// Whether a stream ends with the count of tokens.
    pub with_usage: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stops {
    One(String),
    Some(Vec<String>),
}

#[derive(Deserialize, Default)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
    #[serde(flatten)]
    other: serde_json::Map<String, Value>,
}

impl Drawing {
    /// Takes the fields. `max_tokens` is how long an answer is that does not say; 0 is left to the caller to judge.
    pub fn take(
        app: &App,
        fields: &mut Fields,
        headers: &HeaderMap,
        max_tokens: usize,
    ) -> Result<Self, Failure> {
        let samples = fields.take::<usize>("n")?.unwrap_or(1);
        if samples == 0 {
            return Err(Failure::field("n", "is 0; ask for 1 answer at least"));
        }
        let max_tokens = length(app, fields)?.unwrap_or(max_tokens);
        let temperature = fields.take::<f64>("temperature")?.unwrap_or(1.0);
        let top_p = fields.take::<f64>("top_p")?.unwrap_or(1.0);
        let sampling = Sampling {
            temperature: temperature as f32,
            top_p: top_p as f32,
            max_tokens: max_tokens.max(1),
            ..Sampling::default()
        };
        sampling
            .check()
            .map_err(|error| of_chat(error, "messages"))?;
        let top_k = fields.take::<i64>("top_k")?.unwrap_or(0);
        let penalty = fields.take::<f64>("repetition_penalty")?.unwrap_or(1.0);
        if !(penalty > 0.0 && (penalty as f32).is_finite() && penalty as f32 > 0.0) {
            let problem = format!("is {penalty}; a finite number above 0 is wanted");
            return Err(Failure::field("repetition_penalty", problem));
        }
        let params = SamplingParams {
            // vLLM says -1 for all, others 0.
            top_k: usize::try_from(top_k).unwrap_or(0),
            repetition_penalty: penalty as f32,
            max_tokens,
            ..SamplingParams::from(&sampling)
        };
        let streamed = fields.take::<bool>("stream")?.unwrap_or(false);
        let (seed, first) = seed(app, fields, headers)?;
        Ok(Self {
            samples,
            params,
            stop: stops(fields)?,
            seed,
            first,
            streamed,
            with_usage: with_usage(fields, streamed)?,
        })
    }

    /// The order for answers to a prompt.
    pub fn order(&self, tokens: Vec<u32>, likeliest: usize) -> Order {
        Order {
            prompt: Prompt {
                tokens,
                samples: (self.first..self.first + self.samples).collect(),
                seed: self.seed,
            },
            params: self.params.clone(),
            likeliest,
        }
    }

    /// Refuses more answers than the server gives to one request.
    pub fn check_answers(&self, app: &App, prompts: usize) -> Result<(), Failure> {
        let (answers, most) = (self.samples.saturating_mul(prompts), app.config.max_answers);
        match answers > most {
            true => {
                let problem = format!(
                    "{prompts} prompt(s) with {} answers each are more than the {most} answers that this server gives to one request; ask for fewer at once",
                    self.samples
                );
                Err(Failure::field("n", problem))
            }
            false => Ok(()),
        }
    }
}

/// The longest answer, under its old name or its new one.
fn length(app: &App, fields: &mut Fields) -> Result<Option<usize>, Failure> {
    let old = fields.take::<usize>("max_tokens")?;
    let new = fields.take::<usize>("max_completion_tokens")?;
    let (name, length) = match (old, new) {
        (None, None) => return Ok(None),
        (Some(old), None) => ("max_tokens", old),
        (None, Some(new)) => ("max_completion_tokens", new),
        (Some(old), Some(new)) if old == new => ("max_completion_tokens", new),
        (Some(_), Some(_)) => {
            let problem = "says something else than `max_tokens`; give one of them";
            return Err(Failure::field("max_completion_tokens", problem));
        }
    };
    let most = app.config.max_answer_tokens;
    if length > most {
        let problem =
            format!("is {length}, and this server writes {most} tokens at most; ask for no more");
        return Err(Failure::field(name, problem));
    }
    Ok(Some(length))
}

fn stops(fields: &mut Fields) -> Result<Vec<String>, Failure> {
    let Some(value) = fields.take::<Value>("stop")? else {
        return Ok(Vec::new());
    };
    let stops = match serde_json::from_value(value) {
        Ok(Stops::One(stop)) => vec![stop],
        Ok(Stops::Some(stops)) => stops,
        Err(_) => {
            return Err(Failure::field(
                "stop",
                "is neither a text nor a list of texts",
            ));
        }
    };
    if stops.len() > MOST_STOPS || stops.iter().any(|stop| stop.len() > LONGEST_STOP) {
        let problem = format!(
            "has more than {MOST_STOPS} texts, or one of more than {LONGEST_STOP} bytes; give fewer or shorter ones"
        );
        return Err(Failure::field("stop", problem));
    }
    Ok(stops)
}

fn with_usage(fields: &mut Fields, streamed: bool) -> Result<bool, Failure> {
    let Some(options) = fields.take::<StreamOptions>("stream_options")? else {
        return Ok(false);
    };
    if !streamed {
        let problem = "is for answers that are streamed; set `stream`, or leave it out";
        return Err(Failure::field("stream_options", problem));
    }
    // Padding against eavesdroppers, and counts with every piece.
    let is_off = |value: &Value| value.is_null() || value == &Value::Bool(false);
    if let Some((name, _)) = options.other.iter().find(|(_, value)| !is_off(value)) {
        let shown: String = name.chars().take(80).collect();
        let problem = "this server cannot do that; leave the field out";
        return Err(Failure::field(&format!("stream_options.{shown}"), problem));
    }
    Ok(options.include_usage)
}

/// The seed, and the number of the first sample that is drawn from it. Clients of this workspace say both in headers, so that a
/// server draws what the model would in their process, however samples are shared out between calls. A request without a seed gets
/// one of its own.
fn seed(app: &App, fields: &mut Fields, headers: &HeaderMap) -> Result<(u64, usize), Failure> {
    let in_body = match fields.take::<Number>("seed")? {
        None => None,
        Some(number) => {
            let seed = number.as_u64();
            let seed = seed.or(number.as_i64().map(i64::cast_unsigned));
            let problem = "is no whole number of 64 bits; give one, or leave it out";
            Some(seed.ok_or_else(|| Failure::field("seed", problem))?)
        }
    };
    let in_header = |name: &'static str| match headers.get(name) {
        None => Ok(None),
        Some(value) => {
            let number = value.to_str().ok().and_then(|it| it.parse::<u64>().ok());
            let problem = "is no whole number of at least 0; give one, or leave the header out";
            number
                .map(Some)
                .ok_or_else(|| Failure::field(name, problem))
        }
    };
    let first = in_header(chat_model::FIRST_SAMPLE_HEADER)?.unwrap_or(0);
    if first > u64::from(u32::MAX) {
        let problem = "is too large; there are no so many samples";
        return Err(Failure::field(chat_model::FIRST_SAMPLE_HEADER, problem));
    }
    let seed = in_header(chat_model::SEED_HEADER)?.or(in_body);
    let seed = seed.unwrap_or_else(|| app.metrics.unseeded.fetch_add(1, Ordering::Relaxed));
    Ok((seed, first as usize))
}
