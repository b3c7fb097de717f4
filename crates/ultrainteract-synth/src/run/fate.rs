//! What becomes of a job that failed.

use std::time::Duration;

use crate::Error;

/// How often a job is put off for a passing reason before it is parked: after about three hours, with the delay that is the default.
const MOST_DELAYS: u64 = 10;

/// The longest delay.
const LONGEST_DELAY: Duration = Duration::from_secs(3600);

/// How often the machine may fail a job.
const MOST_MACHINE_FAULTS: u64 = 3;

/// What becomes of a job.
#[derive(Debug, PartialEq)]
pub(super) enum Fate {
    /// Nothing happened that is its own: it is given back.
    Released,
    /// It is tried again later.
    PutOff {
        after: Duration,
        reason: &'static str,
    },
    /// Somebody must look at it.
    Parked { reason: &'static str },
    /// It is given back, and so are all others: nothing can go well before somebody acts.
    RunEnds,
    /// It is given back, and no other is begun: there is no money left.
    BudgetSpent,
}

/// The fate of a job that failed with this error after so many delays, the first of which was this long.
pub(super) fn fate(error: &Error, attempts: u64, first_delay: Duration) -> Fate {
    match error {
        Error::Stopped => Fate::Released,
        Error::Model { source, .. } => of_model(source, attempts, first_delay),
        Error::Interpreter(_) if attempts < MOST_MACHINE_FAULTS => Fate::PutOff {
            after: delay(attempts, first_delay),
            reason: "machine",
        },
        Error::Interpreter(_) => Fate::Parked { reason: "machine" },
        Error::Prompt { .. } | Error::WrongCount { .. } | Error::WrongBatch { .. } => Fate::RunEnds,
        _ => Fate::Parked { reason: "fault" },
    }
}

fn of_model(error: &chat_model::Error, attempts: u64, first_delay: Duration) -> Fate {
    if matches!(error, chat_model::Error::Stopped) {
        return Fate::Released;
    }
    let reason = error.reason();
    if error.is_passing() {
        let after = error
            .retry_after()
            .unwrap_or_default()
            .max(delay(attempts, first_delay));
        return match attempts < MOST_DELAYS {
            true => Fate::PutOff { after, reason },
            false => Fate::Parked { reason },
        };
    }
    match reason {
        "budget" => Fate::BudgetSpent,
        // Of this request alone.
        "too long" | "request" | "refused" | "local model" => Fate::Parked { reason },
        _ => Fate::RunEnds,
    }
}

/// It doubles each time.
fn delay(attempts: u64, first: Duration) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or(u32::MAX).min(16);
    first.saturating_mul(1 << doublings).min(LONGEST_DELAY)
}
