//! The tables, who made them, and the version of their form.

use super::database::{Access, Fault, Pool, Transaction};
use super::place::Place;
use crate::Error;

/// What the table `synth_store` says of itself.
const FORMAT: &str = "eurus tree construction";

/// The form of the tables. A program reads what it knows, and refuses what is newer.
const VERSION: i64 = 1;

/// `BYTES` is the one type that the databases name differently. Problems, trees and answers are JSON as it was given.
///
/// `since` and `until`: when the job came into its state, and when a worker may next claim it (the end of a delay or of a
/// lease).
const TABLES: [&str; 9] = [
    "CREATE TABLE synth_store (
        format TEXT NOT NULL,
        version BIGINT NOT NULL,
        created BIGINT NOT NULL)",
    "CREATE TABLE synth_run (
        one BIGINT PRIMARY KEY CHECK (one = 1),
        settings TEXT NOT NULL,
        begun BIGINT NOT NULL)",
    "CREATE TABLE synth_jobs (
        id TEXT PRIMARY KEY,
        position BIGINT NOT NULL UNIQUE,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'leased', 'parked', 'done')),
        since BIGINT NOT NULL,
        until BIGINT NOT NULL,
        token BIGINT NOT NULL,
        attempts BIGINT NOT NULL,
        lost BIGINT NOT NULL,
        worker TEXT,
        reason TEXT,
        message TEXT,
        problem TEXT NOT NULL)",
    "CREATE INDEX synth_jobs_open ON synth_jobs (position) WHERE state IN ('waiting', 'leased')",
    "CREATE TABLE synth_trees (
        job TEXT PRIMARY KEY REFERENCES synth_jobs (id),
        position BIGINT NOT NULL UNIQUE,
        finished BIGINT NOT NULL,
        tree TEXT NOT NULL,
        stats TEXT NOT NULL)",
    "CREATE TABLE synth_answers (
        key BYTES NOT NULL,
        sample BIGINT NOT NULL,
        endpoint TEXT NOT NULL,
        model TEXT NOT NULL,
        prompt_tokens BIGINT NOT NULL,
        completion_tokens BIGINT NOT NULL,
        estimated BIGINT NOT NULL,
        cost BIGINT NOT NULL,
        arrived BIGINT NOT NULL,
        completion TEXT NOT NULL,
        PRIMARY KEY (key, sample))",
    "CREATE TABLE synth_endpoints (
        endpoint TEXT PRIMARY KEY,
        requests BIGINT NOT NULL,
        repeated BIGINT NOT NULL,
        answers BIGINT NOT NULL,
        estimated BIGINT NOT NULL,
        prompt_tokens BIGINT NOT NULL,
        completion_tokens BIGINT NOT NULL,
        cost BIGINT NOT NULL,
        first_arrived BIGINT NOT NULL,
        last_arrived BIGINT NOT NULL)",
    "CREATE TABLE synth_money (
        one BIGINT PRIMARY KEY CHECK (one = 1),
        spent BIGINT NOT NULL,
        reserved BIGINT NOT NULL,
        last_reservation BIGINT NOT NULL)",
    "CREATE TABLE synth_reservations (
        id BIGINT PRIMARY KEY,
        worker TEXT NOT NULL,
        cost BIGINT NOT NULL,
        made BIGINT NOT NULL)",
];

/// Connects, and creates the tables or checks those that are there.
pub(super) async fn open(place: &Place) -> Result<Pool, Fault> {
    let pool = place.connect().await?;
    let mut transaction = pool.begin(Access::Write).await?;
    transaction.lock_schema().await?;
    match transaction.has_store().await? {
        true => check(place, &mut transaction).await?,
        false => create(place, &mut transaction).await?,
    }
    transaction.commit().await?;
    write_ahead(place, &pool).await?;
    Ok(pool)
}

async fn check(place: &Place, transaction: &mut Transaction) -> Result<(), Fault> {
    let foreign = |found: &str| Error::StoreForeign {
        place: place.to_string(),
        found: found.to_owned(),
    };
    // A table of this name with other columns is somebody else's.
    let row = match transaction
        .row("SELECT format, version FROM synth_store", &[])
        .await
    {
        Ok(row) => row,
        Err(sqlx::Error::Database(_)) => {
            return Err(foreign("a table `synth_store` of another program").into());
        }
        Err(error) => return Err(error.into()),
    };
    let Some(row) = row else {
        return Err(foreign("an empty table `synth_store`").into());
    };
    let (format, version) = (row.text(0)?, row.integer(1)?);
    if format != FORMAT {
        return Err(foreign(&format!("a table `synth_store` of `{format}`")).into());
    }
    if version != VERSION {
        return Err(Error::StoreVersion {
            place: place.to_string(),
            found: version,
            known: VERSION,
        }
        .into());
    }
    Ok(())
}

async fn create(place: &Place, transaction: &mut Transaction) -> Result<(), Fault> {
    if let Some(table) = transaction.table_of_others().await? {
        let found = format!("a database of another program, with a table `{table}`");
        let place = place.to_string();
        return Err(Error::StoreForeign { place, found }.into());
    }
    for table in TABLES {
        let table = table.replace("BYTES", transaction.bytes_type());
        transaction.execute(table, &[]).await?;
    }
    let now = transaction.now().await?;
    transaction
        .execute(
            "INSERT INTO synth_store (format, version, created) VALUES ($1, $2, $3)",
            &[FORMAT.into(), VERSION.into(), now.into()],
        )
        .await?;
    transaction
        .execute(
            "INSERT INTO synth_money (one, spent, reserved, last_reservation) VALUES (1, 0, 0, 0)",
            &[],
        )
        .await?;
    Ok(())
}

impl Transaction {
    fn bytes_type(&self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "BLOB",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "BYTEA",
        }
    }

    /// Keeps others from creating the same tables.
    async fn lock_schema(&mut self) -> Result<(), Fault> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => {
                // Any number that nobody else is likely to lock.
                let sql = "SELECT 1 FROM pg_advisory_xact_lock(7236837521)";
                self.execute(sql, &[]).await?;
                Ok(())
            }
        }
    }

    async fn has_store(&mut self) -> Result<bool, Fault> {
        let sql = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "SELECT 1 FROM sqlite_master WHERE name = 'synth_store'",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "SELECT 1 WHERE to_regclass('synth_store') IS NOT NULL",
        };
        Ok(self.row(sql, &[]).await?.is_some())
    }

    /// A table that is not ours. A server's database is often shared; a file is not.
    async fn table_of_others(&mut self) -> Result<Option<String>, Fault> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => {
                let sql =
                    "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name LIMIT 1";
                let row = self.row(sql, &[]).await?;
                Ok(row.map(|row| row.text(0)).transpose()?)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Ok(None),
        }
    }
}

/// Has SQLite write ahead: readers don't wait for writers, and a commit is one write. Only once the file is known to be ours,
/// because it changes the file.
#[cfg(feature = "sqlite")]
async fn write_ahead(place: &Place, pool: &Pool) -> Result<(), Fault> {
    use std::time::{Duration, Instant};

    use sqlx::Row as _;
    let (pool, wait) = match (pool, place) {
        (Pool::Sqlite(pool), Place::File { wait, .. }) => (pool, *wait),
        #[cfg(feature = "postgres")]
        _ => return Ok(()),
    };
    // SQLite does not wait for the lock of this change, as it does for others.
    let started = Instant::now();
    loop {
        match sqlx::query("PRAGMA journal_mode = WAL")
            .fetch_one(pool)
            .await
        {
            Ok(row) if row.try_get::<String, _>(0)? == "wal" => return Ok(()),
            Ok(_) => {
                return Err(Error::Store {
                    place: place.to_string(),
                    doing: "open",
                    problem: "the file system has no shared memory for SQLite's log".into(),
                    remedy: "choose a folder on a disk of this machine, or a PostgreSQL server"
                        .into(),
                    source: "journal_mode is not wal".into(),
                }
                .into());
            }
            Err(error) if is_busy(&error) && started.elapsed() < wait => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(not(feature = "sqlite"))]
async fn write_ahead(_place: &Place, _pool: &Pool) -> Result<(), Fault> {
    Ok(())
}

#[cfg(feature = "sqlite")]
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<i32>().ok())
        .is_some_and(|code| code & 0xff == 5)
}
