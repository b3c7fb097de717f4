//! Money that calls take from before they are made.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::{Error, Result};

/// An amount of money that the calls of one or several clients share. Clones are the same budget.
///
/// The most that a call can cost is reserved before it is made, and what it did cost is settled after. With any number
/// of calls under way the sum spent stays within the limit, as long as servers keep to `max_tokens`. What may have been
/// paid although no answer arrived (a timeout, a broken answer) counts as spent.
///
/// It is kept in memory: for one process, and until that ends. Money that several processes share, or that is accounted for
/// across restarts, is kept by the store of `ultrainteract-synth`.
///
/// ```
/// use chat_model::Budget;
///
/// // A run that goes on: 1.25 is spent already.
/// let budget = Budget::with_spent(3.0, 1.25)?;
/// assert_eq!(budget.remaining(), 1.75);
/// # Ok::<(), chat_model::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: f64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy)]
struct State {
    spent: f64,
    reserved: f64,
    /// Calls that have a reservation; sums of fractions do not come back to exactly 0.
    open: usize,
}

impl Budget {
    /// A budget of which nothing is spent.
    ///
    /// # Errors
    ///
    /// When the limit is negative or no number.
    pub fn new(limit: f64) -> Result<Self> {
        Self::with_spent(limit, 0.0)
    }

    /// A budget of which a part is spent already.
    ///
    /// # Errors
    ///
    /// When an amount is negative or no number.
    pub fn with_spent(limit: f64, spent: f64) -> Result<Self> {
        for (field, amount) in [("budget", limit), ("spent", spent)] {
            if !(amount.is_finite() && amount >= 0.0) {
                return Err(Error::Config {
                    field,
                    problem: format!("is {amount}; an amount of money of at least 0 is wanted"),
                });
            }
        }
        Ok(Self(Arc::new(Shared {
            limit,
            state: Mutex::new(State {
                spent,
                reserved: 0.0,
                open: 0,
            }),
            changed: Condvar::new(),
        })))
    }

    /// The most that may be spent.
    pub fn limit(&self) -> f64 {
        self.0.limit
    }

    /// What is spent, or may have been.
    pub fn spent(&self) -> f64 {
        self.state().spent
    }

    /// What is reserved for calls under way.
    pub fn reserved(&self) -> f64 {
        self.state().reserved
    }

    /// What is neither spent nor reserved.
    pub fn remaining(&self) -> f64 {
        let state = self.state();
        (self.0.limit - state.spent - state.reserved).max(0.0)
    }

    /// Reserves the most that a call can cost. Where only the reservations of others leave no room it waits: calls cost
    /// less than their most, and the rest comes back.
    ///
    /// # Errors
    ///
    /// [`Error::Budget`] when there is no room beside what is spent.
    pub fn reserve(&self, model: &str, amount: f64) -> Result<Reservation> {
        let fits = |sum: f64| sum <= self.0.limit;
        let mut state = self.state();
        loop {
            if !fits(state.spent + amount) {
                return Err(Error::Budget {
                    model: model.to_owned(),
                    needed: amount,
                    spent: state.spent,
                    reserved: state.reserved,
                    budget: self.0.limit,
                });
            }
            if state.open == 0 {
                state.reserved = 0.0;
            }
            if fits(state.spent + state.reserved + amount) {
                state.reserved += amount;
                state.open += usize::from(amount > 0.0);
                return Ok(Reservation {
                    budget: self.clone(),
                    amount,
                });
            }
            state = self
                .0
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Plain sums, usable whatever thread panicked.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Money set aside for a call. Dropped, it comes back whole.
#[derive(Debug)]
#[must_use = "money comes back when its reservation is dropped"]
pub struct Reservation {
    budget: Budget,
    amount: f64,
}

impl Reservation {
    /// The amount.
    pub fn amount(&self) -> f64 {
        self.amount
    }

    /// Books what the call did cost; the rest comes back.
    pub fn settle(mut self, cost: f64) {
        self.close(cost.max(0.0));
    }

    /// Books the whole amount: nobody knows what the call did cost.
    pub fn settle_whole(mut self) {
        self.close(self.amount);
    }

    /// One step, so that no other thread sees the amount twice or not at all.
    fn close(&mut self, cost: f64) {
        let mut state = self.budget.state();
        state.spent += cost;
        state.reserved = (state.reserved - self.amount).max(0.0);
        state.open = state.open.saturating_sub(usize::from(self.amount > 0.0));
        drop(state);
        self.amount = 0.0;
        self.budget.0.changed.notify_all();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.amount > 0.0 {
            self.close(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_threads_never_spend_more_than_the_limit_and_nearly_all_of_it() {
        let budget = Budget::with_spent(3.0, 0.5).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..32 {
                let budget = budget.clone();
                scope.spawn(move || {
                    while let Ok(held) = budget.reserve("m", 0.09) {
                        let sums = *budget.state();
                        assert!(sums.spent + sums.reserved <= 3.0 + 1e-9, "{sums:?}");
                        std::thread::yield_now();
                        match thread % 8 {
                            0 => held.settle_whole(),
                            _ => held.settle(0.02),
                        }
                    }
                });
            }
        });
        assert!(budget.spent() <= 3.0, "{budget:?}");
        assert!(budget.spent() > 3.0 - 0.09, "{budget:?}");
        assert!(budget.reserved() < 1e-9);
    }

    #[test]
    fn a_dropped_reservation_comes_back_and_a_too_large_one_says_the_sums() {
        let budget = Budget::new(1.0).unwrap();
        drop(budget.reserve("m", 1.0).unwrap());
        budget.reserve("m", 0.75).unwrap().settle(0.5);
        let error = budget.reserve("m", 0.75).unwrap_err();
        assert!(error.to_string().contains("0.5000 of 1.0000"), "{error}");
        assert!(!error.is_passing());
        assert!(Budget::new(f64::NAN).is_err() && Budget::with_spent(1.0, -1.0).is_err());
    }
}
