//! Settings of the client.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, Prices, Result};

/// Settings of an [`OpenAiClient`](crate::OpenAiClient). Unknown fields in a file are an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenAiConfig {
    /// Root of the API, e.g. `https://api.openai.com/v1`; `/chat/completions` is added to it.
    pub base_url: String,
    /// Name of the model on the server.
    pub model: String,
    /// Environment variable that holds the API key; none for servers that need no key.
    #[serde(default)]
    pub api_key_env: Option<String>,
    /// Limit on one call that is not streamed, from connecting to the last byte, in seconds. Default 120.
    #[serde(default = "default_timeout_seconds")]
    pub timeout_seconds: f64,
    /// Limit on the silence of a server in a call that is streamed, in seconds; the first text must come within it too.
    /// Default 60.
    #[serde(default = "default_idle_timeout_seconds")]
    pub idle_timeout_seconds: f64,
    /// Whether all calls are streamed: a long answer is then cut off by silence, not by its length. Default false.
    #[serde(default)]
    pub stream: bool,
    /// How many calls of the client and its clones are under way at once. Default 8.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
    /// The most calls that are begun within any minute. Default no limit.
    #[serde(default)]
    pub requests_per_minute: Option<u32>,
    /// The most tokens, of prompts and completions, of calls begun within any minute; the longest that a completion can be
    /// counts until its length is known. Default no limit.
    #[serde(default)]
    pub tokens_per_minute: Option<u64>,
    /// The most samples asked for in one call. Servers that limit or ignore `n` are found out without it. Default no limit.
    #[serde(default)]
    pub max_samples_per_call: Option<usize>,
    /// Retries and waiting times for calls that fail for a passing reason.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// Prices of the model; without them only tokens are counted.
    #[serde(default)]
    pub prices: Option<Prices>,
    /// The most to spend, in the currency of `prices`: see [`Budget`](crate::Budget). Default no limit.
    #[serde(default)]
    pub budget: Option<f64>,
    /// Under which name the length limit is sent.
    #[serde(default)]
    pub token_limit_field: TokenLimitField,
    /// Whether the seed is sent; some servers refuse it. Default true.
    #[serde(default = "default_send_seed")]
    pub send_seed: bool,
    /// Whether an answer by another model than `model` is taken. The same name with a version (`gpt-4o-2024-08-06` for
    /// `gpt-4o`) or another path before it (`openai/gpt-4o`) is taken always. Default false.
    #[serde(default)]
    pub accept_other_model: bool,
    /// How the server goes on with an answer that the caller begins.
    #[serde(default)]
    pub answer_prefix: PrefixSupport,
    /// Further fields of the request body, for options of one server (`top_k`, ...). They win over those of the client,
    /// except for what the client must know itself.
    #[serde(default)]
    pub extra_body: serde_json::Map<String, serde_json::Value>,
}

fn default_timeout_seconds() -> f64 {
    120.0
}

fn default_idle_timeout_seconds() -> f64 {
    60.0
}

fn default_concurrency() -> usize {
    8
}

fn default_send_seed() -> bool {
    true
}

/// Fields of the body from which the client knows what it asked for, and what that can cost.
const OWN_FIELDS: [&str; 11] = [
    "model",
    "messages",
    "prompt",
    "n",
    "best_of",
    "max_tokens",
    "max_completion_tokens",
    "stream",
    "stream_options",
    "echo",
    "logprobs",
];

impl OpenAiConfig {
    /// Settings with defaults for all but the server and the model.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            model: model.into(),
            api_key_env: None,
            timeout_seconds: default_timeout_seconds(),
            idle_timeout_seconds: default_idle_timeout_seconds(),
            stream: false,
            concurrency: default_concurrency(),
            requests_per_minute: None,
            tokens_per_minute: None,
            max_samples_per_call: None,
            retry: RetryPolicy::default(),
            prices: None,
            budget: None,
            token_limit_field: TokenLimitField::default(),
            send_seed: default_send_seed(),
            accept_other_model: false,
            answer_prefix: PrefixSupport::default(),
            extra_body: serde_json::Map::new(),
        }
    }

    /// Names the environment variable that holds the API key.
    pub fn with_api_key_env(mut self, variable: impl Into<String>) -> Self {
        self.api_key_env = Some(variable.into());
        self
    }

    /// Checks every field.
    pub(crate) fn validate(&self) -> Result<()> {
        let authority = self
            .base_url
            .strip_prefix("https://")
            .or_else(|| self.base_url.strip_prefix("http://"))
            .map(|rest| rest.split('/').next().unwrap_or(rest));
        match authority {
            None | Some("") => {
                return invalid("base_url", "must be http://HOST/... or https://HOST/...");
            }
            Some(authority) if authority.contains('@') => {
                return invalid(
                    "base_url",
                    "must not hold a user or password; name an environment variable in `api_key_env`",
                );
            }
            Some(_) if self.base_url.contains(['?', '#']) => {
                return invalid("base_url", "must not hold a query or fragment");
            }
            Some(_) => {}
        }
        if self.model.trim().is_empty() {
            return invalid("model", "is empty; name the model as the server calls it");
        }
        for (field, seconds) in [
            ("timeout_seconds", self.timeout_seconds),
            ("idle_timeout_seconds", self.idle_timeout_seconds),
        ] {
            if !(seconds > 0.0 && seconds <= 86_400.0) {
                return invalid(field, "must be above 0 and at most 86400");
            }
        }
        for (field, is_zero) in [
            ("concurrency", self.concurrency == 0),
            ("requests_per_minute", self.requests_per_minute == Some(0)),
            ("tokens_per_minute", self.tokens_per_minute == Some(0)),
            ("max_samples_per_call", self.max_samples_per_call == Some(0)),
        ] {
            if is_zero {
                return invalid(field, "must be at least 1");
            }
        }
        for own in OWN_FIELDS {
            if self.extra_body.contains_key(own) {
                return Err(Error::Config {
                    field: "extra_body",
                    problem: format!("must not hold `{own}`, which the client sets itself"),
                });
            }
        }
        if let Some(prices) = &self.prices {
            let each = [prices.prompt_per_million, prices.completion_per_million];
            if each
                .iter()
                .any(|price| !(price.is_finite() && *price >= 0.0))
            {
                return invalid("prices", "must be finite numbers of at least 0");
            }
        }
        if self.budget.is_some() && self.prices.is_none() {
            return invalid(
                "budget",
                "needs `prices`, without which nothing can be counted against it",
            );
        }
        self.retry.validate()
    }
}

/// How calls are repeated that failed for a passing reason: status 408, 409, 425, 429 or 5xx, no answer in time, a broken
/// connection, an answer that is cut off, is no JSON, has another shape than the protocol's or is an error with status 200.
///
/// The wait doubles from `first_wait_seconds` up to `longest_wait_seconds`, with jitter; what the server asks for
/// (`retry-after-ms`, `retry-after`, `x-ratelimit-reset-requests`, `x-ratelimit-reset-tokens`) is honored when it is longer,
/// and after a status 429 holds back the other calls of the client too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// How often a call is repeated before giving up. Default 8.
    pub retries: usize,
    /// The first wait, in seconds. Default 1.
    pub first_wait_seconds: f64,
    /// The longest wait, in seconds. A server that asks for more ends the call with an error that
    /// [says how long](crate::Error::retry_after). Default 60.
    pub longest_wait_seconds: f64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 8,
            first_wait_seconds: 1.0,
            longest_wait_seconds: 60.0,
        }
    }
}

impl RetryPolicy {
    fn validate(&self) -> Result<()> {
        let (first, longest) = (self.first_wait_seconds, self.longest_wait_seconds);
        if !(first >= 0.0 && longest >= first && longest <= 86_400.0) {
            return invalid(
                "retry",
                "needs 0 <= first_wait_seconds <= longest_wait_seconds <= 86400",
            );
        }
        Ok(())
    }

    pub(crate) fn first_wait(&self) -> Duration {
        Duration::from_secs_f64(self.first_wait_seconds)
    }

    pub(crate) fn longest_wait(&self) -> Duration {
        Duration::from_secs_f64(self.longest_wait_seconds)
    }
}

/// Under which name the length limit of a completion is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenLimitField {
    /// `max_tokens`, which most servers know.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`, which newer OpenAI models insist on.
    MaxCompletionTokens,
}

/// How a server goes on with an answer that the caller begins, which is sent as a last message of the assistant with
/// `continue_final_message` and without `add_generation_prompt` (vLLM, SGLang; llama.cpp needs neither).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrefixSupport {
    /// Found out by three calls for one token each, before the first request with a prefix and before the first such that
    /// is streamed: whether the prompt grows by the prefix alone, and whether the prefix stands in the answer. A server for
    /// which this does not show is an error.
    #[default]
    FindOut,
    /// It goes on, and answers with what follows.
    Continues,
    /// It goes on, and repeats the prefix in its answer.
    Repeats,
    /// It cannot: such requests are errors.
    Unsupported,
}

fn invalid<T>(field: &'static str, problem: &str) -> Result<T> {
    Err(Error::Config {
        field,
        problem: problem.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_of(change: impl FnOnce(&mut OpenAiConfig)) -> String {
        let mut config = OpenAiConfig::new("http://localhost:8000/v1", "m");
        config.validate().unwrap();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn each_impossible_setting_is_named() {
        assert!(problem_of(|c| c.base_url = "localhost:8000".into()).contains("base_url"));
        assert!(problem_of(|c| c.base_url = "https://".into()).contains("base_url"));
        assert!(problem_of(|c| c.base_url = "https://me:pw@host/v1".into()).contains("password"));
        assert!(problem_of(|c| c.base_url = "https://host/v1?x=1".into()).contains("query"));
        assert!(problem_of(|c| c.model = " ".into()).contains("model"));
        assert!(problem_of(|c| c.timeout_seconds = 0.0).contains("timeout_seconds"));
        assert!(problem_of(|c| c.timeout_seconds = f64::NAN).contains("timeout_seconds"));
        assert!(problem_of(|c| c.concurrency = 0).contains("concurrency"));
        assert!(problem_of(|c| c.max_samples_per_call = Some(0)).contains("max_samples_per_call"));
        assert!(problem_of(|c| c.budget = Some(1.0)).contains("prices"));
        assert!(problem_of(|c| c.tokens_per_minute = Some(0)).contains("tokens_per_minute"));
        assert!(problem_of(|c| c.idle_timeout_seconds = -1.0).contains("idle_timeout_seconds"));
        for own in ["n", "max_tokens", "max_completion_tokens"] {
            let problem = problem_of(|c| drop(c.extra_body.insert(own.into(), 3.into())));
            assert!(problem.contains(&format!("`{own}`")), "{problem}");
        }
        let lossy = Prices {
            prompt_per_million: -1.0,
            completion_per_million: 0.0,
        };
        assert!(problem_of(|c| c.prices = Some(lossy)).contains("prices"));
        assert!(problem_of(|c| c.retry.longest_wait_seconds = 0.1).contains("retry"));
    }

    #[test]
    fn a_file_with_an_unknown_field_is_refused_and_a_short_one_gets_defaults() {
        let config: OpenAiConfig =
            serde_json::from_str(r#"{"base_url": "http://h/v1", "model": "m"}"#).unwrap();
        assert_eq!(config, OpenAiConfig::new("http://h/v1", "m"));
        let error = serde_json::from_str::<OpenAiConfig>(
            r#"{"base_url": "http://h/v1", "model": "m", "api_key": "secret"}"#,
        )
        .unwrap_err();
        assert!(error.to_string().contains("api_key"));
    }
}
