//! How far a run is.

use serde::Serialize;

use super::Store;
use super::clock::unix_ms;
use super::database::{Fault, Transaction};
use crate::Result;

/// How far a run is, and what it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Jobs by state.
    pub jobs: JobCounts,
    /// Dead letters by reason, the most frequent first.
    pub dead_letters: Vec<DeadLetters>,
    /// Different answers that the store has, those that it has from another store included.
    pub answers: u64,
    /// What was received, by endpoint.
    pub endpoints: Vec<EndpointTotals>,
    /// Money spent, in millionths.
    pub spent_micros: u64,
    /// Money reserved, in millionths: for requests in flight, and of workers that died.
    pub reserved_micros: u64,
    /// When the run began, in milliseconds since 1970.
    pub begun_unix_ms: Option<u64>,
    /// When an answer or a tree was last stored.
    pub last_unix_ms: Option<u64>,
    /// What the store's clock shows.
    pub now_unix_ms: u64,
}

/// Jobs by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct JobCounts {
    /// They can be claimed.
    pub waiting: u64,
    /// They were put off, and their delay is not over.
    pub delayed: u64,
    /// Workers have them.
    pub leased: u64,
    /// Workers had them, and their leases have run out: they can be claimed.
    pub expired: u64,
    /// Dead letters.
    pub parked: u64,
    /// Their trees are finished.
    pub done: u64,
}

/// Dead letters of one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetters {
    /// The reason.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// The first problem among them.
    pub example: String,
    /// What was said of it.
    pub message: String,
}

/// What an endpoint was asked and what came, each request as often as it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointTotals {
    /// The endpoint's name.
    pub endpoint: String,
    /// Requests that were answered.
    pub requests: u64,
    /// Those that brought an answer which the store had already.
    pub repeated: u64,
    /// Answers that came.
    pub answers: u64,
    /// Those whose tokens are estimated.
    pub estimated: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of completions.
    pub completion_tokens: u64,
    /// What they cost, in millionths.
    pub cost_micros: u64,
    /// When the first answer came, in milliseconds since 1970.
    pub first_unix_ms: u64,
    /// When the last answer came.
    pub last_unix_ms: u64,
}

impl Store {
    /// How far the run is.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn status(&self) -> Result<Status> {
        self.read("read", async |transaction| {
            let now = transaction.now().await?;
            let endpoints = endpoints(transaction).await?;
            let sql = "SELECT (SELECT COUNT(*) FROM synth_answers), spent, reserved, \
                           (SELECT begun FROM synth_run), (SELECT MAX(finished) FROM synth_trees) \
                       FROM synth_money";
            let row = transaction.row(sql, &[]).await?;
            let row = row.ok_or(sqlx::Error::RowNotFound)?;
            let last_tree = row.optional_integer(4)?.map(unix_ms);
            let last_answer = endpoints.iter().map(|endpoint| endpoint.last_unix_ms).max();
            Ok(Status {
                jobs: jobs(transaction, now).await?,
                dead_letters: dead_letters(transaction).await?,
                answers: row.count(0)?,
                endpoints,
                spent_micros: row.count(1)?,
                reserved_micros: row.count(2)?,
                begun_unix_ms: row.optional_integer(3)?.map(unix_ms),
                last_unix_ms: last_tree.max(last_answer),
                now_unix_ms: unix_ms(now),
            })
        })
    }
}

async fn jobs(transaction: &mut Transaction, now: i64) -> Result<JobCounts, Fault> {
    let sql = "SELECT state, CAST(CASE WHEN until <= $1 THEN 1 ELSE 0 END AS BIGINT) AS is_due, COUNT(*) FROM synth_jobs GROUP BY 1, 2";
    let mut counts = JobCounts::default();
    for row in transaction.rows(sql, &[now.into()]).await? {
        let (state, is_due) = (row.text(0)?, row.integer(1)? == 1);
        let count = match (state.as_str(), is_due) {
            ("waiting", true) => &mut counts.waiting,
            ("waiting", false) => &mut counts.delayed,
            ("leased", false) => &mut counts.leased,
            ("leased", true) => &mut counts.expired,
            ("parked", _) => &mut counts.parked,
            _ => &mut counts.done,
        };
        *count += row.count(2)?;
    }
    Ok(counts)
}

async fn dead_letters(transaction: &mut Transaction) -> Result<Vec<DeadLetters>, Fault> {
    let sql = "SELECT parked.reason, parked.number, job.id, job.message FROM \
                   (SELECT reason, COUNT(*) AS number, MIN(position) AS first_position FROM synth_jobs \
                    WHERE state = 'parked' GROUP BY reason) AS parked \
               JOIN synth_jobs AS job ON job.position = parked.first_position \
               ORDER BY parked.number DESC, job.position";
    let rows = transaction.rows(sql, &[]).await?;
    let letters = rows.iter().map(|row| {
        Ok(DeadLetters {
            reason: row.optional_text(0)?,
            count: row.count(1)?,
            example: row.text(2)?,
            message: row.optional_text(3)?,
        })
    });
    letters.collect()
}

async fn endpoints(transaction: &mut Transaction) -> Result<Vec<EndpointTotals>, Fault> {
    let sql = "SELECT endpoint, requests, repeated, answers, estimated, prompt_tokens, completion_tokens, cost, \
                   first_arrived, last_arrived FROM synth_endpoints ORDER BY endpoint";
    let rows = transaction.rows(sql, &[]).await?;
    let totals = rows.iter().map(|row| {
        Ok(EndpointTotals {
            endpoint: row.text(0)?,
            requests: row.count(1)?,
            repeated: row.count(2)?,
            answers: row.count(3)?,
            estimated: row.count(4)?,
            prompt_tokens: row.count(5)?,
            completion_tokens: row.count(6)?,
            cost_micros: row.count(7)?,
            first_unix_ms: unix_ms(row.integer(8)?),
            last_unix_ms: unix_ms(row.integer(9)?),
        })
    });
    totals.collect()
}
