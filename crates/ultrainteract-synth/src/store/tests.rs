//! Tests of what only the store itself can see: its tables, its clock, its locks.

use std::time::Duration;

use serde_json::json;

use super::database::Value;
#[cfg(feature = "sqlite")]
use super::place::Place;
use super::*;

fn begun(place: &str) -> Store {
    let store = Store::open(place).unwrap();
    let jobs = (0..3).map(|index| Job::new(format!("p{index}"), &index));
    store
        .begin(&Settings::new(&json!({})).unwrap(), jobs)
        .unwrap();
    store
}

fn execute(store: &Store, sql: &'static str, values: &[Value<'_>]) {
    store
        .write("test", async |transaction| {
            Ok(transaction.execute(sql, values).await?)
        })
        .unwrap();
}

#[cfg(feature = "sqlite")]
fn on_file(test: impl Fn(&str)) {
    let folder = tempfile::tempdir().unwrap();
    test(&folder.path().join("run.db").display().to_string());
}

fn on_each_database(test: impl Fn(&str)) {
    #[cfg(feature = "sqlite")]
    on_file(&test);
    #[cfg(feature = "postgres")]
    if let Some(server) = test_support::PostgresServer::shared() {
        test(&server.database());
    }
}

#[test]
fn a_clock_that_is_set_back_makes_no_lease_and_no_delay_longer() {
    on_each_database(|place| {
        let store = begun(place);
        let lease = Duration::from_millis(400);
        let claims = store.claim("w", lease, 2).unwrap();
        store.reschedule(&claims[1], lease, "r", "m").unwrap();
        // As if both had been given at a time that is an hour from now.
        let hour: i64 = 3_600_000_000;
        let sql = "UPDATE synth_jobs SET since = since + $1, until = until + $1 WHERE state = 'leased' OR attempts > 0";
        execute(&store, sql, &[hour.into()]);
        assert_eq!(store.next_due().unwrap(), Some(Duration::ZERO));

        let started = std::time::Instant::now();
        assert_eq!(
            store.claim("w", Duration::from_secs(3600), 9).unwrap()[0].id,
            "p2"
        );
        assert!(store.next_due().unwrap().unwrap() <= lease);
        while store.next_due().unwrap() != Some(Duration::ZERO) {
            assert!(started.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(lease);
        let again = store.claim("w", lease, 9).unwrap();
        assert_eq!(
            again
                .iter()
                .map(|claim| claim.id.as_str())
                .collect::<Vec<_>>(),
            ["p0", "p1"]
        );
    });
}

#[test]
fn a_store_of_a_newer_program_is_refused() {
    on_each_database(|place| {
        execute(&begun(place), "UPDATE synth_store SET version = 2", &[]);
        let error = Store::open(place).unwrap_err().to_string();
        assert!(
            error.contains("has version 2, and this program knows version 1"),
            "{error}"
        );
    });
}

#[test]
fn tables_of_another_program_are_refused_by_name() {
    on_each_database(|place| {
        execute(
            &begun(place),
            "UPDATE synth_store SET format = 'other'",
            &[],
        );
        let error = Store::open(place).unwrap_err().to_string();
        assert!(
            error.contains("a table `synth_store` of `other`"),
            "{error}"
        );
    });
    on_each_database(|place| {
        let store = begun(place);
        execute(&store, "DROP TABLE synth_store", &[]);
        execute(&store, "CREATE TABLE synth_store (id BIGINT)", &[]);
        let error = Store::open(place).unwrap_err().to_string();
        assert!(error.contains("of another program"), "{error}");
    });
}

#[cfg(feature = "sqlite")]
#[test]
fn a_database_of_another_program_is_refused_and_not_changed() {
    on_file(|place| {
        let store = begun(place);
        for table in [
            "trees",
            "run",
            "jobs",
            "answers",
            "endpoints",
            "money",
            "reservations",
        ] {
            let sql = format!("DROP TABLE synth_{table}");
            store
                .write("test", async |transaction| {
                    Ok(transaction.execute(sql.clone(), &[]).await?)
                })
                .unwrap();
        }
        execute(&store, "ALTER TABLE synth_store RENAME TO customers", &[]);
        drop(store);
        let before = std::fs::read(place).unwrap();
        let error = Store::open(place).unwrap_err().to_string();
        assert!(
            error.contains("run.db is no store") && error.contains("`customers`"),
            "{error}"
        );
        assert_eq!(std::fs::read(place).unwrap(), before);
    });
}

#[cfg(feature = "sqlite")]
#[test]
fn a_store_that_another_program_has_locked_is_named() {
    on_file(|path| {
        let store = begun(path);
        let impatient = Place::File {
            path: path.into(),
            wait: Duration::from_millis(50),
        };
        let other = Store::open_at(impatient.clone()).unwrap();
        let message = store
            .write("test", async |_| {
                // In this transaction, which has the file locked.
                std::thread::scope(|scope| {
                    let claim = scope
                        .spawn(|| other.claim("w", Duration::ZERO, 1).unwrap_err().to_string());
                    let open =
                        scope.spawn(|| Store::open_at(impatient.clone()).unwrap_err().to_string());
                    Ok([claim.join().unwrap(), open.join().unwrap()])
                })
            })
            .unwrap();
        for message in message {
            assert!(
                message.contains("run.db: another program has it locked for more than 50ms"),
                "{message}"
            );
        }
        assert_eq!(other.claim("w", Duration::ZERO, 1).unwrap().len(), 1);
    });
}

#[cfg(feature = "sqlite")]
#[test]
fn a_store_writes_ahead_and_synchronizes() {
    on_file(|place| {
        let store = begun(place);
        for (pragma, expected) in [("PRAGMA journal_mode", "wal"), ("PRAGMA synchronous", "1")] {
            let value = store.read("test", async |transaction| {
                let row = transaction
                    .row(pragma, &[])
                    .await?
                    .ok_or(sqlx::Error::RowNotFound)?;
                Ok(row
                    .text(0)
                    .or_else(|_| row.integer(0).map(|value| value.to_string()))?)
            });
            assert_eq!(value.unwrap(), expected);
        }
    });
}

#[cfg(feature = "sqlite")]
#[test]
fn the_next_job_is_found_without_a_look_at_those_that_are_done() {
    on_file(|place| {
        let store = begun(place);
        let plan = store.read("test", async |transaction| {
            let sql = "EXPLAIN QUERY PLAN SELECT id FROM synth_jobs WHERE state IN ('waiting', 'leased') AND until <= 5 \
                       ORDER BY position LIMIT 3";
            let rows = transaction.rows(sql, &[]).await?;
            Ok(rows.iter().map(|row| row.text(3)).collect::<sqlx::Result<Vec<_>>>()?)
        });
        assert_eq!(
            plan.unwrap(),
            ["SCAN synth_jobs USING INDEX synth_jobs_open"]
        );
    });
}

#[test]
fn a_panic_in_a_transaction_leaves_nothing_and_the_store_usable() {
    on_each_database(|place| {
        let store = begun(place);
        let jobs = (0..900).map(|index| match index {
            800 => panic!("as it should"),
            _ => Job::new(format!("q{index}"), &index),
        });
        let settings = Settings::new(&json!({})).unwrap();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            store.begin(&settings, jobs)
        }));
        assert!(outcome.is_err());
        assert_eq!(store.status().unwrap().jobs.waiting, 3);
        assert_eq!(store.claim("w", Duration::ZERO, 9).unwrap().len(), 3);
    });
}

#[test]
fn a_call_in_an_async_task_is_refused_and_ends_nothing() {
    on_each_database(|place| {
        let store = begun(place);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let error = runtime.block_on(async {
            let error = store.status().unwrap_err().to_string();
            assert!(Store::open(place).is_err());
            drop(store);
            error
        });
        assert!(error.contains("spawn_blocking"), "{error}");
        assert_eq!(
            Store::open(place).unwrap().status().unwrap().jobs.waiting,
            3
        );
    });
}

#[cfg(feature = "postgres")]
#[test]
fn a_transaction_that_stands_still_is_ended_by_the_server() {
    if let Some(server) = test_support::PostgresServer::shared() {
        let store = begun(&server.database());
        let limits = store.read("test", async |transaction| {
            let mut limits = Vec::new();
            for sql in [
                "SHOW idle_in_transaction_session_timeout",
                "SHOW lock_timeout",
            ] {
                limits.push(
                    transaction
                        .row(sql, &[])
                        .await?
                        .ok_or(sqlx::Error::RowNotFound)?
                        .text(0)?,
                );
            }
            Ok(limits)
        });
        assert_eq!(limits.unwrap(), ["10s", "30s"]);
    }
}

#[cfg(feature = "postgres")]
#[test]
fn a_transaction_that_the_server_ended_is_run_again_and_counts_once() {
    if let Some(server) = test_support::PostgresServer::shared() {
        let store = begun(&server.database());
        for stands_still in [None, Some("in its body"), Some("before its commit")] {
            let mut runs = 0;
            let claimed = store.write("test", async |transaction| {
                runs += 1;
                let claimed = transaction
                    .execute(
                        "UPDATE synth_jobs SET attempts = attempts + 1 WHERE position = 0",
                        &[],
                    )
                    .await?;
                if runs == 1 && stands_still.is_some() {
                    transaction
                        .execute(
                            "SET LOCAL idle_in_transaction_session_timeout = '50ms'",
                            &[],
                        )
                        .await?;
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    if stands_still == Some("in its body") {
                        transaction.execute("SELECT 1", &[]).await?;
                    }
                }
                Ok(claimed)
            });
            assert_eq!(claimed.unwrap(), 1, "{stands_still:?}");
            assert_eq!(runs, 1 + usize::from(stands_still.is_some()));
        }
        let claims = store.claim("w", Duration::ZERO, 1).unwrap();
        assert_eq!(claims[0].attempts, 3);
    }
}
