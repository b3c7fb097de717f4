//! Answers of models: each is paid once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sha2::{Digest, Sha256};

use super::Store;
use super::clock::unix_ms;
use super::database::{Fault, Row, Transaction, Value};
use crate::Result;

/// Larger numbers of tokens and of money are stored as this: sums over all answers stay within 64 bits.
const LARGEST: i64 = 1_000_000_000_000_000;

/// What an answer answers: the same body sent to the same endpoint.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerKey {
    endpoint: String,
    hash: [u8; 32],
}

impl AnswerKey {
    /// The key of a request: the SHA-256 of the endpoint's name and of the whole body, without the number of samples
    /// if a request for some of them is to find those that are there.
    pub fn new(endpoint: &str, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        // The length keeps a name that goes on in the body apart from one that ends there.
        hash.update((endpoint.len() as u64).to_le_bytes());
        hash.update(endpoint.as_bytes());
        hash.update(body);
        Self {
            endpoint: endpoint.to_owned(),
            hash: hash.finalize().into(),
        }
    }

    /// The endpoint's name.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl fmt::Debug for AnswerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.endpoint)?;
        self.hash
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One sample of what a model answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The completion, as JSON text.
    pub completion: String,
    /// The model's name, as the server gives it.
    pub model: String,
    /// Tokens of the prompt; of a request for several samples, this one's share.
    pub prompt_tokens: u64,
    /// Tokens of the completion.
    pub completion_tokens: u64,
    /// The tokens were estimated because the server did not give them.
    pub estimated: bool,
    /// What it cost, in millionths of the unit of money.
    pub cost_micros: u64,
    /// When it was stored, in milliseconds since 1970. Set by the store.
    pub arrived_unix_ms: u64,
}

impl Answer {
    /// An answer that took no tokens and cost nothing.
    pub fn new(completion: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            completion: completion.into(),
            model: model.into(),
            prompt_tokens: 0,
            completion_tokens: 0,
            estimated: false,
            cost_micros: 0,
            arrived_unix_ms: 0,
        }
    }
}

impl Store {
    /// The answers to a request that the store has, by sample.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn answers(&self, key: &AnswerKey) -> Result<BTreeMap<u32, Answer>> {
        self.read("read answers from", async |transaction| {
            let rows = transaction
                .rows(
                    "SELECT sample, completion, model, prompt_tokens, completion_tokens, estimated, cost, arrived \
                     FROM synth_answers WHERE key = $1",
                    &[key.hash.as_slice().into()],
                )
                .await?;
            rows.iter().map(answer).collect()
        })
    }

    /// Stores the answers of a request, each with the index of its sample, and returns how many are new. Of two answers
    /// with the same key and sample the first stays.
    ///
    /// All that is given counts as received and paid, whether it is new or not: it was.
    ///
    /// # Errors
    ///
    /// The store cannot be written; none of the answers is.
    pub fn put_answers(&self, key: &AnswerKey, answers: &[(u32, Answer)]) -> Result<u64> {
        self.write("write answers to", async |transaction| {
            let (new, cost) = put(transaction, key, answers).await?;
            transaction
                .execute("UPDATE synth_money SET spent = spent + $1", &[cost.into()])
                .await?;
            Ok(new)
        })
    }
}

fn answer(row: &Row) -> Result<(u32, Answer), Fault> {
    let answer = Answer {
        completion: row.text(1)?,
        model: row.text(2)?,
        prompt_tokens: row.count(3)?,
        completion_tokens: row.count(4)?,
        estimated: row.integer(5)? != 0,
        cost_micros: row.count(6)?,
        arrived_unix_ms: unix_ms(row.integer(7)?),
    };
    Ok((u32::try_from(row.integer(0)?).unwrap_or(u32::MAX), answer))
}

/// Writes answers and the account of their endpoint; how many are new, and what all cost.
pub(super) async fn put(
    transaction: &mut Transaction,
    key: &AnswerKey,
    answers: &[(u32, Answer)],
) -> Result<(u64, i64), Fault> {
    let now = transaction.now().await?;
    // In one order, so that two transactions with the same answers wait for each other only one way.
    let mut ordered: Vec<&(u32, Answer)> = answers.iter().collect();
    ordered.sort_by_key(|(sample, _)| *sample);
    let mut new = 0;
    let mut totals = [0; 4];
    for (sample, answer) in ordered {
        let counts = [
            i64::from(answer.estimated),
            stored(answer.prompt_tokens),
            stored(answer.completion_tokens),
            stored(answer.cost_micros),
        ];
        for (total, count) in totals.iter_mut().zip(counts) {
            *total += count;
        }
        let [estimated, prompt, completion, cost] = counts.map(Value::from);
        new += transaction
            .execute(
                "INSERT INTO synth_answers (key, sample, endpoint, model, prompt_tokens, completion_tokens, estimated, \
                     cost, arrived, completion) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (key, sample) DO NOTHING",
                &[
                    key.hash.as_slice().into(),
                    i64::from(*sample).into(),
                    (&key.endpoint).into(),
                    (&answer.model).into(),
                    prompt,
                    completion,
                    estimated,
                    cost,
                    now.into(),
                    (&answer.completion).into(),
                ],
            )
            .await?;
    }
    let samples: BTreeSet<u32> = answers.iter().map(|(sample, _)| *sample).collect();
    let is_repeated = new < samples.len() as u64;
    let [estimated, prompt, completion, cost] = totals;
    transaction
        .execute(
            "INSERT INTO synth_endpoints (endpoint, requests, repeated, answers, estimated, prompt_tokens, \
                 completion_tokens, cost, first_arrived, last_arrived) \
             VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $8) \
             ON CONFLICT (endpoint) DO UPDATE SET requests = synth_endpoints.requests + 1, \
                 repeated = synth_endpoints.repeated + excluded.repeated, \
                 answers = synth_endpoints.answers + excluded.answers, \
                 estimated = synth_endpoints.estimated + excluded.estimated, \
                 prompt_tokens = synth_endpoints.prompt_tokens + excluded.prompt_tokens, \
                 completion_tokens = synth_endpoints.completion_tokens + excluded.completion_tokens, \
                 cost = synth_endpoints.cost + excluded.cost, \
                 last_arrived = excluded.last_arrived",
            &[
                (&key.endpoint).into(),
                i64::from(is_repeated).into(),
                stored(answers.len() as u64).into(),
                estimated.into(),
                prompt.into(),
                completion.into(),
                cost.into(),
                now.into(),
            ],
        )
        .await?;
    Ok((new, cost))
}

/// A count as the database has it.
pub(super) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(LARGEST).min(LARGEST)
}
