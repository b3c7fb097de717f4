//! The samples of many requests, in calls of several at once.

use std::collections::VecDeque;
use std::sync::mpsc::{self, Sender};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::body::Ask;
use super::exchange::Exchange;
use crate::{ChatRequest, Completion, Error, Piece, Refusal, Result};

/// A request and the indices of its samples that are wanted.
pub(super) struct Wanted<'a> {
    pub request: &'a ChatRequest,
    pub samples: Vec<usize>,
}

/// What comes of the calls, as it comes.
pub(super) enum Arrival {
    Sample(usize, usize, Completion),
    Text(usize, String),
    Restarted(usize),
}

/// Samples of a request with indices that follow each other.
#[derive(Debug, Clone, Copy)]
struct Run {
    request: usize,
    first: usize,
    samples: usize,
    /// How many at once the server has refused, if these were among them.
    refused: Option<usize>,
}

#[derive(Default)]
struct Queue {
    runs: VecDeque<Run>,
    under_way: usize,
    errors: Vec<Option<Error>>,
    /// Nobody listens any more.
    abandoned: bool,
}

struct Draw<'a> {
    exchange: &'a Exchange,
    wanted: &'a [Wanted<'a>],
    streamed: bool,
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Exchange {
    /// Draws samples and hands over each as soon as its call has ended, on this thread. One result per request: its first
    /// error, after which no more of its calls are begun.
    pub fn draw_all(
        &self,
        wanted: &[Wanted<'_>],
        streamed: bool,
        on_arrival: &mut dyn FnMut(Arrival),
    ) -> Vec<Result<()>> {
        let runs: VecDeque<Run> = wanted
            .iter()
            .enumerate()
            .flat_map(|(request, wanted)| runs_of(request, &wanted.samples))
            .collect();
        let calls: usize = runs.iter().map(|run| run.samples).sum();
        let draw = Draw {
            exchange: self,
            wanted,
            streamed,
            queue: Mutex::new(Queue {
                runs,
                errors: wanted.iter().map(|_| None).collect(),
                ..Queue::default()
            }),
            changed: Condvar::new(),
        };
        std::thread::scope(|scope| {
            let (sender, arrivals) = mpsc::channel();
            for _ in 0..self.config.concurrency.min(calls) {
                let (sender, draw) = (sender.clone(), &draw);
                let started = std::thread::Builder::new()
                    .name("chat-model".to_owned())
                    .spawn_scoped(scope, move || draw.work(&sender));
                if started.is_err() {
                    break;
                }
            }
            drop(sender);
            for arrival in arrivals {
                on_arrival(arrival);
            }
            // Nothing is left to do, unless no thread could be started.
            let (sender, arrivals) = mpsc::channel();
            draw.work(&sender);
            drop(sender);
            arrivals.into_iter().for_each(on_arrival);
        });
        let queue = draw.queue.into_inner();
        let errors = queue.unwrap_or_else(PoisonError::into_inner).errors;
        errors
            .into_iter()
            .map(|error| error.map_or(Ok(()), Err))
            .collect()
    }
}

impl Draw<'_> {
    /// Makes calls until there are none left, here or under way.
    fn work(&self, sender: &Sender<Arrival>) {
        while let Some(run) = self.next() {
            let under_way = UnderWay(self);
            let outcome = self.call(run, sender);
            let mut queue = self.queue();
            match outcome {
                Ok(next) => {
                    for run in next.into_iter().rev() {
                        queue.runs.push_front(run);
                    }
                }
                Err(error) => {
                    if let Some(slot) = queue.errors.get_mut(run.request) {
                        slot.get_or_insert(error);
                    }
                }
            }
            drop(queue);
            drop(under_way);
        }
    }

    /// The next call: as many samples as the server gives at once.
    fn next(&self) -> Option<Run> {
        let mut queue = self.queue();
        loop {
            if queue.abandoned {
                return None;
            }
            if let Some(mut run) = queue.runs.pop_front() {
                if queue.errors.get(run.request).is_none_or(Option::is_some) {
                    continue;
                }
                let most = self.exchange.server.most_per_call();
                if run.samples > most {
                    // What is known about `n` made these runs, not a refusal of this one.
                    run.refused = None;
                    let rest = Run {
                        first: run.first + most,
                        samples: run.samples - most,
                        ..run
                    };
                    queue.runs.push_front(rest);
                    run.samples = most;
                    self.changed.notify_one();
                }
                queue.under_way += 1;
                return Some(run);
            }
            if queue.under_way == 0 {
                return None;
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// One call, and the runs that are still to be called for.
    fn call(&self, run: Run, sender: &Sender<Arrival>) -> Result<Vec<Run>> {
        let Some(Wanted { request, .. }) = self.wanted.get(run.request) else {
            return Ok(Vec::new());
        };
        let ask = Ask {
            request,
            first: run.first,
            samples: run.samples,
            streamed: self.streamed,
        };
        let mut shown = vec![false; run.samples];
        let restart = |shown: &mut [bool]| {
            for (place, shown) in shown.iter_mut().enumerate().filter(|(_, shown)| **shown) {
                *shown = false;
                let _ = sender.send(Arrival::Restarted(run.first + place));
            }
        };
        let drawn = self.exchange.draw(&ask, &mut |text| match text {
            Some((place, text)) => {
                if let Some(shown) = shown.get_mut(place) {
                    *shown = true;
                    let _ = sender.send(Arrival::Text(run.first + place, text.to_owned()));
                }
            }
            None => restart(&mut shown),
        });
        let drawn = match drawn {
            Ok(drawn) => drawn,
            Err(error) if run.samples > 1 && may_be_too_many(&error) => {
                restart(&mut shown);
                let half = run.samples / 2;
                let refused = Some(run.samples);
                let part = |first, samples| Run {
                    first,
                    samples,
                    refused,
                    ..run
                };
                let rest = part(run.first + half, run.samples - half);
                return Ok(vec![part(run.first, half), rest]);
            }
            Err(error) => return Err(error),
        };
        let mut missing: Vec<usize> = (0..run.samples).collect();
        for (place, completion) in drawn {
            let Some(at) = missing.iter().position(|&missing| missing == place) else {
                continue;
            };
            missing.remove(at);
            if let Some(shown) = shown.get_mut(place) {
                *shown = false;
            }
            let arrival = Arrival::Sample(run.request, run.first + place, completion);
            if sender.send(arrival).is_err() {
                self.queue().abandoned = true;
            }
        }
        let given = run.samples - missing.len();
        let refused = match missing.is_empty() {
            // The same samples were refused together and come apart: it was their number.
            true => run.refused,
            // A stream that broke off says nothing about `n`.
            false => (!self.streamed).then_some(given + 1),
        };
        self.exchange.learn(given, refused, ask.path());
        restart(&mut shown);
        let missing: Vec<usize> = missing.into_iter().map(|place| run.first + place).collect();
        Ok(runs_of(run.request, &missing).collect())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A worker does not panic while it holds the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that others may wait for; it ends even if an observer panics.
struct UnderWay<'a>(&'a Draw<'a>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.queue().under_way -= 1;
        self.0.changed.notify_all();
    }
}

/// Whether a refusal may be about the number of samples: a long context or a bad key is not.
fn may_be_too_many(error: &Error) -> bool {
    matches!(
        error,
        Error::Status {
            status: 400 | 422,
            refusal: Refusal::Other,
            ..
        }
    )
}

/// The runs of indices that follow each other.
fn runs_of(request: usize, samples: &[usize]) -> impl Iterator<Item = Run> + use<> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut runs: Vec<Run> = Vec::new();
    for index in sorted {
        match runs.last_mut() {
            Some(run) if run.first + run.samples == index => run.samples += 1,
            _ => runs.push(Run {
                request,
                first: index,
                samples: 1,
                refused: None,
            }),
        }
    }
    runs.into_iter()
}

impl Arrival {
    /// As a piece of text, if it is one.
    pub fn piece(&self) -> Option<Piece<'_>> {
        match self {
            Self::Text(sample, text) => Some(Piece::Text {
                sample: *sample,
                text,
            }),
            Self::Restarted(sample) => Some(Piece::Restarted { sample: *sample }),
            Self::Sample(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_hold_the_same_indices_once_and_none_follows_another(
            samples in proptest::collection::vec(0usize..40, 0..40),
        ) {
            let runs: Vec<Run> = runs_of(3, &samples).collect();
            let held: Vec<usize> = runs.iter().flat_map(|run| run.first..run.first + run.samples).collect();
            let wanted: Vec<usize> = samples.iter().copied().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
            prop_assert_eq!(held, wanted);
            for pair in runs.windows(2) {
                prop_assert!(pair[0].first + pair[0].samples < pair[1].first);
            }
        }
    }
}
