//! Money: reserved before a request is sent, so that all processes of a store together stay within the budget.

use super::answers::{put, stored};
use super::{Answer, AnswerKey, Store};
use crate::{Error, Result};

/// Money that is set aside for one request, until it is [settled](Store::settle), [dropped](Store::drop_reservation) or
/// [written off](Store::write_off).
///
/// A request may be paid although its answer never came. So what is reserved and not settled counts as spent: that of a
/// worker that died does until [`Store::release_reservations`] is told that it was not.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "what is reserved counts as spent until it is settled or dropped"]
pub struct Reservation {
    id: i64,
    micros: u64,
}

impl Reservation {
    /// How much is set aside, in millionths of the unit of money.
    pub fn micros(&self) -> u64 {
        self.micros
    }
}

impl Store {
    /// Sets `micros` millionths of the unit of money aside, if what was spent, what is reserved and this together are within
    /// the budget; `None` if not. Without a budget it always is.
    ///
    /// Reserve the most that the request can cost: the budget holds as far as requests cost no more than was reserved.
    ///
    /// # Errors
    ///
    /// The store cannot be written; `Config` for more than a billion units of money.
    pub fn reserve(
        &self,
        worker: &str,
        micros: u64,
        budget: Option<u64>,
    ) -> Result<Option<Reservation>> {
        if stored(micros) as u64 != micros {
            return Error::config(
                "budget",
                format!(
                    "{micros} millionths cannot be set aside for one request; check the prices"
                ),
            );
        }
        let budget = budget.map_or(i64::MAX, |budget| i64::try_from(budget).unwrap_or(i64::MAX));
        let cost = stored(micros);
        self.write("reserve money in", async |transaction| {
            let now = transaction.now().await?;
            // One statement: the database checks and adds for one process after the other.
            let row = transaction
                .row(
                    "UPDATE synth_money SET reserved = reserved + $1, last_reservation = last_reservation + 1 \
                     WHERE spent + reserved <= $2 RETURNING last_reservation",
                    &[cost.into(), budget.saturating_sub(cost).into()],
                )
                .await?;
            let Some(row) = row else {
                return Ok(None);
            };
            let id = row.integer(0)?;
            transaction
                .execute(
                    "INSERT INTO synth_reservations (id, worker, cost, made) VALUES ($1, $2, $3, $4)",
                    &[id.into(), worker.into(), cost.into(), now.into()],
                )
                .await?;
            Ok(Some(Reservation { id, micros }))
        })
    }

    /// Stores the answers that a reservation was made for, as [`Store::put_answers`], and spends what they cost instead of
    /// what was reserved, in one transaction. Returns how many answers are new.
    ///
    /// # Errors
    ///
    /// The store cannot be written; answers and reservation are as before.
    pub fn settle(
        &self,
        reservation: Reservation,
        key: &AnswerKey,
        answers: &[(u32, Answer)],
    ) -> Result<u64> {
        self.write("write answers to", async |transaction| {
            let (new, cost) = put(transaction, key, answers).await?;
            end(transaction, &reservation).await?;
            transaction
                .execute("UPDATE synth_money SET spent = spent + $1", &[cost.into()])
                .await?;
            Ok(new)
        })
    }

    /// Gives a reservation back: the request was not sent, or the server is known to ask nothing for it.
    ///
    /// # Errors
    ///
    /// The store cannot be written; the money is still reserved.
    pub fn drop_reservation(&self, reservation: Reservation) -> Result<()> {
        self.write("give money back in", async |transaction| {
            end(transaction, &reservation).await?;
            Ok(())
        })
    }

    /// Counts all of a reservation as spent: the request was sent, its answer never came, and it may have been paid.
    ///
    /// # Errors
    ///
    /// The store cannot be written; the money is still reserved.
    pub fn write_off(&self, reservation: Reservation) -> Result<()> {
        self.write("write money off in", async |transaction| {
            if end(transaction, &reservation).await? {
                let cost = stored(reservation.micros);
                transaction
                    .execute("UPDATE synth_money SET spent = spent + $1", &[cost.into()])
                    .await?;
            }
            Ok(())
        })
    }

    /// What is spent and what is reserved, in millionths.
    pub(crate) fn money(&self) -> Result<(u64, u64)> {
        self.read("read", async |transaction| {
            let row = transaction
                .row("SELECT spent, reserved FROM synth_money", &[])
                .await?;
            let row = row.ok_or(sqlx::Error::RowNotFound)?;
            Ok((row.count(0)?, row.count(1)?))
        })
    }

    /// Gives back what a worker had reserved: someone knows that the worker is dead and that none of it was paid. Returns
    /// how much, in millionths.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn release_reservations(&self, worker: &str) -> Result<u64> {
        self.write("give money back in", async |transaction| {
            let rows = transaction
                .rows(
                    "DELETE FROM synth_reservations WHERE worker = $1 RETURNING cost",
                    &[worker.into()],
                )
                .await?;
            let mut released = 0;
            for row in &rows {
                released += row.integer(0)?;
            }
            transaction
                .execute(
                    "UPDATE synth_money SET reserved = reserved - $1",
                    &[released.into()],
                )
                .await?;
            Ok(u64::try_from(released).unwrap_or(0))
        })
    }
}

/// Ends a reservation; `false` when [`Store::release_reservations`] has done so already.
async fn end(
    transaction: &mut super::Transaction,
    reservation: &Reservation,
) -> Result<bool, super::Fault> {
    let ended = transaction
        .execute(
            "DELETE FROM synth_reservations WHERE id = $1",
            &[reservation.id.into()],
        )
        .await?;
    if ended == 1 {
        let cost = stored(reservation.micros);
        transaction
            .execute(
                "UPDATE synth_money SET reserved = reserved - $1",
                &[cost.into()],
            )
            .await?;
    }
    Ok(ended == 1)
}
