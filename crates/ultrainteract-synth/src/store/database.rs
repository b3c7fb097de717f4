//! One way to talk to SQLite and to PostgreSQL: a pool, transactions, values in and rows out.
//!
//! The statements of the store are written once, in what both understand: numbered parameters, `BIGINT`, `TEXT`, bytes,
//! `ON CONFLICT`, `RETURNING`.

use std::borrow::Cow;

use sqlx::AssertSqlSafe;
#[cfg(feature = "sqlite")]
use sqlx::pool::PoolConnection;
#[cfg(feature = "postgres")]
use sqlx::postgres::{PgPool, PgRow, Postgres};
#[cfg(feature = "sqlite")]
use sqlx::sqlite::{Sqlite, SqliteConnection, SqlitePool, SqliteRow};

use crate::Error;

/// What ends a transaction without its result: the database, or the store's own rules.
#[derive(Debug)]
pub(super) enum Fault {
    Database(sqlx::Error),
    Refused(Error),
}

impl Fault {
    /// The server closed the connection, or it broke.
    pub fn is_lost_connection(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Io(_)) => true,
            _ => self.is_ended_by_server(),
        }
    }

    /// The last statement did not reach the server, or found its transaction ended.
    pub fn is_undelivered(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Io(error)) => {
                error.kind() == std::io::ErrorKind::BrokenPipe
            }
            _ => self.is_ended_by_server(),
        }
    }

    /// The session was idle in its transaction for too long (SQLSTATE 25P03).
    fn is_ended_by_server(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => {
                error.code().as_deref() == Some("25P03")
            }
            _ => false,
        }
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// Connections to one database.
#[derive(Debug)]
pub(super) enum Pool {
    #[cfg(feature = "sqlite")]
    Sqlite(SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(PgPool),
}

/// What a transaction is for. SQLite must know before it begins: one that reads first and wants to write later can find
/// that another has written in between.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Access {
    Read,
    Write,
}

impl Pool {
    pub async fn begin(&self, access: Access) -> sqlx::Result<Transaction> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => {
                let begin = match access {
                    Access::Read => "BEGIN",
                    Access::Write => "BEGIN IMMEDIATE",
                };
                Ok(Transaction::Sqlite(
                    FileTransaction::begin(pool, begin).await?,
                ))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => {
                let _ = access;
                Ok(Transaction::Postgres(pool.begin().await?))
            }
        }
    }

    pub async fn close(&self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => pool.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// A transaction. What is not [committed](Transaction::commit) leaves nothing.
pub(super) enum Transaction {
    #[cfg(feature = "sqlite")]
    Sqlite(FileTransaction),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Transaction {
    /// Runs a statement and says how many rows it changed.
    pub async fn execute(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        values: &[Value<'_>],
    ) -> sqlx::Result<u64> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => {
                let done = query::<Sqlite>(sql.into(), values).execute(transaction.connection()?);
                Ok(done.await?.rows_affected())
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) => {
                let done = query::<Postgres>(sql.into(), values).execute(&mut **transaction);
                Ok(done.await?.rows_affected())
            }
        }
    }

    /// Runs a statement and returns its rows.
    pub async fn rows(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        values: &[Value<'_>],
    ) -> sqlx::Result<Vec<Row>> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => {
                let rows = query::<Sqlite>(sql.into(), values).fetch_all(transaction.connection()?);
                Ok(rows.await?.into_iter().map(Row::Sqlite).collect())
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) => {
                let rows = query::<Postgres>(sql.into(), values).fetch_all(&mut **transaction);
                Ok(rows.await?.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// Runs a statement and returns its first row.
    pub async fn row(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        values: &[Value<'_>],
    ) -> sqlx::Result<Option<Row>> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    pub async fn commit(self) -> sqlx::Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => transaction.end("COMMIT").await,
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) => transaction.commit().await,
        }
    }

    pub async fn roll_back(self) -> sqlx::Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => transaction.end("ROLLBACK").await,
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) => transaction.rollback().await,
        }
    }

    /// Appended to a `SELECT` whose rows are changed next: rows that another transaction changes are passed over.
    /// SQLite has one writer at a time and needs nothing.
    pub fn skip_locked(&self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "FOR UPDATE SKIP LOCKED",
        }
    }
}

/// A transaction of a SQLite file.
///
/// sqlx has its own, which count how deep they are nested. SQLite ends a transaction itself when the disk is full or fails; the
/// count is not told, and no transaction of the connection begins any more.
#[cfg(feature = "sqlite")]
pub(super) struct FileTransaction {
    /// `None` only while it is dropped.
    connection: Option<PoolConnection<Sqlite>>,
}

#[cfg(feature = "sqlite")]
impl FileTransaction {
    async fn begin(pool: &SqlitePool, begin: &'static str) -> sqlx::Result<Self> {
        let mut connection = pool.acquire().await?;
        sqlx::query(begin).execute(&mut *connection).await?;
        let connection = Some(connection);
        Ok(Self { connection })
    }

    fn connection(&mut self) -> sqlx::Result<&mut SqliteConnection> {
        self.connection
            .as_deref_mut()
            .ok_or(sqlx::Error::PoolClosed)
    }

    /// Runs `COMMIT` or `ROLLBACK`. When it fails, dropping the connection rolls back.
    async fn end(mut self, how: &'static str) -> sqlx::Result<()> {
        sqlx::query(how).execute(self.connection()?).await?;
        // Sound, and back to the pool.
        drop(self.connection.take());
        Ok(())
    }
}

#[cfg(feature = "sqlite")]
impl Drop for FileTransaction {
    fn drop(&mut self) {
        // The state of the connection is not known: it is closed, and the next transaction opens another.
        drop(self.connection.take().map(PoolConnection::detach));
    }
}

/// A value of a parameter.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Integer(i64),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    /// PostgreSQL's text has no NUL; what models and servers write may have one. JSON escapes it, so only plain text is
    /// concerned.
    fn from(text: &'a str) -> Self {
        Self::Text(match text.contains('\0') {
            true => Cow::Owned(text.replace('\0', "\u{fffd}")),
            false => Cow::Borrowed(text),
        })
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::from(text.as_str())
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

type Query<'a, DB> = sqlx::query::Query<'a, DB, <DB as sqlx::Database>::Arguments>;

fn query<'a, DB>(sql: Cow<'static, str>, values: &'a [Value<'_>]) -> Query<'a, DB>
where
    DB: sqlx::Database + sqlx::database::HasStatementCache,
    i64: sqlx::Encode<'a, DB> + sqlx::Type<DB>,
    &'a str: sqlx::Encode<'a, DB> + sqlx::Type<DB>,
    &'a [u8]: sqlx::Encode<'a, DB> + sqlx::Type<DB>,
{
    // What is made for a number of rows is not used again.
    let is_fixed = matches!(sql, Cow::Borrowed(_));
    let mut query = sqlx::query::<DB>(AssertSqlSafe(sql)).persistent(is_fixed);
    for value in values {
        query = match value {
            Value::Integer(value) => query.bind(*value),
            Value::Text(text) => query.bind(&**text),
            Value::Bytes(bytes) => query.bind(*bytes),
        };
    }
    query
}

/// A row of a result. Columns are counted from 0.
pub(super) enum Row {
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteRow),
    #[cfg(feature = "postgres")]
    Postgres(PgRow),
}

impl Row {
    pub fn integer(&self, column: usize) -> sqlx::Result<i64> {
        use sqlx::Row as _;
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(row) => row.try_get(column),
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => row.try_get(column),
        }
    }

    /// An integer that may be `NULL`.
    pub fn optional_integer(&self, column: usize) -> sqlx::Result<Option<i64>> {
        use sqlx::Row as _;
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(row) => row.try_get(column),
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => row.try_get(column),
        }
    }

    /// A count, which is never negative.
    pub fn count(&self, column: usize) -> sqlx::Result<u64> {
        Ok(u64::try_from(self.integer(column)?).unwrap_or(0))
    }

    pub fn text(&self, column: usize) -> sqlx::Result<String> {
        use sqlx::Row as _;
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(row) => row.try_get(column),
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => row.try_get(column),
        }
    }

    /// A text that may be `NULL`; empty then.
    pub fn optional_text(&self, column: usize) -> sqlx::Result<String> {
        use sqlx::Row as _;
        let text: Option<String> = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(row) => row.try_get(column)?,
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => row.try_get(column)?,
        };
        Ok(text.unwrap_or_default())
    }

    pub fn bytes(&self, column: usize) -> sqlx::Result<Vec<u8>> {
        use sqlx::Row as _;
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(row) => row.try_get(column),
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => row.try_get(column),
        }
    }
}

/// `($1, $2), ($3, $4)` for two rows of two columns.
pub(super) fn parameters(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let of_row: Vec<String> = (1..=columns)
            .map(|column| format!("${}", row * columns + column))
            .collect();
        format!("({})", of_row.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}
