//! What a server allows.

use crate::{Error, Result};

/// What a server is called, and what it allows.
#[derive(Clone)]
pub struct ServeConfig {
    /// The name of the model. Requests name it, or say `default`.
    pub name: String,
    /// The key that requests must have as `Authorization: Bearer KEY`. Default: none is asked for.
    pub api_key: Option<String>,
    /// Largest body of a request, in bytes; a larger one gets the status 413. Default 4 MiB.
    pub max_body_bytes: usize,
    /// Longest answer, in tokens: a request for more gets the status 400, and one that does not say gets so many at most.
    /// Default 4096.
    pub max_answer_tokens: usize,
    /// Most answers to one request, prompts times samples. Default 256.
    pub max_answers: usize,
    /// Requests that wait for a place; one more gets the status 429. Default 256.
    pub max_waiting: usize,
    /// Seconds for a request to come in, from its first byte to its last. Default 30.
    pub max_request_seconds: u64,
}

impl ServeConfig {
    /// The defaults for a model of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            api_key: None,
            max_body_bytes: 4 << 20,
            max_answer_tokens: 4096,
            max_answers: 256,
            max_waiting: 256,
            max_request_seconds: 30,
        }
    }

    /// Refuses settings that nothing can be served with.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |setting, problem: &str| {
            Err(Error::Setting {
                setting,
                problem: problem.to_owned(),
            })
        };
        if self.name.trim().is_empty() {
            return refuse("name", "is empty; give the model a name");
        }
        let numbers = [
            ("max_body_bytes", self.max_body_bytes),
            ("max_answer_tokens", self.max_answer_tokens),
            ("max_answers", self.max_answers),
            ("max_waiting", self.max_waiting),
        ];
        match numbers.iter().find(|(_, number)| *number == 0) {
            Some((setting, _)) => refuse(setting, "is 0; at least 1 is wanted"),
            None if self.api_key.as_deref() == Some("") => refuse(
                "api_key",
                "is empty; give a key, or none at all to serve without",
            ),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for ServeConfig {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServeConfig")
            .field("name", &self.name)
            .field("has_api_key", &self.api_key.is_some())
            .field("max_body_bytes", &self.max_body_bytes)
            .field("max_answer_tokens", &self.max_answer_tokens)
            .field("max_answers", &self.max_answers)
            .field("max_waiting", &self.max_waiting)
            .field("max_request_seconds", &self.max_request_seconds)
            .finish()
    }
}
