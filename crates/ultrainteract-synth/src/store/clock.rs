//! The clock of a store, and times as they are stored: microseconds since 1970.

use std::time::Duration;

use super::database::{Fault, Transaction};

/// A clock that is set back by less is not corrected for: two processes read it at slightly different moments.
pub(super) const SLACK: i64 = 1_000_000;

impl Transaction {
    /// The time of the store's clock.
    pub async fn now(&mut self) -> Result<i64, Fault> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => {
                use std::time::{SystemTime, UNIX_EPOCH};
                let time = SystemTime::now().duration_since(UNIX_EPOCH);
                Ok(micros(time.unwrap_or_default()))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => {
                // `now()` would be the time at which the transaction began, before it waited for others.
                let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";
                let row = self.row(sql, &[]).await?;
                Ok(row.ok_or(sqlx::Error::RowNotFound)?.integer(0)?)
            }
        }
    }

    /// Leases and delays that began later than now were given before the clock was set back: they start again, so that
    /// none lasts longer than it was given.
    pub async fn correct_for_clock(&mut self, now: i64) -> Result<(), Fault> {
        self.execute(
            "UPDATE synth_jobs SET since = $1, until = $1 + (until - since) \
             WHERE state IN ('waiting', 'leased') AND since > $2",
            &[now.into(), (now + SLACK).into()],
        )
        .await?;
        Ok(())
    }
}

/// A century is forever, and adding it to a time does not overflow.
pub(super) fn micros(duration: Duration) -> i64 {
    const CENTURY: i64 = 100 * 365 * 24 * 3600 * 1_000_000;
    i64::try_from(duration.as_micros())
        .unwrap_or(i64::MAX)
        .min(CENTURY)
}

/// Milliseconds since 1970, as they are shown.
pub(super) fn unix_ms(micros: i64) -> u64 {
    u64::try_from(micros / 1000).unwrap_or(0)
}
