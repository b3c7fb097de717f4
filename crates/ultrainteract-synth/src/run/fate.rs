//! What becomes of a job that failed.

use std::time::Duration;

use crate::Error;

/// How often a job is put off for a passing reason before it is parked: with the delays below, for about four hours.
const MOST_DELAYS: u64 = 10;

/// The delay after the first failure; it doubles up to the longest.
const FIRST_DELAY: Duration = Duration::from_secs(15);
const LONGEST_DELAY: Duration = Duration::from_secs(3600);

/// How often the machine may fail a job.
const MOST_MACHINE_FAULTS: u64 = 3;

/// What becomes of a job.
#[derive(Debug, PartialEq)]
pub(super) enum Fate {
    /// Nothing happened that is its own: it is given back.
    Released,
    /// It is tried again later.
    PutOff { after: Duration, reason: &'static str },
    /// Somebody must look at it.
    Parked { reason: &'static str },
    /// It is given back, and so are all others: nothing can go well before somebody acts.
    RunEnds,
    /// It is given back, and no other is begun: there is no money left.
    BudgetSpent,
}

/// The fate of a job that failed with this error after so many delays.
pub(super) fn fate(error: &Error, attempts: u64) -> Fate {
    match error {
        Error::Stopped => Fate::Released,
        Error::Model { source, .. } => of_model(source, attempts),
        Error::Interpreter(_) if attempts < MOST_MACHINE_FAULTS => Fate::PutOff {
            after: delay(attempts),
            reason: "machine",
        },
        Error::Interpreter(_) => Fate::Parked { reason: "machine" },
        Error::Prompt { .. } | Error::WrongCount { .. } | Error::WrongBatch { .. } => Fate::RunEnds,
        _ => Fate::Parked { reason: "fault" },
    }
}

fn of_model(error: &chat_model::Error, attempts: u64) -> Fate {
    let reason = error.reason();
    if error.is_passing() {
        let after = error.retry_after().unwrap_or_default().max(delay(attempts));
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

fn delay(attempts: u64) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or(u32::MAX).min(16);
    FIRST_DELAY.saturating_mul(1 << doublings).min(LONGEST_DELAY)
}
