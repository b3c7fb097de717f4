//! Limits on the calls to one server: at once, and within a minute.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often whoever waits looks whether it is to stop.
pub(super) const LOOK_UP: Duration = Duration::from_millis(100);

/// What all clones of a client share of the server's patience.
///
/// The window slides: within any minute no more calls begin, and no more tokens are asked for, than the limits say. A call
/// that is larger than the limit on tokens waits for an empty window and goes alone.
pub(super) struct Limits {
    concurrency: usize,
    requests: Option<u32>,
    tokens: Option<u64>,
    window: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    under_way: usize,
    paused_until: Option<Instant>,
    begun: VecDeque<Begun>,
    next_id: u64,
}

struct Begun {
    id: u64,
    at: Instant,
    tokens: u64,
}

impl Limits {
    pub fn per_minute(concurrency: usize, requests: Option<u32>, tokens: Option<u64>) -> Self {
        Self::within(Duration::from_secs(60), concurrency, requests, tokens)
    }

    fn within(
        window: Duration,
        concurrency: usize,
        requests: Option<u32>,
        tokens: Option<u64>,
    ) -> Self {
        Self {
            concurrency,
            requests,
            tokens,
            window,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Waits until a call with so many tokens may begin, or `None` when it `is_stopped` meanwhile.
    pub fn enter(&self, tokens: u64, is_stopped: impl Fn() -> bool) -> Option<Ticket<'_>> {
        let mut state = self.state();
        loop {
            if is_stopped() {
                return None;
            }
            let now = Instant::now();
            let wait = if state.under_way >= self.concurrency {
                // Whoever leaves wakes this thread.
                self.window
            } else {
                match self.wait_in(&mut state, now, tokens) {
                    None => break,
                    Some(wait) => wait,
                }
            };
            // A timer that fires early must not make this a busy loop, nor a long wait a deaf one.
            let wait = wait.clamp(Duration::from_millis(1), LOOK_UP);
            state = self
                .changed
                .wait_timeout(state, wait)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let id = state.next_id;
        state.next_id += 1;
        state.under_way += 1;
        if self.requests.is_some() || self.tokens.is_some() {
            state.begun.push_back(Begun {
                id,
                at: Instant::now(),
                tokens,
            });
        }
        Some(Ticket { limits: self, id })
    }

    /// How long the pause or the window keep a call back, if they do.
    fn wait_in(&self, state: &mut State, now: Instant, tokens: u64) -> Option<Duration> {
        if let Some(until) = state.paused_until.filter(|until| *until > now) {
            return Some(until - now);
        }
        while let Some(oldest) = state.begun.front() {
            if now.saturating_duration_since(oldest.at) < self.window {
                break;
            }
            state.begun.pop_front();
        }
        let oldest = state.begun.front()?.at;
        let sum = state
            .begun
            .iter()
            .fold(tokens, |sum, begun| sum.saturating_add(begun.tokens));
        let too_many = self
            .requests
            .is_some_and(|limit| state.begun.len() >= limit as usize);
        let too_much = self.tokens.is_some_and(|limit| sum > limit);
        (too_many || too_much).then(|| (oldest + self.window).saturating_duration_since(now))
    }

    /// Lets no call begin for so long.
    pub fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut state = self.state();
        state.paused_until = state.paused_until.max(Some(until));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counts, usable whatever thread panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way. Dropped, it lets another begin.
pub(super) struct Ticket<'a> {
    limits: &'a Limits,
    id: u64,
}

impl Ticket<'_> {
    /// Corrects the tokens of the call to what they came to.
    pub fn settle(&self, tokens: u64) {
        let mut state = self.limits.state();
        if let Some(begun) = state.begun.iter_mut().find(|begun| begun.id == self.id) {
            begun.tokens = tokens;
        }
        drop(state);
        self.limits.changed.notify_all();
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut state = self.limits.state();
        state.under_way = state.under_way.saturating_sub(1);
        drop(state);
        self.limits.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_millis(60);

    /// When calls of 10 tokens begin, made by four threads.
    fn begins(limits: &Limits, calls: usize) -> Vec<Instant> {
        let mut times = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..calls / 4)
                            .map(|_| {
                                let ticket = limits.enter(10, || false).unwrap();
                                let state = limits.state();
                                let at = state.begun.iter().find(|b| b.id == ticket.id).unwrap().at;
                                drop(state);
                                at
                            })
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            let each = threads.into_iter().map(|thread| thread.join().unwrap());
            each.flatten().collect::<Vec<_>>()
        });
        times.sort();
        times
    }

    #[test]
    fn no_window_has_more_requests_or_tokens_than_the_limit() {
        for limits in [
            Limits::within(WINDOW, 8, Some(5), None),
            Limits::within(WINDOW, 8, None, Some(55)),
        ] {
            let times = begins(&limits, 20);
            assert_eq!(times.len(), 20);
            for pair in times.windows(6) {
                assert!(pair[5] - pair[0] >= WINDOW);
            }
        }
    }

    #[test]
    fn tokens_that_were_not_used_come_back_and_a_call_beyond_the_limit_goes_alone() {
        let limits = Limits::within(Duration::from_secs(3600), 8, None, Some(100));
        // Larger than the limit, and the window is empty.
        let ticket = limits.enter(1000, || false).unwrap();
        ticket.settle(10);
        assert!(limits.enter(91, || true).is_none());
        // Would wait for an hour, had the tokens not come back.
        drop(limits.enter(90, || false).unwrap());
    }

    #[test]
    fn no_more_calls_are_under_way_than_allowed_and_a_pause_holds_all_back() {
        let limits = Limits::within(WINDOW, 2, None, None);
        let start = Instant::now();
        limits.pause(Duration::from_millis(30));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let _ticket = limits.enter(1, || false).unwrap();
                    assert!(start.elapsed() >= Duration::from_millis(30));
                    assert!(limits.state().under_way <= 2);
                    std::thread::sleep(Duration::from_millis(2));
                });
            }
        });
        assert_eq!(limits.state().under_way, 0);
    }
}
