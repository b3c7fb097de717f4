//! Messages, and how completions of them are drawn.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Standing directions for the whole conversation.
    System,
    /// The side that asks.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The text of the message, plain.
    pub content: String,
}

impl Message {
    /// A message of the system.
    pub fn system(content: impl Into<String>) -> Self {
        Self {
            role: Role::System,
            content: content.into(),
        }
    }

    /// A message of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self {
            role: Role::User,
            content: content.into(),
        }
    }

    /// A message of the model.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self {
            role: Role::Assistant,
            content: content.into(),
        }
    }
}

/// How completions are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Softness of the distribution; 0 takes the most likely token every time. Default 1.
    pub temperature: f32,
    /// Sample from the smallest set of tokens whose probabilities sum to this. Default 1 (all).
    pub top_p: f32,
    /// Longest completion, in tokens. Default 512.
    pub max_tokens: usize,
    /// Texts that end a completion; they are not part of it. Default none.
    pub stop: Vec<String>,
    /// Seed of the draw. A model that honors it answers the same request the same way. Default 0.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 1.0,
            max_tokens: 512,
            stop: Vec::new(),
            seed: 0,
        }
    }
}

impl Sampling {
    /// Refuses settings that nothing can be drawn with.
    ///
    /// # Errors
    ///
    /// When `temperature` is negative or no finite number, `top_p` is not above 0 and up to 1, or `max_tokens` is 0.
    ///
    /// ```
    /// use chat_model::Sampling;
    ///
    /// let error = Sampling { top_p: 1.5, ..Sampling::default() }.check().unwrap_err();
    /// assert!(error.to_string().starts_with("sampling: top_p is 1.5"));
    /// ```
    pub fn check(&self) -> Result<()> {
        let refuse = |setting, value: f32, problem| {
            Err(Error::Sampling {
                setting,
                value,
                problem,
            })
        };
        if !self.temperature.is_finite() || self.temperature < 0.0 {
            let problem = "a finite number of at least 0 is wanted; 0 takes the likeliest token";
            return refuse("temperature", self.temperature, problem);
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            let problem = "a share above 0 and up to 1 is wanted; 1 keeps all tokens";
            return refuse("top_p", self.top_p, problem);
        }
        if self.max_tokens == 0 {
            return refuse("max_tokens", 0.0, "at least 1 is wanted");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_nothing_can_be_drawn_with_are_refused_by_name() {
        let sound = Sampling::default;
        for (sampling, said) in [
            (
                Sampling {
                    temperature: -0.5,
                    ..sound()
                },
                "sampling: temperature is -0.5; a finite",
            ),
            (
                Sampling {
                    temperature: f32::NAN,
                    ..sound()
                },
                "temperature is NaN",
            ),
            (
                Sampling {
                    temperature: f32::INFINITY,
                    ..sound()
                },
                "temperature is inf",
            ),
            (
                Sampling {
                    top_p: 0.0,
                    ..sound()
                },
                "top_p is 0; a share",
            ),
            (
                Sampling {
                    top_p: 2.0,
                    ..sound()
                },
                "top_p is 2",
            ),
            (
                Sampling {
                    top_p: f32::NAN,
                    ..sound()
                },
                "top_p is NaN",
            ),
            (
                Sampling {
                    max_tokens: 0,
                    ..sound()
                },
                "max_tokens is 0; at least 1",
            ),
        ] {
            let error = sampling.check().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let greedy = Sampling {
            temperature: 0.0,
            ..sound()
        };
        assert!(greedy.check().is_ok() && sound().check().is_ok());
    }
}
