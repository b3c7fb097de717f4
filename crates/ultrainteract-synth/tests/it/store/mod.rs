//! The durable store, with a SQLite file and with a PostgreSQL server alike.

mod answers;
mod begin;
mod jobs;
mod laws;
mod money;
mod places;
mod processes;

use std::time::Duration;

use serde_json::json;
use ultrainteract_synth::store::{Begun, Claim, Job, Settings, Store};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

/// Where a test's stores are.
enum Database {
    File(tempfile::TempDir),
    #[cfg(feature = "postgres")]
    Server(std::sync::Arc<test_support::PostgresServer>),
}

impl Database {
    fn file() -> Self {
        Self::File(tempfile::tempdir().unwrap())
    }

    /// A place without a store.
    fn place(&self) -> String {
        match self {
            Self::File(folder) => {
                let number = std::fs::read_dir(folder.path()).unwrap().count();
                folder
                    .path()
                    .join(format!("store{number}.db"))
                    .display()
                    .to_string()
            }
            #[cfg(feature = "postgres")]
            Self::Server(server) => server.database(),
        }
    }

    fn store(&self) -> Store {
        Store::open(&self.place()).unwrap()
    }
}

/// Runs a test with each kind of database that is here.
fn on_each_database(test: impl Fn(&Database)) {
    test(&Database::file());
    #[cfg(feature = "postgres")]
    if let Some(server) = test_support::PostgresServer::shared() {
        test(&Database::Server(server));
    }
}

fn settings() -> Settings {
    Settings::new(&json!({"seed": 7})).unwrap()
}

fn jobs(count: usize) -> Vec<Job> {
    (0..count).map(job).collect()
}

fn job(index: usize) -> Job {
    Job::new(
        format!("p{index}"),
        &json!({"instruction": format!("{index} + 1?")}),
    )
}

fn begin(store: &Store, count: usize) -> Begun {
    store.begin(&settings(), jobs(count)).unwrap()
}

fn ids(claims: &[Claim]) -> Vec<&str> {
    claims.iter().map(|claim| claim.id.as_str()).collect()
}
