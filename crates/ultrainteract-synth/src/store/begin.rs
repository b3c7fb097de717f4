//! A run begins, or goes on.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value as Json;

use super::database::{Fault, Row, Transaction, Value, parameters};
use super::{Settings, Store};
use crate::{Error, Result};

/// Problems that are written in one statement.
const CHUNK: usize = 500;

/// At most so many ids are named in one message.
const NAMED: usize = 10;

/// A problem whose tree is to be built.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id, unlike that of any other.
    pub id: String,
    /// The problem, as JSON.
    pub problem: Json,
}

impl Job {
    /// A job; a problem that cannot be written as JSON is `null`, which [`Store::begin`] refuses.
    pub fn new(id: impl Into<String>, problem: &impl Serialize) -> Self {
        Self {
            id: id.into(),
            problem: serde_json::to_value(problem).unwrap_or(Json::Null),
        }
    }
}

/// What [`Store::begin`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// The store had a run, which goes on.
    pub resumed: bool,
    /// Problems that were added.
    pub added: usize,
    /// Problems that the store had.
    pub known: usize,
}

impl Store {
    /// Begins a run: writes its settings and its jobs, in the order given. On a store that has the run already it goes on:
    /// new problems are added behind those that are there, and those that are not given again stay.
    ///
    /// # Errors
    ///
    /// Nothing is written then.
    ///
    /// - `StoreSettings`: the store's run has other settings.
    /// - `ChangedProblems`: problems have ids that the store has with other problems.
    /// - `DuplicateProblem`, or `Config` for an id or a problem that cannot be.
    pub fn begin(&self, settings: &Settings, jobs: impl IntoIterator<Item = Job>) -> Result<Begun> {
        let jobs: Vec<Job> = jobs.into_iter().collect();
        let mut seen = HashMap::new();
        for (second, job) in jobs.iter().enumerate() {
            check(job, second)?;
            if let Some(first) = seen.insert(&job.id, second) {
                let id = job.id.clone();
                return Err(Error::DuplicateProblem { id, first, second });
            }
        }
        self.write("begin the run in", async |transaction| {
            let resumed = self.same_settings(transaction, settings).await?;
            let mut begun = Begun {
                resumed,
                added: 0,
                known: 0,
            };
            let mut changed = Vec::new();
            for chunk in jobs.chunks(CHUNK) {
                add(transaction, chunk, &mut begun, &mut changed).await?;
            }
            match changed.is_empty() {
                true => Ok(begun),
                false => Err(Error::ChangedProblems {
                    place: self.place(),
                    count: changed.len(),
                    ids: named(&changed),
                }
                .into()),
            }
        })
    }

    /// The settings of the store's run, or `None` when none has begun.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn settings(&self) -> Result<Option<Settings>> {
        self.read("read", async |transaction| {
            stored_settings(transaction).await
        })
    }

    /// Writes the settings, or compares them with those that are there; whether there were some.
    async fn same_settings(
        &self,
        transaction: &mut Transaction,
        settings: &Settings,
    ) -> Result<bool, Fault> {
        let now = transaction.now().await?;
        let text = settings.as_value().to_string();
        let written = transaction
            .execute(
                "INSERT INTO synth_run (one, settings, begun) VALUES (1, $1, $2) ON CONFLICT (one) DO NOTHING",
                &[Value::from(&text), now.into()],
            )
            .await?;
        // Another process that begins waits here, so that positions are given by one at a time.
        transaction
            .execute("UPDATE synth_run SET begun = begun", &[])
            .await?;
        if written == 1 {
            return Ok(false);
        }
        let stored = stored_settings(transaction).await?;
        let difference = stored.and_then(|stored| stored.difference(settings));
        match difference {
            None => Ok(true),
            Some(difference) => Err(Error::StoreSettings {
                place: self.place(),
                pointer: difference.pointer,
                stored: difference.stored,
                given: difference.given,
            }
            .into()),
        }
    }
}

async fn stored_settings(transaction: &mut Transaction) -> Result<Option<Settings>, Fault> {
    let row = transaction
        .row("SELECT settings FROM synth_run", &[])
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    Ok(Some(Settings::new(&json(&row, 0)?)?))
}

fn json(row: &Row, column: usize) -> Result<Json, Fault> {
    let value = serde_json::from_str(&row.text(column)?);
    value.map_err(|error| Fault::Database(sqlx::Error::Decode(Box::new(error))))
}

fn check(job: &Job, index: usize) -> Result<()> {
    if job.id.is_empty() || job.id.contains('\0') {
        return Error::config(
            "problems",
            format!(
                "problem {index} (counted from 0) has the id {:?}; give it one without NUL",
                job.id
            ),
        );
    }
    if job.problem.is_null() {
        return Error::config(
            "problems",
            format!("problem `{}` is null, or can't be written as JSON", job.id),
        );
    }
    Ok(())
}

/// Adds those that are not there and compares the others.
async fn add(
    transaction: &mut Transaction,
    jobs: &[Job],
    begun: &mut Begun,
    changed: &mut Vec<String>,
) -> Result<(), Fault> {
    let known = known(transaction, jobs).await?;
    begun.known += known.len();
    let is_changed = |job: &&Job| {
        known
            .get(&job.id)
            .is_some_and(|problem| *problem != job.problem)
    };
    changed.extend(jobs.iter().filter(is_changed).map(|job| job.id.clone()));

    let new: Vec<&Job> = jobs
        .iter()
        .filter(|job| !known.contains_key(&job.id))
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    let now = transaction.now().await?;
    let last = transaction
        .row("SELECT COALESCE(MAX(position), -1) FROM synth_jobs", &[])
        .await?
        .ok_or(sqlx::Error::RowNotFound)?
        .integer(0)?;
    let texts: Vec<String> = new.iter().map(|job| job.problem.to_string()).collect();
    let mut values = Vec::with_capacity(4 * new.len());
    for ((job, text), position) in new.iter().zip(&texts).zip(last + 1..) {
        let row: [Value<'_>; 4] = [(&job.id).into(), position.into(), now.into(), text.into()];
        values.extend(row);
    }
    let rows = (0..new.len()).map(|row| {
        let first = 4 * row + 1;
        let (id, position, now, problem) = (first, first + 1, first + 2, first + 3);
        format!("(${id}, ${position}, 'waiting', ${now}, ${now}, 0, 0, 0, ${problem})")
    });
    let rows = rows.collect::<Vec<_>>().join(", ");
    let sql = format!(
        "INSERT INTO synth_jobs (id, position, state, since, until, token, attempts, lost, problem) VALUES {rows}"
    );
    transaction.execute(sql, &values).await?;
    begun.added += new.len();
    Ok(())
}

/// The problems that the store has under the ids of `jobs`.
async fn known(
    transaction: &mut Transaction,
    jobs: &[Job],
) -> Result<HashMap<String, Json>, Fault> {
    let sql = format!(
        "SELECT id, problem FROM synth_jobs WHERE id IN {}",
        parameters(1, jobs.len())
    );
    let ids: Vec<Value<'_>> = jobs.iter().map(|job| (&job.id).into()).collect();
    let rows = transaction.rows(sql, &ids).await?;
    rows.iter()
        .map(|row| Ok((row.text(0)?, json(row, 1)?)))
        .collect()
}

fn named(ids: &[String]) -> String {
    let mut text = ids
        .iter()
        .take(NAMED)
        .map(|id| format!("`{id}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if ids.len() > NAMED {
        text += ", ...";
    }
    text
}
