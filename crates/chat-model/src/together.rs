//! Requests of several threads, computed in one batch.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{Capability, ChatModel, ChatRequest, Completion, Error, Piece, Result, TokenLogProb};

/// A model whose [`complete`](ChatModel::complete) waits a moment for the requests of other threads and computes all of them
/// [together](ChatModel::complete_batch): for a model in this process that works for many threads.
///
/// What a request is answered with does not depend on its company, as far as the model keeps that promise of
/// [`ChatModel`]. A single thread loses the wait.
///
/// ```
/// use chat_model::{ChatModel, ChatRequest, Completion, FnModel, Message, Together};
///
/// let parrot = FnModel::new("parrot", |request: &ChatRequest| {
///     Ok(vec![Completion::stopped(&request.messages[0].content); request.samples])
/// });
/// let parrot = Together::new(parrot);
/// std::thread::scope(|scope| {
///     for word in ["hello", "goodbye"] {
///         let parrot = &parrot;
///         scope.spawn(move || {
///             let said = parrot.complete(&ChatRequest::new([Message::user(word)])).unwrap();
///             assert_eq!(said[0].text, word);
///         });
///     }
/// });
/// ```
#[derive(Debug)]
pub struct Together<M> {
    model: M,
    wait: Duration,
    desk: Mutex<Desk>,
    changed: Condvar,
}

/// What has been asked and answered.
#[derive(Debug, Default)]
struct Desk {
    next: u64,
    asked: Vec<(u64, ChatRequest)>,
    answered: HashMap<u64, Result<Vec<Completion>>>,
    /// Whether a thread is computing for the others.
    busy: bool,
}

impl<M: ChatModel> Together<M> {
    /// Wraps a model. A batch starts when no request has come for two milliseconds.
    pub fn new(model: M) -> Self {
        Self {
            model,
            wait: Duration::from_millis(2),
            desk: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Sets for how long no request must have come before a batch starts.
    #[must_use]
    pub fn with_wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Waits until no more is asked, and computes all of it.
    fn serve<'d>(&'d self, mut desk: MutexGuard<'d, Desk>) {
        loop {
            let before = desk.asked.len();
            let (waited, _) = unpoisoned(self.changed.wait_timeout(desk, self.wait));
            desk = waited;
            if desk.asked.len() == before {
                break;
            }
        }
        let (ids, requests): (Vec<u64>, Vec<ChatRequest>) =
            std::mem::take(&mut desk.asked).into_iter().unzip();
        drop(desk);
        let mut served = Served {
            desk: self,
            ids: &ids,
            answers: Vec::new(),
        };
        served.answers = self.model.complete_batch(&requests);
    }
}

/// Puts the answers on the desk, also when there are none because the model has panicked: nobody may wait for ever.
struct Served<'d, M: ChatModel> {
    desk: &'d Together<M>,
    ids: &'d [u64],
    answers: Vec<Result<Vec<Completion>>>,
}

impl<M: ChatModel> Drop for Served<'_, M> {
    fn drop(&mut self) {
        let mut desk = unpoisoned(self.desk.desk.lock());
        let mut answers = std::mem::take(&mut self.answers).into_iter();
        for id in self.ids {
            let answer = answers.next().unwrap_or_else(|| {
                Err(Error::Local {
                    model: self.desk.model.name().to_owned(),
                    message: "did not answer every request of a batch".into(),
                })
            });
            desk.answered.insert(*id, answer);
        }
        desk.busy = false;
        self.desk.changed.notify_all();
    }
}

impl<M: ChatModel> ChatModel for Together<M> {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn identity(&self) -> String {
        self.model.identity()
    }

    fn can(&self, capability: Capability) -> bool {
        self.model.can(capability)
    }

    fn complete(&self, request: &ChatRequest) -> Result<Vec<Completion>> {
        let mut desk = unpoisoned(self.desk.lock());
        let id = desk.next;
        desk.next += 1;
        desk.asked.push((id, request.clone()));
        self.changed.notify_all();
        loop {
            if let Some(answer) = desk.answered.remove(&id) {
                return answer;
            }
            if desk.busy {
                desk = unpoisoned(self.changed.wait(desk));
            } else {
                desk.busy = true;
                self.serve(desk);
                desk = unpoisoned(self.desk.lock());
            }
        }
    }

    fn complete_batch(&self, requests: &[ChatRequest]) -> Vec<Result<Vec<Completion>>> {
        self.model.complete_batch(requests)
    }

    fn stream(
        &self,
        request: &ChatRequest,
        on_piece: &mut dyn FnMut(Piece<'_>),
    ) -> Result<Vec<Completion>> {
        self.model.stream(request, on_piece)
    }

    fn log_probs_of(&self, request: &ChatRequest, completion: &str) -> Result<Vec<TokenLogProb>> {
        self.model.log_probs_of(request, completion)
    }
}

/// The state behind a lock is whole after every change, so a thread that has panicked leaves nothing half done.
fn unpoisoned<T>(result: std::result::Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::Message;

    struct Counting(AtomicUsize);

    impl ChatModel for Counting {
        fn name(&self) -> &str {
            "counting"
        }

        fn identity(&self) -> String {
            "counting by fingers".to_owned()
        }

        fn can(&self, capability: Capability) -> bool {
            capability == Capability::RawPrompt
        }

        fn complete(&self, request: &ChatRequest) -> Result<Vec<Completion>> {
            assert_ne!(request.messages[0].content, "panic");
            Ok(vec![Completion::stopped(&request.messages[0].content)])
        }

        fn complete_batch(&self, requests: &[ChatRequest]) -> Vec<Result<Vec<Completion>>> {
            self.0.fetch_add(1, Ordering::SeqCst);
            requests
                .iter()
                .map(|request| self.complete(request))
                .collect()
        }
    }

    fn ask(model: &Together<Counting>, word: &str) -> Result<Vec<Completion>> {
        model.complete(&ChatRequest::new([Message::user(word)]))
    }

    #[test]
    fn every_thread_gets_its_own_answer_and_batches_are_shared() {
        let model =
            Together::new(Counting(AtomicUsize::new(0))).with_wait(Duration::from_millis(20));
        std::thread::scope(|scope| {
            for thread in 0..16 {
                let model = &model;
                scope.spawn(move || {
                    for round in 0..5 {
                        let word = format!("{thread} {round}");
                        assert_eq!(ask(model, &word).unwrap()[0].text, word);
                    }
                });
            }
        });
        let batches = model.model.0.load(Ordering::SeqCst);
        assert!(batches < 80, "{batches}");
    }

    #[test]
    fn what_the_model_is_and_can_do_is_said_of_it_together_too() {
        let model = Together::new(Counting(AtomicUsize::new(0)));
        assert_eq!(model.identity(), "counting by fingers");
        assert!(model.can(Capability::RawPrompt) && !model.can(Capability::Scoring));
    }

    #[test]
    fn a_model_that_panics_leaves_nobody_waiting() {
        let model = Together::new(Counting(AtomicUsize::new(0)));
        std::thread::scope(|scope| {
            let panicking = scope.spawn(|| ask(&model, "panic"));
            assert!(panicking.join().is_err());
        });
        assert_eq!(ask(&model, "after").unwrap()[0].text, "after");
    }
}
