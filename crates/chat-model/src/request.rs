//! What a chat model is asked.

use serde::{Deserialize, Serialize};

use crate::{Capability, ChatModel, Error, Message, Result, Sampling};

/// A conversation, or a raw prompt, that is to be continued, and how often.
///
/// ```
/// use chat_model::{ChatRequest, Message};
///
/// // The model writes the answer's rest.
/// let begun = ChatRequest::new([Message::user("Write `add`.")]).with_answer_prefix("def add(");
/// // No template: the model sees this text and nothing else.
/// let raw = ChatRequest::raw("The capital of France is").with_samples(3);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The conversation, oldest message first. Empty beside a `raw_prompt`.
    pub messages: Vec<Message>,
    /// A prompt that is sent as it is, without a chat template, instead of `messages`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_prompt: Option<String>,
    /// How the answer begins; what is drawn goes on from there, and completions do not repeat it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_prefix: Option<String>,
    /// Whether completions come with the log-probability of each of their tokens.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub logprobs: bool,
    /// How many completions to draw.
    pub samples: usize,
    /// How to draw them.
    pub sampling: Sampling,
}

impl Default for ChatRequest {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            raw_prompt: None,
            answer_prefix: None,
            logprobs: false,
            samples: 1,
            sampling: Sampling::default(),
        }
    }
}

impl ChatRequest {
    /// One completion of a conversation, with default sampling.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        Self {
            messages: messages.into_iter().collect(),
            ..Self::default()
        }
    }

    /// One continuation of a text that no chat template is put around, with default sampling.
    pub fn raw(prompt: impl Into<String>) -> Self {
        Self {
            raw_prompt: Some(prompt.into()),
            ..Self::default()
        }
    }

    /// Sets how many completions to draw.
    pub fn with_samples(mut self, samples: usize) -> Self {
        self.samples = samples;
        self
    }

    /// Sets how completions are drawn.
    pub fn with_sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// Sets how the answer begins.
    pub fn with_answer_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.answer_prefix = Some(prefix.into());
        self
    }

    /// Asks for the log-probabilities of the tokens.
    pub fn with_logprobs(mut self) -> Self {
        self.logprobs = true;
        self
    }

    /// The beginning of the answer that is more than nothing.
    pub fn begun_answer(&self) -> Option<&str> {
        self.answer_prefix
            .as_deref()
            .filter(|prefix| !prefix.is_empty())
    }

    /// Refuses what cannot be asked, or not of this model.
    ///
    /// # Errors
    ///
    /// When the [sampling](Sampling::check) cannot be, when there are messages and a raw prompt or neither, or when the
    /// request needs something that the model [cannot](ChatModel::can) do: it is never left out in silence.
    pub fn check(&self, model: &(impl ChatModel + ?Sized)) -> Result<()> {
        self.sampling.check()?;
        let problem = match (&self.raw_prompt, self.messages.is_empty()) {
            (Some(_), false) => Some("has messages and a raw prompt; give one of them"),
            (None, true) => Some("has no message; give at least one, or a raw prompt"),
            (Some(raw), true) if raw.is_empty() => Some("has an empty raw prompt; give it a text"),
            _ => None,
        };
        if let Some(problem) = problem {
            return Err(Error::Request {
                problem: problem.to_owned(),
            });
        }
        let needs = [
            (self.raw_prompt.is_some(), Capability::RawPrompt),
            (self.begun_answer().is_some(), Capability::AnswerPrefix),
            (self.logprobs, Capability::LogProbs),
        ];
        for (needed, capability) in needs {
            if needed && !model.can(capability) {
                return Err(Error::unsupported(model.name(), capability));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Completion, FnModel};

    #[test]
    fn what_a_model_cannot_do_is_refused_by_name() {
        let plain = FnModel::new("plain", |request: &ChatRequest| {
            Ok(vec![Completion::stopped("x"); request.samples])
        });
        let asked = || ChatRequest::new([Message::user("u")]);
        for (request, said) in [
            (ChatRequest::raw("r"), "raw prompt"),
            (asked().with_answer_prefix("a"), "begins"),
            (asked().with_logprobs(), "log-probabilities"),
            (ChatRequest::new([]), "no message"),
            (
                ChatRequest {
                    raw_prompt: Some("r".into()),
                    ..asked()
                },
                "one of them",
            ),
        ] {
            let error = plain.complete(&request).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert!(!error.is_passing());
        }
        assert!(plain.complete(&asked().with_answer_prefix("")).is_ok());
        let able = plain.with_capabilities(&[Capability::RawPrompt]);
        assert!(able.complete(&ChatRequest::raw("r")).is_ok());
    }

    #[test]
    fn a_request_of_before_the_newer_fields_is_read_and_written_as_it_was() {
        let text = r#"{"messages":[{"role":"user","content":"u"}],"samples":2,"sampling":{"temperature":1.0,"top_p":1.0,"max_tokens":512,"stop":[],"seed":0}}"#;
        let request: ChatRequest = serde_json::from_str(text).unwrap();
        assert_eq!(
            request,
            ChatRequest::new([Message::user("u")]).with_samples(2)
        );
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
    }
}
