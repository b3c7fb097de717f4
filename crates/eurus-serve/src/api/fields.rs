//! The fields of a request, each taken by name, so that none is overlooked.

use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::failure::Failure;

/// Names that are as like as this are the same name misspelt.
const ALIKE: f64 = 0.85;

/// Fields that no answer depends on: labels, and how the caller is billed.
const WITHOUT_EFFECT: [&str; 6] = [
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "safety_identifier",
    "service_tier",
    "user",
];

/// Fields of the protocol that the model cannot heed, with values that ask for nothing.
const NEUTRAL: [(&str, &[&str]); 26] = [
    ("add_special_tokens", &["true"]),
    ("audio", &[]),
    ("best_of", &["1"]),
    ("frequency_penalty", &["0", "0.0"]),
    ("function_call", &["\"none\"", "\"auto\""]),
    ("functions", &["[]"]),
    ("ignore_eos", &["false"]),
    ("include_stop_str_in_output", &["false"]),
    ("length_penalty", &["1", "1.0"]),
    ("logit_bias", &["{}"]),
    ("min_p", &["0", "0.0"]),
    ("min_tokens", &["0"]),
    ("modalities", &["[\"text\"]"]),
    ("prediction", &[]),
    ("presence_penalty", &["0", "0.0"]),
    ("reasoning_effort", &[]),
    ("response_format", &["{\"type\":\"text\"}"]),
    ("skip_special_tokens", &["true"]),
    ("stop_token_ids", &["[]"]),
    ("store", &["false"]),
    ("suffix", &["\"\""]),
    ("tool_choice", &["\"none\"", "\"auto\""]),
    ("tools", &["[]"]),
    ("use_beam_search", &["false"]),
    ("verbosity", &[]),
    ("web_search_options", &[]),
];

/// What is left of a request.
pub struct Fields {
    fields: Map<String, Value>,
    asked_for: Vec<&'static str>,
}

impl Fields {
    pub fn read(body: &[u8]) -> Result<Self, Failure> {
        let malformed = |problem: String| Failure::new(StatusCode::BAD_REQUEST, problem);
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self {
                fields,
                asked_for: Vec::new(),
            }),
            Ok(other) => Err(malformed(format!(
                "the body is {}; send a JSON object",
                kind(&other)
            ))),
            Err(error) => Err(malformed(format!(
                "the body is no JSON: {error}; send a JSON object"
            ))),
        }
    }

    /// The value of a field, unless it is missing or null.
    pub fn take<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<Option<T>, Failure> {
        self.asked_for.push(name);
        match self.fields.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match serde_json::from_value(value) {
                Ok(value) => Ok(Some(value)),
                Err(error) => Err(Failure::field(name, error)),
            },
        }
    }

    /// A field that must be there.
    pub fn require<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T, Failure> {
        let value = self.take(name)?;
        value.ok_or_else(|| Failure::field(name, "is missing; give it"))
    }

    /// Leaves out a field whose value has no effect.
    pub fn ignore(&mut self, name: &'static str) {
        self.asked_for.push(name);
        self.fields.remove(name);
    }

    /// Refuses what is left, unless it asks for nothing.
    pub fn finish(self) -> Result<(), Failure> {
        for (name, value) in &self.fields {
            if value.is_null() || WITHOUT_EFFECT.contains(&name.as_str()) {
                continue;
            }
            let text = value.to_string();
            match NEUTRAL.iter().find(|(known, _)| known == name) {
                Some((_, neutral)) if neutral.contains(&text.as_str()) => {}
                Some(_) => {
                    let problem = "this server cannot do that; leave the field out";
                    return Err(Failure::field(name, problem).with_code("unsupported_parameter"));
                }
                None => return Err(self.unknown(name)),
            }
        }
        Ok(())
    }

    fn unknown(&self, name: &str) -> Failure {
        let known = self.asked_for.iter().copied();
        let known = known.chain(NEUTRAL.iter().map(|(name, _)| *name));
        let likeness = known.map(|known| (strsim::jaro_winkler(name, known), known));
        let nearest = likeness.max_by(|a, b| a.0.total_cmp(&b.0));
        let advice = match nearest {
            Some((likeness, nearest)) if likeness >= ALIKE => format!("did you mean `{nearest}`?"),
            _ => "leave it out".to_owned(),
        };
        let shown: String = name.chars().take(80).collect();
        Failure::field(&shown, format!("there is no such field; {advice}"))
            .with_code("unknown_parameter")
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
