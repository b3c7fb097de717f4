//! Where a store is: a file or a server, how it is opened, and what an error of it means to its user.

use std::fmt;
#[cfg(feature = "sqlite")]
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::database::Pool;
use crate::{Error, Result};

/// How long a statement waits for another process of the same store.
const WAIT: Duration = Duration::from_secs(30);

/// A queue of many threads of this process is not another process in the way.
const QUEUE: Duration = Duration::from_secs(300);

/// A file or a server.
#[derive(Debug, Clone)]
pub(super) enum Place {
    #[cfg(feature = "sqlite")]
    File {
        path: PathBuf,
        /// How long a statement waits for another process.
        wait: Duration,
    },
    #[cfg(feature = "postgres")]
    Server(Box<sqlx::postgres::PgConnectOptions>),
}

impl fmt::Display for Place {
    /// Without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File { path, .. } => path.display().fmt(f),
            #[cfg(feature = "postgres")]
            Self::Server(options) => {
                let host = match options.get_socket() {
                    Some(socket) => socket.display().to_string(),
                    None => options.get_host().to_owned(),
                };
                let database = options.get_database().unwrap_or_default();
                let (user, port) = (options.get_username(), options.get_port());
                write!(f, "postgres://{user}@{host}:{port}/{database}")
            }
        }
    }
}

impl Place {
    /// What the user wrote.
    pub fn parse(place: &str) -> Result<Self> {
        if place.starts_with("postgres://") || place.starts_with("postgresql://") {
            return server(place);
        }
        if let Some((scheme, _)) = place.split_once("://") {
            return Error::config(
                "store",
                format!(
                    "`{scheme}://` is no kind of store; give the path of a file, or postgres://USER@HOST/DATABASE"
                ),
            );
        }
        file(place)
    }

    pub async fn connect(&self) -> sqlx::Result<Pool> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File { path, wait } => {
                use sqlx::ConnectOptions as _;
                use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(true)
                    .busy_timeout(*wait)
                    .synchronous(SqliteSynchronous::Normal)
                    .disable_statement_logging();
                // SQLite has one writer at a time. Threads that queue for one connection are served in order; with a
                // connection each they would poll for the lock of the file, and some would wait too long.
                let pool = SqlitePoolOptions::new()
                    .max_connections(1)
                    .idle_timeout(None)
                    .max_lifetime(None)
                    .acquire_timeout(QUEUE);
                Ok(Pool::Sqlite(pool.connect_with(options).await?))
            }
            #[cfg(feature = "postgres")]
            Self::Server(options) => {
                use sqlx::ConnectOptions as _;
                use sqlx::postgres::PgPoolOptions;
                let wait = format!("{}s", WAIT.as_secs());
                let options = options
                    .as_ref()
                    .clone()
                    .application_name("eurus")
                    // A process that is stopped in the middle of a transaction must not hold up all others.
                    .options([
                        ("lock_timeout", wait.as_str()),
                        ("idle_in_transaction_session_timeout", "10s"),
                    ])
                    .disable_statement_logging();
                let pool = PgPoolOptions::new()
                    .max_connections(8)
                    .acquire_timeout(QUEUE);
                // The pool's own first connection would try again until the whole of its time is over.
                let mut first = options.connect().await?;
                sqlx::Connection::ping(&mut first).await?;
                sqlx::Connection::close(first).await?;
                Ok(Pool::Postgres(pool.connect_with(options).await?))
            }
        }
    }

    /// The error of this crate for one of the database: what was wrong, where, and what to do.
    pub fn explain(&self, doing: &'static str, error: sqlx::Error) -> Error {
        let (problem, remedy) = self.diagnose(&error);
        Error::Store {
            place: self.to_string(),
            doing,
            problem,
            remedy,
            source: Box::new(error),
        }
    }

    fn diagnose(&self, error: &sqlx::Error) -> (String, String) {
        let given = |problem: &str, remedy: &str| (problem.to_owned(), remedy.to_owned());
        match error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                match self {
                    #[cfg(feature = "sqlite")]
                    Self::File { path, wait } => of_file(path, *wait, code.parse().unwrap_or(0)),
                    #[cfg(feature = "postgres")]
                    Self::Server(_) => of_server(&code),
                }
                .unwrap_or_else(|| {
                    (
                        database.message().to_owned(),
                        "see the database's message".into(),
                    )
                })
            }
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::Decode(_) => (
                format!("it holds something that was never written by this program ({error})"),
                "restore it from a copy, or start a new store".into(),
            ),
            sqlx::Error::PoolTimedOut => given(
                "no connection became free",
                "end what holds the store up, or start fewer workers",
            ),
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) => (
                format!("the server cannot be reached ({error})"),
                "start the server, or correct host, port and TLS in the address".into(),
            ),
            _ => (error.to_string(), "see the database's message".into()),
        }
    }
}

#[cfg(feature = "sqlite")]
fn file(place: &str) -> Result<Place> {
    if place.is_empty() || place == ":memory:" {
        return Error::config(
            "store",
            "it must be a file, which outlives the program; give a path",
        );
    }
    // Absolute, so that no name of a file is taken for one of SQLite's special names, and errors say where it is.
    match std::path::absolute(place) {
        Ok(path) => Ok(Place::File { path, wait: WAIT }),
        Err(error) => Error::config("store", format!("`{place}` is no path ({error})")),
    }
}

#[cfg(not(feature = "sqlite"))]
fn file(place: &str) -> Result<Place> {
    Error::config(
        "store",
        format!("`{place}` is a file, and this program is built without the feature `sqlite`"),
    )
}

#[cfg(feature = "postgres")]
fn server(place: &str) -> Result<Place> {
    // The address may hold a password: it is in no message.
    match place.parse() {
        Ok(options) => Ok(Place::Server(Box::new(options))),
        Err(error) => Error::config(
            "store",
            format!("the address is no postgres://USER:PASSWORD@HOST:PORT/DATABASE ({error})"),
        ),
    }
}

#[cfg(not(feature = "postgres"))]
fn server(_place: &str) -> Result<Place> {
    Error::config(
        "store",
        "postgres:// needs a program that is built with the feature `postgres`",
    )
}

/// What a result code of SQLite means (<https://www.sqlite.org/rescode.html>).
#[cfg(feature = "sqlite")]
fn of_file(path: &Path, wait: Duration, code: i32) -> Option<(String, String)> {
    let folder = path.parent().unwrap_or(path);
    let given = |problem: &str, remedy: String| Some((problem.to_owned(), remedy));
    match code & 0xff {
        5 | 6 => given(
            &format!("another program has it locked for more than {wait:?}"),
            "end that program, or wait until it is done".into(),
        ),
        13 => given(
            "the disk is full",
            "free some space and start again; what was committed is kept".into(),
        ),
        10 => given(
            "reading or writing the file failed: the disk is full, or it fails",
            "look at the free space and the system's log; what was committed is kept".into(),
        ),
        3 | 8 | 14 if !folder.is_dir() => given(
            &format!("there is no folder {}", folder.display()),
            "create the folder".into(),
        ),
        3 | 8 | 14 if path.is_dir() => given("it is a folder", "name a file in it".into()),
        3 | 8 | 14 => given(
            "the file or its folder may not be written",
            format!(
                "allow writing in {} (SQLite writes files beside the store), or choose another folder",
                folder.display()
            ),
        ),
        26 => given(
            "the file is no SQLite database",
            "give the path of a store, or of a file that is not there yet".into(),
        ),
        11 => given(
            "the file is damaged",
            "restore it from a copy, or try `sqlite3 FILE .recover`".into(),
        ),
        _ => None,
    }
}

/// What an error code of PostgreSQL means (appendix A of its manual).
#[cfg(feature = "postgres")]
fn of_server(code: &str) -> Option<(String, String)> {
    let (problem, remedy) = match code {
        "55P03" => (
            "another program has it locked",
            "end that program, or wait until it is done",
        ),
        "53100" => (
            "the server's disk is full",
            "free some space there and start again; what was committed is kept",
        ),
        "25006" => (
            "the server is read-only",
            "give the address of the primary server",
        ),
        "28000" | "28P01" => (
            "the server does not let this user in",
            "correct user and password in the address",
        ),
        "3D000" => (
            "there is no such database",
            "create it, with `createdb NAME`",
        ),
        "42501" | "3F000" => (
            "the user may not create or change tables there",
            "grant the rights, or give another schema in the address",
        ),
        "53300" => (
            "the server has no connection left",
            "start fewer workers, or raise its max_connections",
        ),
        _ => return None,
    };
    Some((problem.into(), remedy.into()))
}
