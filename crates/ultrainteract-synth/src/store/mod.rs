//! The durable store of tree construction: what is to be built, what was answered, what was paid, what is finished.
//!
//! One store is one run: a SQLite file by default (feature `sqlite`), or a database of a PostgreSQL server (feature
//! `postgres`) when workers run on several machines. Any number of threads and processes use it at once.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # fn main() -> ultrainteract_synth::Result<()> {
//! use std::time::Duration;
//! use serde_json::json;
//! use ultrainteract_synth::store::{Answer, AnswerKey, Job, Settings, Store};
//!
//! let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("run.db").display().to_string();
//! let store = Store::open(&path)?;
//! let settings = Settings::new(&json!({"seed": 7, "actors": ["small"]}))?;
//! store.begin(&settings, [Job::new("p0", &json!({"instruction": "1 + 1?", "answer": "2"}))])?;
//!
//! for claim in store.claim("worker-1", Duration::from_secs(60), 8)? {
//!     let key = AnswerKey::new("small", br#"{"messages": []}"#);
//!     if let Some(reserved) = store.reserve("worker-1", 200, Some(3_000_000))? {
//!         // ... the request ...
//!         store.settle(reserved, &key, &[(0, Answer::new("\"2\"", "small"))])?;
//!     }
//!     assert!(store.finish(&claim, "{}", "{}")?);
//! }
//! assert_eq!(store.status()?.jobs.done, 1);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
//!
//! # Jobs
//!
//! A job is a problem whose tree is to be built. A worker [claims](Store::claim) it for the time of a *lease* and
//! [renews](Store::renew) the lease while it works. When the lease runs out, another worker may claim the job. Each claim has
//! a higher *fencing token* than the one before, and only the last one can end the job: a worker that was stopped beyond its
//! lease can't overwrite what its successor does. A tree and the end of its job are one transaction, so no job ends twice.
//!
//! # What survives what
//!
//! What a method of [`Store`] has returned from is committed.
//!
//! | | SQLite | PostgreSQL |
//! | --- | --- | --- |
//! | the program is killed, at any moment | everything | everything |
//! | the machine loses power | the store is sound, and may lack the last commits: all since SQLite last wrote its log into the file, about 4 MB | everything, unless the server's `synchronous_commit` or `fsync` is off |
//! | the file system is full | what was committed; the method that needed space returns an error | the same |
//!
//! # Time
//!
//! All times are those of one clock, so that machines whose clocks differ agree: the server's, or for a file, which one
//! machine uses, the system's. When this clock jumps back by more than a second, leases and delays that would last longer
//! than they were given start again from the present.
//!
//! A process that is *stopped* (not killed) in the middle of a transaction keeps a SQLite file locked until it goes on or
//! is ended; PostgreSQL ends such a transaction after 10 seconds, and the process, when it goes on, runs it again.

mod answers;
mod begin;
mod clock;
mod database;
mod fork;
mod jobs;
mod money;
mod place;
mod schema;
mod settings;
mod status;
#[cfg(test)]
mod tests;
mod trees;

use std::time::Duration;

use self::database::{Access, Fault, Pool, Transaction};
use self::place::Place;
use crate::{Error, Result};

pub use self::answers::{Answer, AnswerKey};
pub use self::begin::{Begun, Job};
pub use self::jobs::{Claim, Retry};
pub use self::money::Reservation;
pub use self::settings::Settings;
pub use self::status::{DeadLetters, EndpointTotals, JobCounts, Status};
pub use self::trees::{FinishedTree, Trees};

/// How often one transaction finds its connection lost before that is an error.
const MOST_LOST_CONNECTIONS: u32 = 3;

/// Why a transaction has no result.
enum Attempt {
    /// Nothing of it was committed, and another connection may do.
    ConnectionLost(Fault),
    Failed(Fault),
}

/// A store, open. Its methods block, and may be called from many threads at once, but not from a task of an async runtime.
#[derive(Debug)]
pub struct Store {
    place: Place,
    pool: Pool,
    /// `None` only while it is dropped.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Store {
    /// Opens the store at the path of a file or at `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, and creates it when there
    /// is none. PostgreSQL's database must exist; `?options=-csearch_path%3DSCHEMA` chooses a schema of it.
    ///
    /// # Errors
    ///
    /// With place and remedy: what is there is no store, or one of a newer version of this program; it may not be written; it is
    /// locked; the server cannot be reached.
    pub fn open(place: &str) -> Result<Self> {
        Self::open_at(Place::parse(place)?)
    }

    fn open_at(place: Place) -> Result<Self> {
        refuse_async()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("eurus-store")
            .enable_all()
            .build()
            .map_err(|source| Error::Store {
                place: place.to_string(),
                doing: "open",
                problem: format!("no thread could be started ({source})"),
                remedy: "end other programs, or raise the limit of processes".into(),
                source: Box::new(source),
            })?;
        let pool = runtime
            .block_on(schema::open(&place))
            .map_err(|fault| explain(&place, "open", fault))?;
        Ok(Self {
            place,
            pool,
            runtime: Some(runtime),
        })
    }

    /// Where the store is, for messages: without the password of an address.
    pub fn place(&self) -> String {
        self.place.to_string()
    }

    /// Runs a transaction: what `body` returns is committed before this returns. A transaction that the connection is lost
    /// under is run again: a program that was stopped for some time finds its connections closed by the server.
    fn transaction<T>(
        &self,
        access: Access,
        doing: &'static str,
        mut body: impl AsyncFnMut(&mut Transaction) -> Result<T, Fault>,
    ) -> Result<T> {
        refuse_async()?;
        let Some(runtime) = &self.runtime else {
            return Err(explain(&self.place, doing, sqlx::Error::PoolClosed.into()));
        };
        runtime
            .block_on(async {
                let mut again = MOST_LOST_CONNECTIONS;
                loop {
                    match self.attempt(access, &mut body).await {
                        Err(Attempt::ConnectionLost(_)) if again > 0 => again -= 1,
                        Err(Attempt::ConnectionLost(fault) | Attempt::Failed(fault)) => {
                            return Err(fault);
                        }
                        Ok(result) => return Ok(result),
                    }
                }
            })
            .map_err(|fault| explain(&self.place, doing, fault))
    }

    async fn attempt<T>(
        &self,
        access: Access,
        body: &mut impl AsyncFnMut(&mut Transaction) -> Result<T, Fault>,
    ) -> Result<T, Attempt> {
        let before_commit = |fault: Fault| match fault.is_lost_connection() {
            true => Attempt::ConnectionLost(fault),
            false => Attempt::Failed(fault),
        };
        let begun = self.pool.begin(access).await;
        let mut transaction = begun.map_err(|error| before_commit(error.into()))?;
        match body(&mut transaction).await {
            Ok(result) => match transaction.commit().await.map_err(Fault::from) {
                Ok(()) => Ok(result),
                Err(fault) if fault.is_undelivered() => Err(Attempt::ConnectionLost(fault)),
                // It may have been committed: a second time would be once too often.
                Err(fault) => Err(Attempt::Failed(fault)),
            },
            Err(fault) => {
                // When this fails too, the database rolls back: it has lost the connection. The first fault is the one
                // to tell.
                let _ = transaction.roll_back().await;
                Err(before_commit(fault))
            }
        }
    }

    fn write<T>(
        &self,
        doing: &'static str,
        body: impl AsyncFnMut(&mut Transaction) -> Result<T, Fault>,
    ) -> Result<T> {
        self.transaction(Access::Write, doing, body)
    }

    fn read<T>(
        &self,
        doing: &'static str,
        body: impl AsyncFnMut(&mut Transaction) -> Result<T, Fault>,
    ) -> Result<T> {
        self.transaction(Access::Read, doing, body)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        if refuse_async().is_ok() {
            // SQLite writes its log into the file when the last connection is closed. Nothing is lost when it can't.
            let closing =
                async { tokio::time::timeout(Duration::from_secs(5), self.pool.close()).await };
            let _ = runtime.block_on(closing);
        }
        runtime.shutdown_background();
    }
}

fn explain(place: &Place, doing: &'static str, fault: Fault) -> Error {
    match fault {
        Fault::Database(error) => place.explain(doing, error),
        Fault::Refused(error) => error,
    }
}

/// Blocking a thread of a runtime would stop its other tasks, and may stop it for good.
fn refuse_async() -> Result<()> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => Err(Error::StoreInRuntime),
        Err(_) => Ok(()),
    }
}
