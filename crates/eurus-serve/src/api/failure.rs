//! Errors in the shape of OpenAI's.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::engine::{Problem, Refused};

/// Seconds after which a client that was refused may come again.
const RETRY_AFTER: u32 = 1;

/// Why a request is not answered, with what becomes of it.
#[derive(Debug)]
pub struct Failure {
    pub status: StatusCode,
    pub message: String,
    /// The field of the request that is at fault.
    pub param: Option<String>,
    pub code: Option<&'static str>,
}

impl Failure {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            param: None,
            code: None,
        }
    }

    /// A field of the request is wrong.
    pub fn field(name: &str, problem: impl std::fmt::Display) -> Self {
        Self {
            param: Some(name.to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, format!("`{name}`: {problem}"))
        }
    }

    pub fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub fn too_long(param: &str, tokens: usize, context: usize) -> Self {
        let problem = format!(
            "has {tokens} tokens, and the maximum context length of {context} tokens leaves no room for one more; shorten it"
        );
        Self::field(param, problem).with_code("context_length_exceeded")
    }

    pub fn ending() -> Self {
        let message =
            "the server is about to end and takes no more requests; ask again when it is back";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message).with_code("server_ending")
    }

    fn kind(&self) -> &'static str {
        match self.status.as_u16() {
            429 => "rate_limit_error",
            401 => "authentication_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        }
    }

    /// The body, which also stands in streams that break off.
    pub fn body(&self) -> Value {
        json!({"error": {
            "message": self.message,
            "type": self.kind(),
            "param": self.param,
            "code": self.code,
        }})
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full => {
                let message = "too many requests wait already; ask again after the time that `Retry-After` says, or ask for fewer at once";
                Self::new(StatusCode::TOO_MANY_REQUESTS, message).with_code("rate_limit_exceeded")
            }
            Refused::Gone => gone(),
        }
    }
}

/// The thread of the model has ended.
pub fn gone() -> Failure {
    let message = "the thread of the model has ended, which is a fault of this server; start it again, and report what it printed";
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message)
}

/// What the model says of the prompt, which stands in this field.
pub fn of_model(problem: Problem, param: &str) -> Failure {
    use eurus_models::Error;
    match problem {
        Problem::Ending => Failure::ending(),
        Problem::Text(problem) => Failure::new(StatusCode::INTERNAL_SERVER_ERROR, problem),
        Problem::Model(Error::PromptTooLong {
            tokens, context, ..
        }) => Failure::too_long(param, tokens, context),
        Problem::Model(Error::EmptyPrompt { .. }) => {
            Failure::field(param, "is empty; give it a text of one token at least")
        }
        Problem::Model(error @ Error::TokenOutOfRange { .. }) => Failure::field(
            param,
            format!("{error}; give ids of the model's own tokens"),
        ),
        Problem::Model(Error::Sampling(error)) => of_chat(error, param),
        Problem::Model(error) => Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// What is wrong with a conversation or with how its answer is drawn.
pub fn of_chat(error: chat_model::Error, param: &str) -> Failure {
    match error {
        chat_model::Error::Sampling { setting, .. } => {
            let message = error.to_string();
            Failure {
                param: Some(setting.to_owned()),
                ..Failure::new(StatusCode::BAD_REQUEST, message)
            }
        }
        chat_model::Error::TooLong {
            tokens, context, ..
        } => Failure::too_long(param, tokens, context),
        other => Failure::field(param, other),
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = super::answered(self.status, &self.body());
        let headers = response.headers_mut();
        if matches!(self.status.as_u16(), 429 | 503) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
