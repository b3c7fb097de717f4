//! One HTTP call.

use std::time::{Duration, SystemTime};

use super::body::Body;
use super::config::OpenAiConfig;
use super::key::ApiKey;
use super::refusal::refusal;
use super::reply::Charge;
use super::retry_after::asked_wait;
use crate::{Error, Result};

/// How much of a body is shown in an error, in characters.
const EXCERPT: usize = 300;

/// The largest answer that is read, in bytes. It bounds the memory that a server which never ends
/// its answer can take.
pub(super) const LARGEST_BODY: u64 = 64 << 20;

/// Where a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// `/chat/completions`: a conversation, rendered by the server.
    Chat,
    /// `/completions`: a text as it is.
    Completions,
}

/// A server, and how to reach it.
pub(super) struct Http {
    agent: ureq::Agent,
    chat: String,
    completions: String,
    authorization: Option<ureq::http::HeaderValue>,
    key: Option<ApiKey>,
    timeout_seconds: f64,
    idle_timeout_seconds: f64,
}

/// An answer that says it is a success; its body is still to be read.
pub(super) struct Answer {
    pub status: u16,
    pub is_event_stream: bool,
    pub body: ureq::Body,
}

/// A call that failed, and what is to be paid for it.
pub(super) struct Failed {
    pub error: Error,
    pub paid: Paid,
}

/// What a call that failed costs.
#[derive(Clone, Copy)]
pub(super) enum Paid {
    /// The server refused it or never had it.
    Nothing,
    /// The server may have answered it in full: nobody knows.
    Maybe,
    /// It was answered, with something that cannot be used.
    Yes(Charge),
}

impl Http {
    pub fn new(config: &OpenAiConfig, key: Option<ApiKey>) -> Result<Self> {
        let base = config.base_url.trim_end_matches('/');
        let chat = format!("{base}/chat/completions");
        let mut settings = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Below the 5 seconds after which common servers close a connection: a call that meets the end of its
            // connection may have been paid or not.
            .max_idle_age(Duration::from_secs(4))
            // Each thread of a batch keeps its connection from call to call.
            .max_idle_connections(config.concurrency)
            .max_idle_connections_per_host(config.concurrency)
            .user_agent(concat!("chat-model/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&chat) {
            // A proxy set in the environment cannot reach a server on this machine.
            settings = settings.proxy(None);
        }
        let authorization = key
            .as_ref()
            .map(|key| {
                let text = format!("Bearer {}", key.expose());
                ureq::http::HeaderValue::from_str(&text).map(|mut value| {
                    // Keeps the key out of the `Debug` output of headers.
                    value.set_sensitive(true);
                    value
                })
            })
            .transpose()
            .map_err(|_| Error::Config {
                field: "api_key",
                problem: "cannot stand in an HTTP header".to_owned(),
            })?;
        Ok(Self {
            agent: settings.build().new_agent(),
            chat,
            completions: format!("{base}/completions"),
            authorization,
            key,
            timeout_seconds: config.timeout_seconds,
            idle_timeout_seconds: config.idle_timeout_seconds,
        })
    }

    pub fn url(&self, path: Path) -> &str {
        match path {
            Path::Chat => &self.chat,
            Path::Completions => &self.completions,
        }
    }

    /// Posts a body. With `streamed` the silence of the server is limited, else the whole call.
    pub fn post(&self, path: Path, body: &Body, streamed: bool) -> Result<Answer, Failed> {
        let whole = Some(Duration::from_secs_f64(self.timeout_seconds));
        let silence = Some(Duration::from_secs_f64(self.idle_timeout_seconds));
        let settings = self.agent.post(self.url(path)).config();
        let settings = match streamed {
            true => settings
                .timeout_connect(whole)
                .timeout_send_body(whole)
                .timeout_per_read(silence),
            false => settings.timeout_global(whole),
        };
        let mut call = settings.build().content_type("application/json");
        if let Some(value) = &self.authorization {
            call = call.header("authorization", value.clone());
        }
        for (name, value) in &body.headers {
            call = call.header(*name, value.to_string());
        }
        let mut response = call
            .send(&body.json)
            .map_err(|error| self.transport(path, error))?;
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            let kind = response.headers().get("content-type");
            return Ok(Answer {
                status,
                is_event_stream: kind
                    .and_then(|kind| kind.to_str().ok())
                    .is_some_and(|kind| kind.starts_with("text/event-stream")),
                body: response.into_body(),
            });
        }
        let asked = asked_wait(response.headers(), SystemTime::now());
        // The status says enough: a body that breaks off is shown as far as it came.
        let body = response
            .body_mut()
            .with_config()
            .limit(1 << 20)
            .read_to_vec()
            .unwrap_or_default();
        Err(Failed {
            error: self.refused(path, status, &body, asked),
            paid: Paid::Nothing,
        })
    }

    /// The error of a status that is no success.
    pub fn refused(&self, path: Path, status: u16, body: &[u8], asked: Option<Duration>) -> Error {
        Error::Status {
            url: self.url(path).to_owned(),
            status,
            refusal: refusal(status, &String::from_utf8_lossy(body)),
            body: self.excerpt(body),
            retry_after: asked,
            attempts: 1,
        }
    }

    /// The error of an answer that is not understood.
    pub fn malformed(&self, path: Path, status: u16, problem: String, body: &[u8]) -> Error {
        Error::Malformed {
            url: self.url(path).to_owned(),
            status,
            problem,
            body: self.excerpt(body),
            attempts: 1,
        }
    }

    /// The failure that ureq reports.
    pub fn transport(&self, path: Path, error: ureq::Error) -> Failed {
        use std::io::ErrorKind;
        let url = self.url(path).to_owned();
        let is_timeout = match &error {
            ureq::Error::Timeout(_) => true,
            // On Unix a socket whose timeout has expired reports `WouldBlock`.
            ureq::Error::Io(error) => {
                matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
            }
            _ => false,
        };
        // A limit that streamed calls alone have.
        let is_silence = matches!(&error, ureq::Error::Timeout(ureq::Timeout::PerRead));
        let was_sent = match &error {
            ureq::Error::Timeout(phase) => {
                !matches!(phase, ureq::Timeout::Resolve | ureq::Timeout::Connect)
            }
            ureq::Error::Io(error) => error.kind() != ErrorKind::ConnectionRefused,
            ureq::Error::Protocol(_) | ureq::Error::BodyExceedsLimit(_) => true,
            _ => false,
        };
        let error = if is_timeout {
            let (missing, seconds, setting) = match is_silence {
                true => (
                    "no more of the answer",
                    self.idle_timeout_seconds,
                    "idle_timeout_seconds",
                ),
                false => (
                    "no complete answer",
                    self.timeout_seconds,
                    "timeout_seconds",
                ),
            };
            Error::Timeout {
                url,
                missing,
                seconds,
                setting,
                attempts: 1,
            }
        } else {
            Error::Transport {
                url,
                passing: matches!(
                    error,
                    ureq::Error::Io(_)
                        | ureq::Error::ConnectionFailed
                        | ureq::Error::HostNotFound
                        | ureq::Error::Protocol(_)
                ),
                problem: self.without_key(&error.to_string()),
                attempts: 1,
            }
        };
        Failed {
            error,
            paid: match was_sent {
                true => Paid::Maybe,
                false => Paid::Nothing,
            },
        }
    }

    /// The beginning of a body on one line, without the key should the server repeat it.
    fn excerpt(&self, body: &[u8]) -> String {
        // The key goes before the text is cut: a cut could leave a part of it that nothing
        // recognizes.
        let text = self.without_key(&String::from_utf8_lossy(body));
        let line: Vec<&str> = text.split_whitespace().collect();
        let line = line.join(" ");
        match line.char_indices().nth(EXCERPT) {
            Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
            None if line.is_empty() => "(empty body)".to_owned(),
            None => line,
        }
    }

    /// A text of the server without the key, should it repeat it.
    pub fn without_key(&self, text: &str) -> String {
        match &self.key {
            Some(key) => text.replace(key.expose(), "***"),
            None => text.to_owned(),
        }
    }
}

fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<ureq::http::Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default();
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_recognized() {
        assert!(is_loopback("http://127.0.0.1:80/v1"));
        assert!(is_loopback("http://localhost/v1"));
        assert!(is_loopback("http://[::1]:8000/v1"));
        assert!(!is_loopback("https://api.example.com/v1"));
    }
}
