//! A call, made again until it is answered or there is no hope, within limits and budget.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use serde_json::Value;

use super::body::Body;
use super::config::OpenAiConfig;
use super::http::{Answer, Failed, Http, LARGEST_BODY, Paid, Path};
use super::lenient;
use super::limits::{LOOK_UP, Limits};
use super::observe::{CallEvent, Observer};
use super::prefix::Habits;
use super::refusal::hidden_status;
use super::reply::Charge;
use crate::usage::{estimated_prompt_tokens, most_prompt_tokens};
use crate::{Budget, Capability, ChatRequest, Error, Refusal, Result, Usage};

/// What all clones of a client share about their server.
pub(super) struct Server {
    pub http: Http,
    pub limits: Limits,
    pub usage: Mutex<Usage>,
    pub habits: Habits,
    /// The most samples that the settings allow a call to ask for.
    most_allowed: usize,
    /// The most samples that a call brought.
    most_given: AtomicUsize,
    /// The fewest samples that are known to be too many for a call.
    fewest_refused: AtomicUsize,
}

impl Server {
    pub fn new(config: &OpenAiConfig, http: Http) -> Self {
        Self {
            http,
            limits: Limits::per_minute(
                config.concurrency,
                config.requests_per_minute,
                config.tokens_per_minute,
            ),
            usage: Mutex::default(),
            habits: Habits::default(),
            most_allowed: config.max_samples_per_call.unwrap_or(usize::MAX),
            most_given: AtomicUsize::new(1),
            fewest_refused: AtomicUsize::new(usize::MAX),
        }
    }

    /// The most samples that a call may ask for, as far as is known.
    pub fn most_per_call(&self) -> usize {
        let most = match self.fewest_refused.load(Ordering::Relaxed) {
            usize::MAX => usize::MAX,
            refused => (refused - 1).min(self.most_given.load(Ordering::Relaxed)),
        };
        most.clamp(1, self.most_allowed)
    }
}

/// A server with the settings, the budget and the observer of one client.
#[derive(Clone)]
pub(super) struct Exchange {
    pub config: Arc<OpenAiConfig>,
    pub server: Arc<Server>,
    pub budget: Option<Budget>,
    pub observer: Option<Arc<Observer>>,
    pub stop: Option<Arc<AtomicBool>>,
}

/// What a call is admitted by.
pub(super) struct Size {
    pub samples: usize,
    /// Tokens that count against the limits until the answer says more.
    pub tokens: u64,
    /// The most that it can cost.
    pub most_cost: f64,
}

impl Exchange {
    pub fn tell(&self, event: &CallEvent<'_>) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }

    /// A call brought so many samples; `refused`, if that is known, are more than the server gives.
    pub fn learn(&self, given: usize, refused: Option<usize>, path: Path) {
        let Server {
            most_given,
            fewest_refused,
            ..
        } = &*self.server;
        most_given.fetch_max(given, Ordering::Relaxed);
        let Some(refused) = refused else {
            return;
        };
        if fewest_refused.fetch_min(refused.max(2), Ordering::Relaxed) > refused {
            self.tell(&CallEvent::SamplesPerCall {
                url: self.server.http.url(path),
                most: self.server.most_per_call(),
            });
        }
    }

    fn account(&self, change: impl FnOnce(&mut Usage)) {
        let usage = self.server.usage.lock();
        change(&mut usage.unwrap_or_else(PoisonError::into_inner));
    }

    /// What a call for some samples is admitted by.
    pub fn size(&self, request: &ChatRequest, samples: usize) -> Size {
        let most = request.sampling.max_tokens as u64;
        let completion = most.saturating_mul(samples as u64);
        Size {
            samples,
            tokens: completion.saturating_add(estimated_prompt_tokens(request) as u64),
            most_cost: self.config.prices.map_or(0.0, |prices| {
                prices.cost(most_prompt_tokens(request) as f64, completion as f64)
            }),
        }
    }

    /// Posts a body until `read` understands the answer, or there is no hope.
    pub fn post<T>(
        &self,
        path: Path,
        body: &Body,
        size: &Size,
        streamed: bool,
        read: &mut dyn FnMut(Answer) -> Result<(T, Charge), Failed>,
    ) -> Result<T> {
        let Server { http, limits, .. } = &*self.server;
        let retry = &self.config.retry;
        let mut waits = ExponentialBuilder::new()
            .with_min_delay(retry.first_wait())
            .with_max_delay(retry.longest_wait())
            .with_max_times(retry.retries)
            .with_jitter()
            .build();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let ticket = limits.enter(size.tokens, || self.is_stopped());
            let ticket = ticket.ok_or(Error::Stopped)?;
            let held = match &self.budget {
                None => None,
                Some(budget) => match budget.reserve(&self.config.model, size.most_cost) {
                    Ok(held) => Some(held),
                    Err(error) => {
                        ticket.settle(0);
                        return Err(error);
                    }
                },
            };
            // Money may have been waited for.
            if self.is_stopped() {
                ticket.settle(0);
                return Err(Error::Stopped);
            }
            self.account(|usage| {
                usage.calls += 1;
                usage.retries += u64::from(attempt > 1);
            });
            self.tell(&CallEvent::Sent {
                url: http.url(path),
                samples: size.samples,
                attempt,
            });
            let sent = Instant::now();
            let outcome = http.post(path, body, streamed).and_then(&mut *read);
            let paid = match &outcome {
                Ok((_, charge)) => Paid::Yes(*charge),
                Err(failed) => failed.paid,
            };
            match paid {
                Paid::Nothing => {
                    ticket.settle(0);
                    drop(held);
                }
                Paid::Maybe => {
                    if let Some(held) = held {
                        held.settle_whole();
                    }
                    self.account(|usage| usage.uncertain_calls += 1);
                }
                Paid::Yes(charge) => {
                    let (prompt, completion) = (charge.prompt_tokens, charge.completion_tokens);
                    ticket.settle(prompt.saturating_add(completion));
                    let prices = self.config.prices;
                    if let (Some(held), Some(prices)) = (held, prices) {
                        held.settle(prices.cost(prompt as f64, completion as f64));
                    }
                    self.account(|usage| {
                        usage.prompt_tokens += prompt;
                        usage.completion_tokens += completion;
                        usage.estimated_calls += u64::from(charge.estimated);
                    });
                }
            }
            drop(ticket);
            let failed = match outcome {
                Ok((value, charge)) => {
                    self.tell(&CallEvent::Answered {
                        url: http.url(path),
                        samples: size.samples,
                        prompt_tokens: charge.prompt_tokens,
                        completion_tokens: charge.completion_tokens,
                        estimated: charge.estimated,
                        took: sent.elapsed(),
                    });
                    return Ok(value);
                }
                Err(failed) => failed,
            };
            let error = failed.error.after(attempt);
            let asked = error.retry_after().unwrap_or_default();
            let again_in = match error.is_passing() && asked <= retry.longest_wait() {
                true => waits.next().map(|wait| wait.max(asked)),
                false => None,
            };
            let is_limited = matches!(
                error,
                Error::Status {
                    refusal: Refusal::RateLimit,
                    ..
                }
            );
            if is_limited && again_in.is_some() {
                limits.pause(asked);
            }
            self.tell(&CallEvent::Failed {
                error: &error,
                again_in,
            });
            let Some(wait) = again_in else {
                return Err(error);
            };
            self.sleep(wait)?;
        }
    }

    fn is_stopped(&self) -> bool {
        let stop = self.stop.as_ref();
        stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// Waits, unless the client is stopped meanwhile.
    fn sleep(&self, wait: Duration) -> Result<()> {
        let until = Instant::now() + wait;
        loop {
            if self.is_stopped() {
                return Err(Error::Stopped);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK_UP));
        }
    }

    /// Reads a body that is to be one JSON value and no error: the value, and the body itself.
    pub fn read_json(&self, path: Path, answer: &mut Answer) -> Result<(Value, Vec<u8>), Failed> {
        let http = &self.server.http;
        let body = answer
            .body
            .with_config()
            .limit(LARGEST_BODY)
            .read_to_vec()
            .map_err(|error| http.transport(path, error))?;
        let value = lenient::parse(&body).map_err(|error| Failed {
            error: http.malformed(
                path,
                answer.status,
                format!("the answer is no JSON ({error})"),
                &body,
            ),
            paid: Paid::Maybe,
        })?;
        match hidden_status(&value) {
            Some(status) => Err(Failed {
                error: http.refused(path, status, &body, None),
                paid: Paid::Nothing,
            }),
            None => Ok((value, body)),
        }
    }

    /// The error of a server that cannot do what a request needs.
    pub fn cannot(&self, path: Path, capability: Capability, problem: &str) -> Error {
        let url = self.server.http.url(path);
        Error::Unsupported {
            model: format!("{} at {url}", self.config.model),
            capability,
            problem: problem.to_owned(),
        }
    }
}
