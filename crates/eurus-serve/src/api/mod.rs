//! The endpoints.

mod answers;
mod chat;
mod completions;
mod drawing;
mod failure;
mod fields;
mod logprobs;
mod models;
mod reward;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use eurus_models::LocalChatModel;

use crate::ServeConfig;
use crate::engine::Engine;
use crate::metrics::{Answered, Metrics};
use crate::rewards::Rewards;
use failure::Failure;

/// The name that every model answers to.
const ANY_MODEL: &str = "default";

/// What all requests share.
pub struct App {
    pub config: ServeConfig,
    pub serving: Serving,
    pub metrics: Arc<Metrics>,
    /// Set when no more requests are taken.
    pub ending: Arc<AtomicBool>,
    /// Seconds since 1970.
    pub started: u64,
    pub next_id: AtomicU64,
}

/// A model and its thread.
pub enum Serving {
    Chat {
        model: Arc<LocalChatModel>,
        engine: Engine,
    },
    Reward(Box<Rewards>),
}

impl App {
    /// The language model.
    fn chat(&self) -> Result<(&Arc<LocalChatModel>, &Engine), Failure> {
        match &self.serving {
            Serving::Chat { model, engine } => Ok((model, engine)),
            Serving::Reward(_) => Err(elsewhere(
                "a reward model, which writes no answers; ask /get_reward",
            )),
        }
    }

    fn reward(&self) -> Result<&Rewards, Failure> {
        match &self.serving {
            Serving::Reward(rewards) => Ok(rewards),
            Serving::Chat { .. } => Err(elsewhere(
                "a language model, which gives no rewards; ask /v1/chat/completions or /v1/completions",
            )),
        }
    }

    fn context(&self) -> usize {
        match &self.serving {
            Serving::Chat { model, .. } => model.generator().context_length(),
            Serving::Reward(rewards) => rewards.context,
        }
    }

    /// Refuses a request for another model.
    fn check_model(&self, asked: Option<&str>) -> Result<(), Failure> {
        match asked {
            Some(asked) if asked != self.config.name && asked != ANY_MODEL => {
                let shown: String = asked.chars().take(80).collect();
                let message = format!(
                    "there is no model `{shown}` here; ask for `{}`, or for `{ANY_MODEL}`",
                    self.config.name
                );
                Err(Failure {
                    param: Some("model".to_owned()),
                    ..Failure::new(StatusCode::NOT_FOUND, message).with_code("model_not_found")
                })
            }
            _ => Ok(()),
        }
    }

    fn id(&self, kind: &str) -> String {
        let number = self.next_id.fetch_add(1, Ordering::Relaxed);
        format!("{kind}-{:x}-{number}", self.started)
    }

    /// Reads a body within the limits of size and time.
    async fn body(&self, request: Request) -> Result<Bytes, Failure> {
        let seconds = self.config.max_request_seconds;
        let read = Bytes::from_request(request, &());
        match tokio::time::timeout(Duration::from_secs(seconds), read).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(rejected)) if rejected.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let message = format!(
                    "the body has more than {} bytes, which is the limit of this server; send less at once",
                    self.config.max_body_bytes
                );
                Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message))
            }
            Ok(Err(_)) => {
                let message = "the body ends before its end; send it whole";
                Err(Failure::new(StatusCode::BAD_REQUEST, message))
            }
            Err(_) => {
                let message = format!("the body did not come within {seconds} s; send it at once");
                Err(Failure::new(StatusCode::REQUEST_TIMEOUT, message))
            }
        }
    }
}

pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// All endpoints.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*name}", get(models::one))
        .route("/v1/chat/completions", post(chat::complete))
        .route("/v1/completions", post(completions::complete))
        .route("/get_reward", post(reward::score))
        .fallback(nowhere)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(app.config.max_body_bytes))
        .layer(from_fn_with_state(app.clone(), around))
        .with_state(app)
}

/// What is done for every request: its key is looked at, and what becomes of it is counted.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let endpoint = endpoint(request.uri().path());
    let is_open = endpoint == "/health";
    let response = if !is_open && !has_key(&app, request.headers()) {
        let message = "the key is missing or wrong; send `Authorization: Bearer KEY` with the key of this server";
        let failure = Failure::new(StatusCode::UNAUTHORIZED, message);
        failure.with_code("invalid_api_key").into_response()
    } else if !is_open && app.ending.load(Ordering::Relaxed) {
        Failure::ending().into_response()
    } else {
        next.run(request).await
    };
    let answered = Answered {
        endpoint: endpoint.to_owned(),
        status: response.status().as_u16(),
    };
    app.metrics.requests.get_or_create(&answered).inc();
    app.metrics.seconds.observe(began.elapsed().as_secs_f64());
    response
}

/// The endpoint of a path, of which there are few.
fn endpoint(path: &str) -> &'static str {
    const ENDPOINTS: [&str; 6] = [
        "/health",
        "/metrics",
        "/v1/models",
        "/v1/chat/completions",
        "/v1/completions",
        "/get_reward",
    ];
    let known = ENDPOINTS.into_iter().find(|known| *known == path);
    known.unwrap_or("other")
}

fn has_key(app: &App, headers: &HeaderMap) -> bool {
    let Some(key) = &app.config.api_key else {
        return true;
    };
    let given = headers.get(header::AUTHORIZATION);
    let given = given.and_then(|given| given.as_bytes().strip_prefix(b"Bearer "));
    given.is_some_and(|given| same(given.trim_ascii(), key.as_bytes()))
}

/// Whether two keys are the same, in a time that does not tell where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differ = a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b));
    std::hint::black_box(differ) == 0 && a.len() == b.len()
}

async fn health(State(app): State<Arc<App>>) -> Response {
    let alive = match &app.serving {
        Serving::Chat { engine, .. } => engine.is_alive(),
        Serving::Reward(rewards) => rewards.is_alive(),
    };
    match alive {
        true => answered(StatusCode::OK, &serde_json::json!({"status": "ok"})),
        false => failure::gone().into_response(),
    }
}

/// A response with a JSON body.
fn answered(status: StatusCode, body: &serde_json::Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, body.to_string()).into_response()
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text()).into_response()
}

async fn nowhere(request: Request) -> Failure {
    let path: String = request.uri().path().chars().take(80).collect();
    let message = format!(
        "there is nothing at {path}; there is /v1/models, /v1/chat/completions, /v1/completions, /get_reward, /health and /metrics"
    );
    Failure::new(StatusCode::NOT_FOUND, message)
}

async fn wrong_method(request: Request) -> Failure {
    let message = format!(
        "{} is not for {}; what asks for an answer is sent with POST, everything else with GET",
        request.method(),
        endpoint(request.uri().path())
    );
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, message)
}

fn elsewhere(what: &str) -> Failure {
    Failure::new(StatusCode::NOT_FOUND, format!("this server has {what}"))
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn keys_are_the_same_when_all_their_bytes_are() {
        assert!(same(b"key", b"key"));
        for other in [&b"kex"[..], b"ke", b"key1", b""] {
            assert!(!same(other, b"key"));
            assert!(!same(b"key", other));
        }
    }
}
