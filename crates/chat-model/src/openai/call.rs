//! One HTTP call, and when to make it again.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBuilder};

use super::config::{ApiKey, OpenAiConfig, RetryPolicy};
use crate::{Error, Result};

/// How much of a body is shown in an error, in characters.
const EXCERPT: usize = 300;

/// The largest answer that is read, in bytes. It bounds the memory that a server which never ends
/// its answer can take.
const LARGEST_BODY: u64 = 256 << 20;

/// A server, and how to reach it.
pub(super) struct Endpoint {
    agent: ureq::Agent,
    url: String,
    authorization: Option<ureq::http::HeaderValue>,
    key: Option<ApiKey>,
    timeout_seconds: f64,
    retry: RetryPolicy,
}

/// An answer with status 200.
pub(super) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Why a call failed.
enum Failure {
    Status { status: u16, body: String },
    Timeout,
    Transport { problem: String, passing: bool },
}

impl Failure {
    /// Whether the same call may succeed later.
    fn is_passing(&self) -> bool {
        match self {
            // A used-up quota has the status of a rate limit, but waiting does not help.
            Self::Status { status: 429, body } => !body.contains("insufficient_quota"),
            Self::Status { status, .. } => matches!(status, 408 | 500..=599),
            Self::Timeout => true,
            Self::Transport { passing, .. } => *passing,
        }
    }
}

impl Endpoint {
    pub fn new(config: &OpenAiConfig, key: Option<ApiKey>) -> Result<Self> {
        let url = format!("{}/chat/completions", config.base_url.trim_end_matches('/'));
        let mut settings = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs_f64(config.timeout_seconds)))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Each thread of a batch keeps its connection from call to call.
            .max_idle_connections(config.concurrency)
            .max_idle_connections_per_host(config.concurrency)
            .user_agent(concat!("chat-model/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&url) {
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
            url,
            authorization,
            key,
            timeout_seconds: config.timeout_seconds,
            retry: config.retry.clone(),
        })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Posts a body until an answer with status 200 comes, or there is no hope. `before_call` is
    /// told the number of the attempt, from 1, and can refuse it.
    pub fn post(
        &self,
        body: &[u8],
        mut before_call: impl FnMut(usize) -> Result<()>,
    ) -> Result<Answer> {
        let mut waits = ExponentialBuilder::new()
            .with_min_delay(self.retry.first_wait())
            .with_max_delay(self.retry.longest_wait())
            .with_max_times(self.retry.retries)
            .with_jitter()
            .build();
        let mut attempts = 0;
        loop {
            attempts += 1;
            // Asked before every attempt: other threads spend from the same budget meanwhile.
            before_call(attempts)?;
            let (failure, asked_wait) = match self.post_once(body) {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            if asked_wait.is_some_and(|wait| wait > self.retry.longest_wait()) {
                return Err(self.error(failure, attempts, asked_wait));
            }
            match waits.next() {
                Some(wait) if failure.is_passing() => {
                    std::thread::sleep(wait.max(asked_wait.unwrap_or_default()));
                }
                _ => return Err(self.error(failure, attempts, None)),
            }
        }
    }

    fn post_once(&self, body: &[u8]) -> Result<Answer, (Failure, Option<Duration>)> {
        let mut call = self.agent.post(&self.url).content_type("application/json");
        if let Some(value) = &self.authorization {
            call = call.header("authorization", value.clone());
        }
        let mut response = call.send(body).map_err(|error| (transport(error), None))?;
        let status = response.status().as_u16();
        let asked_wait = retry_after(response.headers(), SystemTime::now());
        let body = response
            .body_mut()
            .with_config()
            .limit(LARGEST_BODY)
            .read_to_vec();
        match body {
            Ok(body) if status == 200 => Ok(Answer { status, body }),
            Ok(body) => Err((
                Failure::Status {
                    status,
                    body: self.excerpt(&body),
                },
                asked_wait,
            )),
            Err(error) => Err((transport(error), asked_wait)),
        }
    }

    /// The beginning of a body on one line, without the key should the server repeat it.
    pub fn excerpt(&self, body: &[u8]) -> String {
        // The key goes before the text is cut: a cut could leave a part of it that nothing
        // recognizes.
        let mut text = String::from_utf8_lossy(body).into_owned();
        if let Some(key) = &self.key {
            text = text.replace(key.expose(), "***");
        }
        let line: Vec<&str> = text.split_whitespace().collect();
        let line = line.join(" ");
        match line.char_indices().nth(EXCERPT) {
            Some((end, _)) => format!("{}...", &line[..end]),
            None if line.is_empty() => "(empty body)".to_owned(),
            None => line,
        }
    }

    fn error(&self, failure: Failure, attempts: usize, refused_wait: Option<Duration>) -> Error {
        let url = self.url.clone();
        match failure {
            Failure::Timeout => Error::Timeout {
                url,
                seconds: self.timeout_seconds,
                attempts,
            },
            Failure::Transport { problem, .. } => Error::Transport {
                url,
                problem,
                attempts,
            },
            Failure::Status { status, body } => Error::Status {
                url,
                status,
                body,
                attempts,
                advice: match refused_wait {
                    Some(wait) => format!(
                        "the server asks to wait {} s, longer than `longest_wait_seconds`; come back then",
                        wait.as_secs()
                    ),
                    None => advice(status).to_owned(),
                },
            },
        }
    }
}

fn advice(status: u16) -> &'static str {
    match status {
        300..=399 => "redirects are not followed; set `base_url` to where it points",
        400 | 422 => "the server refuses the request; see its words and the sampling settings",
        401 | 403 => {
            "check the key in the variable that `api_key_env` names, and its rights to this model"
        }
        402 => "the account has no credit left",
        404 => "check `base_url` (it usually ends in /v1) and the name of the model",
        413 => "the conversation is too long for the server",
        429 => "lower `concurrency`, raise `retries`, or look at the account's quota",
        500..=599 => "the server failed; try later, or raise `retries`",
        _ => "see the server's words",
    }
}

fn transport(error: ureq::Error) -> Failure {
    use std::io::ErrorKind;
    match error {
        ureq::Error::Timeout(_) => Failure::Timeout,
        // On Unix a socket whose timeout has expired reports `WouldBlock`.
        ureq::Error::Io(error)
            if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) =>
        {
            Failure::Timeout
        }
        error => Failure::Transport {
            passing: matches!(
                error,
                ureq::Error::Io(_)
                    | ureq::Error::ConnectionFailed
                    | ureq::Error::HostNotFound
                    | ureq::Error::Protocol(_)
            ),
            problem: error.to_string(),
        },
    }
}

/// The wait that a `Retry-After` header asks for: seconds, or a date.
fn retry_after(headers: &ureq::http::HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
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

    fn wait_of(value: &str) -> Option<Duration> {
        let mut headers = ureq::http::HeaderMap::new();
        headers.insert("retry-after", value.parse().unwrap());
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        retry_after(&headers, now)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(wait_of("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait_of("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(
            wait_of("Sun, 06 Nov 1994 08:50:00 GMT"),
            Some(Duration::from_secs(23))
        );
        assert_eq!(
            wait_of("Sun, 06 Nov 1994 08:00:00 GMT"),
            Some(Duration::ZERO)
        );
        assert_eq!(wait_of("soon"), None);
        assert_eq!(wait_of("-3"), None);
    }

    #[test]
    fn addresses_of_this_machine_are_recognized() {
        assert!(is_loopback("http://127.0.0.1:80/v1"));
        assert!(is_loopback("http://localhost/v1"));
        assert!(is_loopback("http://[::1]:8000/v1"));
        assert!(!is_loopback("https://api.example.com/v1"));
    }
}
