//! Settings of the client.

use std::fmt;
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
    /// Limit on one call, from connecting to the last byte, in seconds. Default 120.
    #[serde(default = "default_timeout_seconds")]
    pub timeout_seconds: f64,
    /// How many calls of a batch are under way at once. Default 8.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
    /// The most samples asked for in one call, for servers that limit `n`. Default no limit.
    #[serde(default)]
    pub max_samples_per_call: Option<usize>,
    /// Retries and waiting times for calls that fail for a passing reason.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// Prices of the model; without them only tokens are counted.
    #[serde(default)]
    pub prices: Option<Prices>,
    /// The most to spend, in the currency of `prices`. It is looked at before every call, so calls
    /// already under way can exceed it. Default no limit.
    #[serde(default)]
    pub budget: Option<f64>,
    /// Under which name the length limit is sent.
    #[serde(default)]
    pub token_limit_field: TokenLimitField,
    /// Whether the seed is sent; some servers refuse it. Default true.
    #[serde(default = "default_send_seed")]
    pub send_seed: bool,
    /// Further fields of the request body, for options of one server (`top_k`, ...).
    #[serde(default)]
    pub extra_body: serde_json::Map<String, serde_json::Value>,
}

fn default_timeout_seconds() -> f64 {
    120.0
}

fn default_concurrency() -> usize {
    8
}

fn default_send_seed() -> bool {
    true
}

impl OpenAiConfig {
    /// Settings with defaults for all but the server and the model.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            model: model.into(),
            api_key_env: None,
            timeout_seconds: default_timeout_seconds(),
            concurrency: default_concurrency(),
            max_samples_per_call: None,
            retry: RetryPolicy::default(),
            prices: None,
            budget: None,
            token_limit_field: TokenLimitField::default(),
            send_seed: default_send_seed(),
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
        if !(self.timeout_seconds > 0.0 && self.timeout_seconds <= 86_400.0) {
            return invalid("timeout_seconds", "must be above 0 and at most 86400");
        }
        if self.concurrency == 0 {
            return invalid("concurrency", "must be at least 1");
        }
        if self.max_samples_per_call == Some(0) {
            return invalid("max_samples_per_call", "must be at least 1");
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

/// How calls are repeated that failed for a passing reason: status 408, 429 or 5xx, no answer in
/// time, a broken connection.
///
/// The wait doubles from `first_wait_seconds` up to `longest_wait_seconds`, with jitter; a
/// `Retry-After` of the server is honored when it is longer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// How often a call is repeated before giving up. Default 5.
    pub retries: usize,
    /// The first wait, in seconds. Default 1.
    pub first_wait_seconds: f64,
    /// The longest wait, in seconds. A server that asks for more ends the call with an error.
    /// Default 60.
    pub longest_wait_seconds: f64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 5,
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

/// An API key. It shows itself to nobody: `Debug` prints `ApiKey(***)`.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// A key, without the white space around it.
    ///
    /// # Errors
    ///
    /// When nothing is left, or it has characters that cannot stand in an HTTP header.
    pub fn new(key: impl AsRef<str>) -> Result<Self> {
        let key = key.as_ref().trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return invalid(
                "api_key",
                "must be one or more visible ASCII characters without spaces",
            );
        }
        Ok(Self(key.to_owned()))
    }

    /// The key in an environment variable.
    ///
    /// # Errors
    ///
    /// When the variable is not set or holds no usable key.
    pub fn from_env(variable: &str) -> Result<Self> {
        std::env::var(variable)
            .ok()
            .and_then(|key| Self::new(key).ok())
            .ok_or_else(|| Error::MissingKey {
                variable: variable.to_owned(),
            })
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey(***)")
    }
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

    #[test]
    fn a_key_does_not_show_itself() {
        let key = ApiKey::new(" sk-very-secret\n").unwrap();
        assert_eq!(format!("{key:?}"), "ApiKey(***)");
        assert_eq!(key.expose(), "sk-very-secret");
        assert!(ApiKey::new("two words").is_err());
        assert!(ApiKey::new("").is_err());
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = ApiKey::from_env("CHAT_MODEL_TEST_NO_SUCH_VARIABLE").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("CHAT_MODEL_TEST_NO_SUCH_VARIABLE")
        );
    }
}
