//! The error type of chat models.

use std::time::Duration;

use crate::Capability;

/// An error of a chat model: a bad setting, a spent budget, a failed call, a failed model.
///
/// Some pass by themselves and some last: see [`is_passing`](Self::is_passing).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- before anything is sent ----
    /// A setting that cannot be right.
    #[error("setting `{field}` of the chat client: {problem}")]
    Config {
        /// The field of the configuration.
        field: &'static str,
        /// The fault of the setting, and a value to write instead.
        problem: String,
    },
    /// A request that cannot be asked of any model.
    #[error("the request {problem}")]
    Request {
        /// The fault, and what to do.
        problem: String,
    },
    /// A setting that nothing can be drawn with.
    #[error("sampling: {setting} is {value}; {problem}")]
    Sampling {
        /// A field of [`Sampling`](crate::Sampling), or a setting that the model has beside it.
        setting: &'static str,
        /// Its value.
        value: f32,
        /// The values that it can have.
        problem: &'static str,
    },
    /// The environment has no key.
    #[error(
        "environment variable `{variable}` is not set, or is empty or not plain text; export the API key under \
         that name, or leave `api_key_env` out for a server that needs none"
    )]
    MissingKey {
        /// The variable that was looked for.
        variable: String,
    },
    /// The model, or its server, cannot do what the request needs.
    #[error("model `{model}` cannot {capability}: {problem}")]
    Unsupported {
        /// The model, with its server where it has one.
        model: String,
        /// What it cannot do.
        capability: Capability,
        /// How that shows, and what to do.
        problem: String,
    },
    /// The budget has no room for a call.
    #[error(
        "budget: a call of model `{model}` can cost {needed:.4}, and {spent:.4} of {budget:.4} is spent ({reserved:.4} \
         more is reserved for calls under way); raise `budget` to go on"
    )]
    Budget {
        /// The model that was to be asked.
        model: String,
        /// The most that the call can cost.
        needed: f64,
        /// The amount spent so far.
        spent: f64,
        /// The amount reserved for calls under way.
        reserved: f64,
        /// The amount that may be spent.
        budget: f64,
    },

    /// The client was told to make no more calls.
    #[error("stopped before the call was made; nothing is wrong, ask again to go on")]
    Stopped,

    // ---- on the way ----
    /// No answer in time.
    #[error(
        "{url}: {missing} within {seconds} s, tried {attempts} time(s); raise `{setting}`, \
         ask for fewer samples or tokens, or lower `concurrency`"
    )]
    Timeout {
        /// Where the call went.
        url: String,
        /// What did not come.
        missing: &'static str,
        /// The limit.
        seconds: f64,
        /// The setting that is the limit.
        setting: &'static str,
        /// How often the call was made.
        attempts: usize,
    },
    /// The server could not be reached, or the connection broke.
    #[error(
        "{url}: {problem} (tried {attempts} time(s)); check `base_url` and that the server is running"
    )]
    Transport {
        /// Where the call went.
        url: String,
        /// The fault of the transport.
        problem: String,
        /// Whether it can be another way next time.
        passing: bool,
        /// How often the call was made.
        attempts: usize,
    },

    // ---- the answer ----
    /// The server refused, or failed.
    #[error("{url}: status {status} (tried {attempts} time(s)): {body}; {}", advice(*refusal, *retry_after))]
    Status {
        /// Where the call went.
        url: String,
        /// The HTTP status; that in the body of an error that came with status 200.
        status: u16,
        /// What that means.
        refusal: Refusal,
        /// The beginning of the answer's body, without the key.
        body: String,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
        /// How often the call was made.
        attempts: usize,
    },
    /// The answer is not what the protocol promises.
    #[error(
        "{url}: status {status}, but {problem} (tried {attempts} time(s)); the body begins: {body}; check that \
         `base_url` is the root of an OpenAI-compatible API (it usually ends in /v1)"
    )]
    Malformed {
        /// Where the call went.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The part of the answer that could not be understood.
        problem: String,
        /// The beginning of the answer's body, without the key.
        body: String,
        /// How often the call was made.
        attempts: usize,
    },
    /// Another model answered than was asked.
    #[error(
        "{url}: model `{asked}` was asked and `{answered}` answered; write the name that the server uses into `model`, \
         or set `accept_other_model` if that is the right one"
    )]
    OtherModel {
        /// Where the call went.
        url: String,
        /// The name in the settings.
        asked: String,
        /// The name in the answer.
        answered: String,
    },

    // ---- models in this process ----
    /// The prompt fills the context of a model in this process. A server says so by [`Refusal::TooLong`]; see
    /// [`is_too_long`](Self::is_too_long).
    #[error(
        "model `{model}`: the prompt has {tokens} tokens, and the model's context of {context} leaves no room for one more; \
         shorten the prompt, or take a model with a longer context"
    )]
    TooLong {
        /// The model.
        model: String,
        /// Tokens of the prompt, with what the answer begins with.
        tokens: usize,
        /// Tokens of the longest text that the model reads.
        context: usize,
    },
    /// A model that runs in this process failed.
    #[error("model `{model}`: {message}")]
    Local {
        /// The model.
        model: String,
        /// The fault, and a remedy.
        message: String,
    },
}

/// What a server means with a status that is no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// Too many requests or tokens for now (429).
    RateLimit,
    /// The server failed, is overloaded or asks to try again (408, 409, 425, 5xx).
    ServerFault,
    /// The account has no credit left (402, `insufficient_quota`).
    Quota,
    /// The key is wrong, or has no right to the model (401, 403).
    Key,
    /// No such model or address (404).
    NotFound,
    /// The prompt, with the completion, is longer than the model or the server takes (413, `context_length_exceeded`).
    TooLong,
    /// The server points elsewhere (3xx).
    Redirect,
    /// The request is refused for another reason (400, 422 and the rest).
    Other,
}

impl Refusal {
    /// Whether the same request may succeed later.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::RateLimit | Self::ServerFault)
    }
}

impl Error {
    /// The error of a model that lacks a capability.
    pub fn unsupported(model: &str, capability: Capability) -> Self {
        Self::Unsupported {
            model: model.to_owned(),
            capability,
            problem: "it has no way to; ask another model, or leave that out of the request"
                .to_owned(),
        }
    }

    /// Whether the same request may succeed later: a server that is down, overloaded, slow or garbles its answers. What
    /// lasts (a bad key, an unknown model, a context that is too long, a spent budget) fails again until someone acts.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Malformed { .. } | Self::Stopped => true,
            Self::Transport { passing, .. } => *passing,
            Self::Status { refusal, .. } => refusal.is_passing(),
            _ => false,
        }
    }

    /// Whether the prompt is longer than the model reads, here or at its server: a conversation ends there, and a shorter
    /// prompt may be answered.
    pub fn is_too_long(&self) -> bool {
        match self {
            Self::TooLong { .. } => true,
            Self::Status { refusal, .. } => *refusal == Refusal::TooLong,
            _ => false,
        }
    }

    /// How long the server asks to wait before the request is made again: longer than the client waits itself, or after
    /// its last attempt. A job is to be put off until then.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The kind of the error in a word or two, to count errors by.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Config { .. } | Self::MissingKey { .. } => "settings",
            Self::Request { .. } | Self::Sampling { .. } => "request",
            Self::Unsupported { .. } => "unsupported",
            Self::Budget { .. } => "budget",
            Self::Stopped => "stopped",
            Self::Timeout { .. } => "timeout",
            Self::Transport { .. } => "connection",
            Self::Malformed { .. } => "malformed answer",
            Self::OtherModel { .. } => "other model",
            Self::TooLong { .. } => "too long",
            Self::Local { .. } => "local model",
            Self::Status { refusal, .. } => match refusal {
                Refusal::RateLimit => "rate limit",
                Refusal::ServerFault => "server fault",
                Refusal::Quota => "quota",
                Refusal::Key => "key",
                Refusal::NotFound => "not found",
                Refusal::TooLong => "too long",
                Refusal::Redirect => "redirect",
                Refusal::Other => "refused",
            },
        }
    }

    /// The same error after so many attempts.
    #[cfg(feature = "openai")]
    pub(crate) fn after(mut self, made: usize) -> Self {
        match &mut self {
            Self::Timeout { attempts, .. }
            | Self::Transport { attempts, .. }
            | Self::Status { attempts, .. }
            | Self::Malformed { attempts, .. } => *attempts = made,
            _ => {}
        }
        self
    }
}

fn advice(refusal: Refusal, retry_after: Option<Duration>) -> String {
    let advice = match refusal {
        Refusal::Redirect => "redirects are not followed; set `base_url` to where it points",
        Refusal::Other => "the server refuses the request; see its words and the sampling settings",
        Refusal::Key => {
            "check the key in the variable that `api_key_env` names, and its rights to this model"
        }
        Refusal::Quota => "the account has no credit left",
        Refusal::NotFound => "check `base_url` (it usually ends in /v1) and the name of the model",
        Refusal::TooLong => {
            "the conversation is too long for the model or its server; shorten it, lower `max_tokens`, or serve \
             the model with a longer context"
        }
        Refusal::RateLimit => {
            "lower `concurrency` or `requests_per_minute`, raise `retries`, or look at the account's quota"
        }
        Refusal::ServerFault => "the server failed; try later, or raise `retries`",
    };
    match retry_after {
        Some(wait) => format!(
            "the server asks to wait {} s; come back then, or: {advice}",
            wait.as_secs_f64()
        ),
        None => advice.to_owned(),
    }
}

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
