//! Whether the jobs of a worker are still its own.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::store::Claim;
use crate::{Error, Result};

/// How often a tree looks whether its lease has been renewed.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The leases of one worker, renewed together.
///
/// A worker that was stopped beyond its lease (a laptop that slept, a machine that stood still) would go on with trees that
/// another one has taken over, and pay for what nobody wants. So trees wait until their lease has been renewed, or end where
/// it is lost.
pub(super) struct Leases {
    length: Duration,
    state: Mutex<State>,
}

struct State {
    renewed: Instant,
    lost: HashSet<String>,
    /// Nobody renews any more.
    is_over: bool,
}

impl Leases {
    pub fn new(length: Duration) -> Self {
        Self {
            length,
            state: Mutex::new(State {
                renewed: Instant::now(),
                lost: HashSet::new(),
                is_over: false,
            }),
        }
    }

    /// Says when leases were asked to be extended, and which of them could not be.
    pub fn renewed(&self, at: Instant, lost: Vec<String>) {
        let mut state = self.state();
        state.renewed = at;
        state.lost.extend(lost);
    }

    /// The run has failed: all trees end.
    pub fn end(&self) {
        self.state().is_over = true;
    }

    /// A job has ended; it may be claimed again.
    pub fn forget(&self, id: &str) {
        self.state().lost.remove(id);
    }

    /// Waits until the lease of a job is fresh.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] when it is lost.
    pub fn check(&self, claim: &Claim) -> Result<()> {
        loop {
            let state = self.state();
            if state.is_over || state.lost.contains(&claim.id) {
                return Err(Error::Stopped);
            }
            if state.renewed.elapsed() < self.length {
                return Ok(());
            }
            drop(state);
            thread::sleep(LOOK_AGAIN);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole after every change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
