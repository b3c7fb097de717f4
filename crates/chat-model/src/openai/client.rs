//! The client.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::call::Endpoint;
use super::config::{ApiKey, OpenAiConfig};
use super::wire;
use crate::{ChatModel, ChatRequest, Completion, Error, Result, Usage};

/// A [`ChatModel`] behind a server that speaks the OpenAI chat-completions protocol.
///
/// OpenAI, vLLM, SGLang, llama.cpp and most hosted models speak it. The client repeats calls that
/// failed for a passing reason (see [`RetryPolicy`](crate::RetryPolicy)), sends the requests of a batch concurrently,
/// asks again when a server ignores `n`, and keeps an account of tokens and money. It never writes
/// the API key anywhere: not into errors, not into `Debug` output.
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
pub struct OpenAiClient {
    config: OpenAiConfig,
    endpoint: Endpoint,
    usage: Mutex<Usage>,
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
        let endpoint = Endpoint::new(&config, key)?;
        Ok(Self {
            config,
            endpoint,
            usage: Mutex::default(),
        })
    }

    /// The settings.
    pub fn config(&self) -> &OpenAiConfig {
        &self.config
    }

    /// Calls and tokens used so far, as the server counted them. A server that reports no usage is
    /// counted in calls only.
    pub fn usage(&self) -> Usage {
        // The lock guards plain counts, which are usable whatever thread panicked.
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The amount spent so far, when prices are known.
    pub fn cost(&self) -> Option<f64> {
        let prices = self.config.prices.as_ref()?;
        Some(self.usage().cost(prices))
    }

    fn check_budget(&self) -> Result<()> {
        match (self.config.budget, self.cost()) {
            (Some(budget), Some(spent)) if spent >= budget => Err(Error::BudgetSpent {
                model: self.config.model.clone(),
                spent,
                budget,
            }),
            _ => Ok(()),
        }
    }

    fn account(&self, change: impl FnOnce(&mut Usage)) {
        change(&mut self.usage.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// One call for the samples that are still missing.
    fn call(&self, request: &ChatRequest, done: usize) -> Result<Vec<Completion>> {
        let missing = request.samples - done;
        let samples = missing.min(self.config.max_samples_per_call.unwrap_or(missing));
        let body =
            wire::encode(&self.config, request, samples, done).map_err(|error| Error::Config {
                field: "sampling",
                problem: format!("cannot be written as JSON: {error}"),
            })?;
        let answer = self.endpoint.post(&body, |attempt| {
            self.check_budget()?;
            // Counted before it is sent, so that calls that fail count too.
            self.account(|usage| {
                usage.calls += 1;
                usage.retries += u64::from(attempt > 1);
            });
            Ok(())
        })?;
        let (completions, tokens) =
            wire::decode(&answer.body, samples).map_err(|problem| Error::Malformed {
                url: self.endpoint.url().to_owned(),
                status: answer.status,
                problem,
                body: self.endpoint.excerpt(&answer.body),
            })?;
        self.account(|usage| {
            usage.prompt_tokens += tokens.prompt_tokens;
            usage.completion_tokens += tokens.completion_tokens;
        });
        Ok(completions)
    }
}

impl std::fmt::Debug for OpenAiClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("OpenAiClient")
            .field("url", &self.endpoint.url())
            .field("model", &self.config.model)
            .field("usage", &self.usage())
            .finish_non_exhaustive()
    }
}

impl ChatModel for OpenAiClient {
    fn name(&self) -> &str {
        &self.config.model
    }

    /// Asks until all samples are there: servers may limit or ignore `n`, but every call brings at
    /// least one sample or an error.
    fn complete(&self, request: &ChatRequest) -> Result<Vec<Completion>> {
        request.sampling.check()?;
        let mut completions = Vec::with_capacity(request.samples);
        while completions.len() < request.samples {
            completions.extend(self.call(request, completions.len())?);
        }
        Ok(completions)
    }

    /// Works on up to `concurrency` requests at once.
    fn complete_batch(&self, requests: &[ChatRequest]) -> Vec<Result<Vec<Completion>>> {
        let answers: Vec<OnceLock<Result<Vec<Completion>>>> =
            requests.iter().map(|_| OnceLock::new()).collect();
        // Relaxed will do: it hands out indices, and the scope's end makes the answers visible.
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some((request, slot)) = {
                let index = next.fetch_add(1, Ordering::Relaxed);
                requests.get(index).zip(answers.get(index))
            } {
                slot.get_or_init(|| self.complete(request));
            }
        };
        std::thread::scope(|scope| {
            // This thread works too, so a batch of one starts none.
            for _ in 1..self.config.concurrency.min(requests.len()) {
                scope.spawn(work);
            }
            work();
        });
        answers
            .into_iter()
            .zip(requests)
            .map(|(slot, request)| slot.into_inner().unwrap_or_else(|| self.complete(request)))
            .collect()
    }
}
