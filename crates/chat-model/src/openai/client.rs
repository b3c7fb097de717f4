//! The client.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};

use serde_json::Value;

use super::config::{OpenAiConfig, PrefixSupport};
use super::draw::{Arrival, Wanted};
use super::exchange::{Exchange, Server};
use super::http::{Http, Path};
use super::key::ApiKey;
use super::observe::CallEvent;
use crate::{
    Budget, Capability, ChatModel, ChatRequest, Completion, Error, Piece, Result, TokenLogProb,
    Usage,
};

/// A [`ChatModel`] behind a server that speaks the OpenAI protocol.
///
/// OpenAI, vLLM, SGLang, llama.cpp and most hosted models speak it. The client repeats calls that
/// failed for a passing reason (see [`RetryPolicy`](crate::RetryPolicy)), keeps to the limits of the server, sends the
/// requests of a batch concurrently, splits calls when a server refuses or ignores `n`, and keeps an account of tokens and
/// money within a [`Budget`]. Clones share the limits and the account. It never writes the API key anywhere: not into
/// errors, not into `Debug` output, not into [events](CallEvent).
///
/// # Seeds
///
/// A call carries the seed of its first sample, which is made from the seed of the request plus the index of the sample.
/// Servers that draw choice `j` with the seed plus `j` (vLLM, llama.cpp) thus draw a sample the same way however samples
/// are grouped into calls, as far as their arithmetic does not depend on the batch. Other servers promise less: OpenAI
/// calls seeds best effort. The request's own seed and the index of the first sample stand in headers
/// ([`SEED_HEADER`](crate::SEED_HEADER), [`FIRST_SAMPLE_HEADER`](crate::FIRST_SAMPLE_HEADER)): a server that heeds them can draw
/// what a model in this process would.
///
/// ```no_run
/// use chat_model::{ChatModel, ChatRequest, Message, OpenAiClient, OpenAiConfig};
///
/// let client = OpenAiClient::new(
///     OpenAiConfig::new("https://api.openai.com/v1", "gpt-4o-mini").with_api_key_env("OPENAI_API_KEY"),
/// )?;
/// let answers = client.complete(&ChatRequest::new([Message::user("What is 6 * 7?")]))?;
/// assert!(!answers[0].text.is_empty());
/// # Ok::<(), chat_model::Error>(())
/// ```
#[derive(Clone)]
pub struct OpenAiClient {
    exchange: Exchange,
}

impl OpenAiClient {
    /// A client with the key from the environment variable that the settings name, if any.
    ///
    /// Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When a setting cannot be right, or the variable is not set.
    pub fn new(config: OpenAiConfig) -> Result<Self> {
        let key = config
            .api_key_env
            .as_deref()
            .map(ApiKey::from_env)
            .transpose()?;
        Self::build(config, key)
    }

    /// A client with a key from somewhere else; `api_key_env` is not looked at.
    ///
    /// # Errors
    ///
    /// When a setting cannot be right.
    pub fn with_api_key(config: OpenAiConfig, key: ApiKey) -> Result<Self> {
        Self::build(config, Some(key))
    }

    fn build(config: OpenAiConfig, key: Option<ApiKey>) -> Result<Self> {
        config.validate()?;
        let http = Http::new(&config, key)?;
        Ok(Self {
            exchange: Exchange {
                server: Arc::new(Server::new(&config, http)),
                budget: config.budget.map(Budget::new).transpose()?,
                config: Arc::new(config),
                observer: None,
                stop: None,
            },
        })
    }

    /// Takes the money for calls from this budget, which other clients may share, instead of one of its own.
    ///
    /// # Errors
    ///
    /// When the settings have no prices.
    pub fn with_budget(mut self, budget: Budget) -> Result<Self> {
        if self.config().prices.is_none() {
            return Err(Error::Config {
                field: "prices",
                problem:
                    "are needed beside a budget, without them nothing can be counted against it"
                        .to_owned(),
            });
        }
        self.exchange.budget = Some(budget);
        Ok(self)
    }

    /// Tells what happens to calls, on the threads that make them.
    pub fn with_observer(
        mut self,
        observer: impl Fn(&CallEvent<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.exchange.observer = Some(Arc::new(observer));
        self
    }

    /// Makes no more calls once this is set: calls under way are finished and their samples handed over, all that wait
    /// end with [`Error::Stopped`].
    pub fn with_stop(mut self, stop: Arc<AtomicBool>) -> Self {
        self.exchange.stop = Some(stop);
        self
    }

    /// The settings.
    pub fn config(&self) -> &OpenAiConfig {
        &self.exchange.config
    }

    /// Calls and tokens used so far, by this client and its clones.
    pub fn usage(&self) -> Usage {
        let usage = self.exchange.server.usage.lock();
        // The lock guards plain counts, which are usable whatever thread panicked.
        *usage.unwrap_or_else(PoisonError::into_inner)
    }

    /// The cost of the [usage](Self::usage), when prices are known. The [budget](Self::budget) also counts as spent what
    /// may have been paid for nothing.
    pub fn cost(&self) -> Option<f64> {
        let prices = self.config().prices.as_ref()?;
        Some(self.usage().cost(prices))
    }

    /// The budget, if there is one.
    pub fn budget(&self) -> Option<&Budget> {
        self.exchange.budget.as_ref()
    }

    /// The most that so many samples of a request can cost in one call, when prices are known: what is reserved before it.
    pub fn most_cost(&self, request: &ChatRequest, samples: usize) -> Option<f64> {
        self.config().prices?;
        Some(self.exchange.size(request, samples).most_cost)
    }

    /// Draws samples of several requests at once and hands over each, as (position of the request, index of the sample),
    /// as soon as its call has ended, on this thread. One result per request.
    fn complete_each_of(
        &self,
        requests: &[(&ChatRequest, &[usize])],
        on_sample: &mut dyn FnMut(usize, usize, Completion),
    ) -> Vec<Result<()>> {
        let wanted: Vec<Wanted<'_>> = requests
            .iter()
            .map(|(request, samples)| Wanted {
                request,
                samples: samples.to_vec(),
            })
            .collect();
        self.draw(&wanted, self.config().stream, &mut |arrival| {
            if let Arrival::Sample(request, sample, completion) = arrival {
                on_sample(request, sample, completion);
            }
        })
    }

    fn draw(
        &self,
        wanted: &[Wanted<'_>],
        streamed: bool,
        on_arrival: &mut dyn FnMut(Arrival),
    ) -> Vec<Result<()>> {
        let checked: Vec<Result<()>> = wanted.iter().map(|w| w.request.check(self)).collect();
        let sound: Vec<Wanted<'_>> = wanted
            .iter()
            .zip(&checked)
            .map(|(wanted, checked)| Wanted {
                request: wanted.request,
                samples: match checked {
                    Ok(()) => wanted.samples.clone(),
                    Err(_) => Vec::new(),
                },
            })
            .collect();
        let drawn = self.exchange.draw_all(&sound, streamed, on_arrival);
        let both = checked.into_iter().zip(drawn);
        both.map(|(checked, drawn)| checked.and(drawn)).collect()
    }
}

impl std::fmt::Debug for OpenAiClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("OpenAiClient")
            .field("url", &self.exchange.server.http.url(Path::Chat))
            .field("model", &self.config().model)
            .field("usage", &self.usage())
            .finish_non_exhaustive()
    }
}

impl ChatModel for OpenAiClient {
    fn name(&self) -> &str {
        &self.config().model
    }

    /// The server, the name of the model and the settings that change what it is sent.
    fn identity(&self) -> String {
        let config = self.config();
        sorted(&serde_json::json!({
            "base_url": config.base_url.trim_end_matches('/'),
            "model": config.model,
            "extra_body": config.extra_body,
            "token_limit_field": config.token_limit_field,
            "send_seed": config.send_seed,
        }))
        .to_string()
    }

    /// What the protocol has. A server that lacks it is an error when it is asked.
    fn can(&self, capability: Capability) -> bool {
        match capability {
            Capability::AnswerPrefix => self.config().answer_prefix != PrefixSupport::Unsupported,
            _ => true,
        }
    }

    /// Asks until all samples are there: servers may limit or ignore `n`, but every call brings at
    /// least one sample or an error.
    fn complete(&self, request: &ChatRequest) -> Result<Vec<Completion>> {
        let mut all = self.complete_batch(std::slice::from_ref(request));
        all.pop().unwrap_or_else(|| Ok(Vec::new()))
    }

    fn complete_each(
        &self,
        request: &ChatRequest,
        wanted: &[usize],
        on_sample: &mut dyn FnMut(usize, Completion),
    ) -> Result<()> {
        let mut results =
            self.complete_each_of(&[(request, wanted)], &mut |_, sample, completion| {
                on_sample(sample, completion);
            });
        results.pop().unwrap_or(Ok(()))
    }

    /// Makes up to `concurrency` calls at once.
    fn complete_batch_each(
        &self,
        requests: &[ChatRequest],
        wanted: &[Vec<usize>],
        on_sample: &mut dyn FnMut(usize, usize, Completion),
    ) -> Vec<Result<()>> {
        let wanted: Vec<(&ChatRequest, &[usize])> = requests
            .iter()
            .zip(wanted)
            .map(|(request, samples)| (request, samples.as_slice()))
            .collect();
        self.complete_each_of(&wanted, on_sample)
    }

    /// Makes up to `concurrency` calls at once.
    fn complete_batch(&self, requests: &[ChatRequest]) -> Vec<Result<Vec<Completion>>> {
        let wanted = all_samples(requests);
        let mut samples: Vec<BTreeMap<usize, Completion>> =
            requests.iter().map(|_| BTreeMap::new()).collect();
        let results = self.draw(&wanted, self.config().stream, &mut |arrival| {
            if let Arrival::Sample(request, sample, completion) = arrival
                && let Some(samples) = samples.get_mut(request)
            {
                samples.insert(sample, completion);
            }
        });
        results
            .into_iter()
            .zip(samples)
            .map(|(result, samples)| result.map(|()| samples.into_values().collect()))
            .collect()
    }

    fn stream(
        &self,
        request: &ChatRequest,
        on_piece: &mut dyn FnMut(Piece<'_>),
    ) -> Result<Vec<Completion>> {
        let wanted = all_samples(std::slice::from_ref(request));
        let mut samples = BTreeMap::new();
        let results = self.draw(&wanted, true, &mut |arrival| {
            if let Some(piece) = arrival.piece() {
                on_piece(piece);
            }
            if let Arrival::Sample(_, sample, completion) = arrival {
                samples.insert(sample, completion);
            }
        });
        results.into_iter().collect::<Result<Vec<()>>>()?;
        Ok(samples.into_values().collect())
    }

    fn log_probs_of(&self, request: &ChatRequest, completion: &str) -> Result<Vec<TokenLogProb>> {
        // What is drawn with does not matter here.
        let request = ChatRequest {
            sampling: crate::Sampling::default(),
            ..request.clone()
        };
        request.check(self)?;
        self.exchange.log_probs_of(&request, completion)
    }
}

/// The same JSON with its keys in order: whether they come so depends on what else is built.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let entries: BTreeMap<&String, Value> = map
                .iter()
                .map(|(name, value)| (name, sorted(value)))
                .collect();
            Value::Object(
                entries
                    .into_iter()
                    .map(|(name, value)| (name.clone(), value))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

fn all_samples(requests: &[ChatRequest]) -> Vec<Wanted<'_>> {
    requests
        .iter()
        .map(|request| Wanted {
            request,
            samples: (0..request.samples).collect(),
        })
        .collect()
}
