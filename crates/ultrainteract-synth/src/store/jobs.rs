//! Jobs: claimed under a lease, ended once.

use std::time::Duration;

use super::Store;
use super::clock::{SLACK, micros};
use super::database::Value;
use crate::Result;

/// A job in the hands of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The problem's id.
    pub id: String,
    /// Its place in the order of the problems, from 0.
    pub position: u64,
    /// The problem, as JSON text.
    pub problem: String,
    /// The fencing token: how often the job was claimed. Only the latest claim of a job can end it.
    pub token: u64,
    /// How often the job was [put off](Store::reschedule) since it was added or [retried](Store::retry).
    pub attempts: u64,
    /// How often a lease of the job ran out: its worker was killed, stopped or cut off. A job that kills its workers is
    /// known by this.
    pub lost: u64,
}

/// Which dead letters are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry<'a> {
    /// All.
    All,
    /// Those that were parked for this reason.
    Reason(&'a str),
    /// Those of these problems.
    Ids(&'a [String]),
}

impl Store {
    /// Gives at most `limit` jobs to `worker` for the time of `lease`: the first in the order of the problems among those that
    /// wait, whose delay is over, or whose lease has run out.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn claim(&self, worker: &str, lease: Duration, limit: usize) -> Result<Vec<Claim>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.write("claim jobs in", async |transaction| {
            let now = transaction.now().await?;
            transaction.correct_for_clock(now).await?;
            // MATERIALIZED: evaluated once, or more rows than the limit could be locked.
            let sql = format!(
                "WITH next AS MATERIALIZED ( \
                     SELECT id FROM synth_jobs WHERE state IN ('waiting', 'leased') AND until <= $2 \
                     ORDER BY position LIMIT $4 {}) \
                 UPDATE synth_jobs SET state = 'leased', worker = $1, since = $2, until = $2 + $3, token = token + 1, \
                     lost = lost + CASE WHEN state = 'leased' THEN 1 ELSE 0 END \
                 WHERE id IN (SELECT id FROM next) \
                 RETURNING id, position, problem, token, attempts, lost",
                transaction.skip_locked()
            );
            let values: [Value<'_>; 4] = [worker.into(), now.into(), micros(lease).into(), limit.into()];
            let mut claims = Vec::new();
            for row in transaction.rows(sql, &values).await? {
                claims.push(Claim {
                    id: row.text(0)?,
                    position: row.count(1)?,
                    problem: row.text(2)?,
                    token: row.count(3)?,
                    attempts: row.count(4)?,
                    lost: row.count(5)?,
                });
            }
            claims.sort_unstable_by_key(|claim| claim.position);
            Ok(claims)
        })
    }

    /// Extends leases to the time of `lease` from now, and returns the ids of those claims that are lost: another worker has
    /// claimed the job, or it has ended. A lease that has run out and that nobody took is extended as well.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn renew(&self, claims: &[&Claim], lease: Duration) -> Result<Vec<String>> {
        self.write("renew leases in", async |transaction| {
            let now = transaction.now().await?;
            let mut lost = Vec::new();
            for claim in claims {
                let renewed = transaction
                    .execute(
                        "UPDATE synth_jobs SET since = $1, until = $1 + $2 \
                         WHERE id = $3 AND state = 'leased' AND token = $4",
                        &[
                            now.into(),
                            micros(lease).into(),
                            (&claim.id).into(),
                            claim.token(),
                        ],
                    )
                    .await?;
                if renewed == 0 {
                    lost.push(claim.id.clone());
                }
            }
            Ok(lost)
        })
    }

    /// Ends a job with its tree and the account of how it was built, both JSON texts. `false`, and nothing is written, when the
    /// claim is no longer the job's latest.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn finish(&self, claim: &Claim, tree: &str, stats: &str) -> Result<bool> {
        self.write("write a tree to", async |transaction| {
            let now = transaction.now().await?;
            let ended = transaction
                .execute(
                    "UPDATE synth_jobs SET state = 'done', since = $1, until = $1, reason = NULL, message = NULL \
                     WHERE id = $2 AND state = 'leased' AND token = $3",
                    &[now.into(), (&claim.id).into(), claim.token()],
                )
                .await?;
            if ended == 0 {
                return Ok(false);
            }
            transaction
                .execute(
                    "INSERT INTO synth_trees (job, position, finished, tree, stats) \
                     SELECT id, position, $1, $2, $3 FROM synth_jobs WHERE id = $4",
                    &[now.into(), tree.into(), stats.into(), (&claim.id).into()],
                )
                .await?;
            Ok(true)
        })
    }

    /// Puts a job off: it can be claimed again when `after` is over, and an attempt is counted. `false` as in
    /// [`Store::finish`].
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn reschedule(
        &self,
        claim: &Claim,
        after: Duration,
        reason: &str,
        message: &str,
    ) -> Result<bool> {
        let sql = "UPDATE synth_jobs SET state = 'waiting', since = $1, until = $1 + $2, worker = NULL, \
                       attempts = attempts + 1, reason = $3, message = $4 \
                   WHERE id = $5 AND state = 'leased' AND token = $6";
        let values = [micros(after).into(), reason.into(), message.into()];
        self.end_claim("put a job off in", claim, sql, &values)
    }

    /// Gives a job back as if it had not been claimed: it can be claimed at once, and no attempt is counted. `false` as in
    /// [`Store::finish`].
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn release(&self, claim: &Claim) -> Result<bool> {
        let sql = "UPDATE synth_jobs SET state = 'waiting', since = $1, until = $1, worker = NULL \
                   WHERE id = $2 AND state = 'leased' AND token = $3";
        self.end_claim("give a job back to", claim, sql, &[])
    }

    /// Parks a job as a dead letter: nobody claims it until it is [retried](Store::retry). `false` as in
    /// [`Store::finish`].
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn park(&self, claim: &Claim, reason: &str, message: &str) -> Result<bool> {
        let sql = "UPDATE synth_jobs SET state = 'parked', since = $1, until = $1, reason = $2, message = $3 \
                   WHERE id = $4 AND state = 'leased' AND token = $5";
        self.end_claim(
            "park a job in",
            claim,
            sql,
            &[reason.into(), message.into()],
        )
    }

    /// `sql` has the time as its first parameter, then `values`, then the claim's id and token.
    fn end_claim(
        &self,
        doing: &'static str,
        claim: &Claim,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<bool> {
        self.write(doing, async |transaction| {
            let mut all = vec![transaction.now().await?.into()];
            all.extend_from_slice(values);
            all.extend([Value::from(&claim.id), claim.token()]);
            Ok(transaction.execute(sql, &all).await? == 1)
        })
    }

    /// Lets dead letters wait again, with their attempts counted from 0, and returns how many.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn retry(&self, which: Retry<'_>) -> Result<u64> {
        const WAIT: &str = "UPDATE synth_jobs SET state = 'waiting', since = $1, until = $1, worker = NULL, attempts = 0 \
                            WHERE state = 'parked'";
        self.write("retry jobs in", async |transaction| {
            let now: Value<'_> = transaction.now().await?.into();
            match which {
                Retry::All => Ok(transaction.execute(WAIT, &[now]).await?),
                Retry::Reason(reason) => {
                    let sql = format!("{WAIT} AND reason = $2");
                    Ok(transaction.execute(sql, &[now, reason.into()]).await?)
                }
                Retry::Ids(ids) => {
                    let sql = format!("{WAIT} AND id = $2");
                    let mut retried = 0;
                    for id in ids {
                        retried += transaction
                            .execute(sql.clone(), &[now.clone(), id.into()])
                            .await?;
                    }
                    Ok(retried)
                }
            }
        })
    }

    /// How long until a job can be claimed: zero when there is one, `None` when all jobs are done or parked.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn next_due(&self) -> Result<Option<Duration>> {
        self.read("read", async |transaction| {
            let now = transaction.now().await?;
            let row = transaction
                .row(
                    "SELECT MIN(CASE WHEN since > $2 THEN until - since ELSE until - $1 END) FROM synth_jobs \
                     WHERE state IN ('waiting', 'leased')",
                    &[now.into(), (now + SLACK).into()],
                )
                .await?;
            let due = row.ok_or(sqlx::Error::RowNotFound)?.optional_integer(0)?;
            Ok(due.map(|due| Duration::from_micros(u64::try_from(due).unwrap_or(0))))
        })
    }
}

impl Claim {
    fn token(&self) -> Value<'static> {
        i64::try_from(self.token).unwrap_or(-1).into()
    }
}
