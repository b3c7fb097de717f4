//! A model whose every answer is in the store before it is used.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chat_model::{ChatModel, ChatRequest, Completion, Prices, most_prompt_tokens};

use crate::store::{Answer, AnswerKey, Reservation, Store};
use crate::{Error, Result};

/// A model that is asked only for what the [store](Store) does not have, and whose answers are committed as they arrive. So what
/// has arrived is not paid again, whatever happens to the program, and a run that goes on draws what it drew before.
///
/// With prices, the most that a request can cost is set aside in the store before it is sent, so that all processes of the
/// store together stay within the [budget](Self::with_budget).
#[derive(Debug)]
pub struct Recorded<'s, M> {
    endpoint: String,
    identity: String,
    model: M,
    store: &'s Store,
    worker: String,
    prices: Option<Prices>,
    budget: Option<f64>,
    arrives_together: bool,
    stop: Option<&'s AtomicBool>,
    trouble: Mutex<Option<Error>>,
}

const MICROS: f64 = 1e6;

/// How often it is looked whether money has come back, and for how long it may stand still before nobody waits any more: what
/// a worker that died had set aside does not come back.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
const LONGEST_STANDSTILL: Duration = Duration::from_secs(150);

/// Waiting for money to come back.
#[derive(Default)]
struct Patience {
    seen: Option<((u64, u64), Instant)>,
}

impl Patience {
    /// Whether what is spent and reserved has changed not too long ago.
    fn has_some(&mut self, state: (u64, u64)) -> bool {
        match self.seen {
            Some((seen, since)) if seen == state => since.elapsed() < LONGEST_STANDSTILL,
            _ => {
                self.seen = Some((state, Instant::now()));
                true
            }
        }
    }
}

impl<'s, M: ChatModel> Recorded<'s, M> {
    /// Wraps a model. `endpoint` is the name that its answers are counted under; `worker` is who sets money aside.
    pub fn new(
        endpoint: impl Into<String>,
        model: M,
        store: &'s Store,
        worker: impl Into<String>,
    ) -> Self {
        Self {
            endpoint: endpoint.into(),
            identity: model.identity(),
            model,
            store,
            worker: worker.into(),
            prices: None,
            budget: None,
            arrives_together: false,
            stop: None,
            trouble: Mutex::default(),
        }
    }

    /// Sets what it costs, and the most that all endpoints of the store may cost together.
    #[must_use]
    pub fn with_budget(mut self, prices: Prices, budget: Option<f64>) -> Self {
        self.prices = Some(prices);
        self.budget = budget;
        self
    }

    /// Ends the wait for money of the budget that others have set aside when this becomes true.
    #[must_use]
    pub fn with_stop(mut self, stop: &'s AtomicBool) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Commits the answers to a request together: for a model in this process, which gives all at once and costs nothing.
    #[must_use]
    pub fn arriving_together(mut self) -> Self {
        self.arrives_together = true;
        self
    }

    /// Replaces what its answers are found by beside the request, by default its
    /// [`identity`](ChatModel::identity): for a server that has moved and is the same.
    #[must_use]
    pub fn with_identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = identity.into();
        self
    }

    /// The wrapped model.
    pub fn model(&self) -> &M {
        &self.model
    }

    fn key(&self, request: &ChatRequest) -> AnswerKey {
        // Texts and numbers, which JSON has.
        let body = serde_json::to_vec(&(&self.identity, request.clone().with_samples(0)));
        AnswerKey::new(&self.endpoint, &body.unwrap_or_default())
    }

    fn reserve(
        &self,
        request: &ChatRequest,
        samples: usize,
    ) -> Result<Option<Reservation>, chat_model::Error> {
        let Some(prices) = &self.prices else {
            return Ok(None);
        };
        let prompt = most_prompt_tokens(request) as f64;
        // A server that takes one sample a call reads the prompt for each.
        let needed = samples as f64 * prices.cost(prompt, request.sampling.max_tokens as f64);
        let budget = self.budget.map(|budget| (budget * MICROS) as u64);
        let micros = (needed * MICROS).ceil() as u64;
        let mut patience = Patience::default();
        loop {
            let reserved = self.store.reserve(&self.worker, micros, budget);
            if let Some(reservation) = self.kept(reserved)? {
                return Ok(Some(reservation));
            }
            let (spent, reserved) = self.kept(self.store.money())?;
            let has_room = budget.is_none_or(|budget| spent.saturating_add(micros) <= budget);
            // Requests cost less than was set aside for them, and what they leave comes back.
            if has_room && patience.has_some((spent, reserved)) {
                if self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                    return Err(chat_model::Error::Stopped);
                }
                thread::sleep(LOOK_AGAIN);
                continue;
            }
            return Err(chat_model::Error::Budget {
                model: self.name().to_owned(),
                needed,
                spent: spent as f64 / MICROS,
                reserved: reserved as f64 / MICROS,
                budget: self.budget.unwrap_or_default(),
            });
        }
    }

    /// Draws the samples that are missing and stores each.
    fn draw(
        &self,
        request: &ChatRequest,
        key: &AnswerKey,
        missing: &[usize],
        completions: &mut [Option<Completion>],
    ) -> Result<(), chat_model::Error> {
        let reservation = self.reserve(request, missing.len())?;
        let mut arrived = Vec::new();
        let mut stored = Ok(0);
        let drawn = self
            .model
            .complete_each(request, missing, &mut |index, completion| {
                arrived.push((place(index), self.answer(&completion)));
                if let Some(slot) = completions.get_mut(index) {
                    *slot = Some(completion);
                }
                if stored.is_ok() && !self.arrives_together {
                    stored = self.store.put_answers(key, &std::mem::take(&mut arrived));
                }
            });
        if stored.is_ok() && !arrived.is_empty() {
            stored = self.store.put_answers(key, &arrived);
        }
        if let Some(reservation) = reservation {
            // A call whose answer was lost on the way may have been paid.
            let is_lost = drawn.as_ref().is_err_and(|error| {
                matches!(
                    error.reason(),
                    "timeout" | "connection" | "malformed answer"
                )
            });
            let ended = match is_lost {
                true => self.store.write_off(reservation),
                false => self.store.drop_reservation(reservation),
            };
            self.kept(ended)?;
        }
        self.kept(stored)?;
        drawn
    }

    fn answer(&self, completion: &Completion) -> Answer {
        // A struct of texts and numbers; what cannot be written is drawn again.
        let text = serde_json::to_string(completion).unwrap_or_default();
        let model = completion.model.as_deref().unwrap_or(self.model.name());
        let cost = self.prices.map_or(0.0, |prices| {
            prices.cost(completion.prompt_tokens as f64, completion.tokens as f64)
        });
        Answer {
            prompt_tokens: completion.prompt_tokens as u64,
            completion_tokens: completion.tokens as u64,
            estimated: completion.estimated,
            cost_micros: (completion.cost.unwrap_or(cost) * MICROS).ceil() as u64,
            ..Answer::new(text, model)
        }
    }

    /// Remembers trouble with the store, which is no fault of the model and ends the run.
    fn kept<T>(&self, result: Result<T>) -> Result<T, chat_model::Error> {
        result.map_err(|error| {
            let message = error.to_string();
            let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            trouble.get_or_insert(error);
            chat_model::Error::Local {
                model: self.model.name().to_owned(),
                message,
            }
        })
    }
}

/// A model that may have met trouble with its store.
pub(super) trait Trouble: Sync {
    /// The trouble, once.
    fn take(&self) -> Option<Error>;
}

impl<M: ChatModel> Trouble for Recorded<'_, M> {
    fn take(&self) -> Option<Error> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl<M: ChatModel> ChatModel for Recorded<'_, M> {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn complete(&self, request: &ChatRequest) -> Result<Vec<Completion>, chat_model::Error> {
        let key = self.key(request);
        let mut completions: Vec<Option<Completion>> = vec![None; request.samples];
        for (index, answer) in self.kept(self.store.answers(&key))? {
            if let Some(slot) = completions.get_mut(index as usize) {
                *slot = serde_json::from_str(&answer.completion).ok();
            }
        }
        let missing: Vec<usize> = (0..request.samples)
            .filter(|&index| completions[index].is_none())
            .collect();
        if !missing.is_empty() {
            self.draw(request, &key, &missing, &mut completions)?;
        }
        let found = completions.iter().flatten().count();
        if found < request.samples {
            return Err(chat_model::Error::Local {
                model: self.name().to_owned(),
                message: format!("gave {found} of {} samples and no error", request.samples),
            });
        }
        Ok(completions.into_iter().flatten().collect())
    }
}

fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
