//! A new store that knows the answers of another.

use super::Store;
use super::database::{Fault, Row, Transaction, Value, parameters};
use crate::{Error, Result};

/// Answers that are copied in one statement.
const PAGE: usize = 200;

const COLUMNS: &str = "key, sample, endpoint, model, prompt_tokens, completion_tokens, estimated, cost, arrived, completion";

impl Store {
    /// Makes a new store at `place` with all answers of this one, and no jobs: a run with other settings whose equal requests
    /// are not sent again. Its account of requests, tokens and money begins at zero.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`]; `StoreInUse` when there is a store at `place` that has a run or answers already. The
    /// answers are copied all or not at all.
    pub fn fork(&self, place: &str) -> Result<Self> {
        let copy = Self::open(place)?;
        copy.write("copy answers to", async |transaction| {
            let sql = "SELECT 1 WHERE EXISTS (SELECT 1 FROM synth_run) OR EXISTS (SELECT 1 FROM synth_answers)";
            if transaction.row(sql, &[]).await?.is_some() {
                return Err(Error::StoreInUse { place: copy.place() }.into());
            }
            let mut after: (Vec<u8>, i64) = (Vec::new(), -1);
            loop {
                let rows = self.answers_after(&after).await?;
                let Some(last) = rows.last() else {
                    return Ok(());
                };
                after = (last.bytes(0)?, last.integer(1)?);
                copy_to(transaction, &rows).await?;
            }
        })?;
        Ok(copy)
    }

    async fn answers_after(&self, (key, sample): &(Vec<u8>, i64)) -> Result<Vec<Row>, Fault> {
        let mut transaction = self.pool.begin(super::Access::Read).await?;
        let sql = format!(
            "SELECT {COLUMNS} FROM synth_answers WHERE (key, sample) > ($1, $2) ORDER BY key, sample LIMIT {PAGE}"
        );
        Ok(transaction
            .rows(sql, &[key.as_slice().into(), (*sample).into()])
            .await?)
    }
}

async fn copy_to(transaction: &mut Transaction, rows: &[Row]) -> Result<(), Fault> {
    let mut bytes = Vec::new();
    let mut texts = Vec::new();
    for row in rows {
        bytes.push(row.bytes(0)?);
        texts.push([row.text(2)?, row.text(3)?, row.text(9)?]);
    }
    let mut values: Vec<Value<'_>> = Vec::with_capacity(10 * rows.len());
    for ((row, key), [endpoint, model, completion]) in rows.iter().zip(&bytes).zip(&texts) {
        values.extend([
            key.as_slice().into(),
            row.integer(1)?.into(),
            endpoint.into(),
            model.into(),
        ]);
        for column in 4..9 {
            values.push(row.integer(column)?.into());
        }
        values.push(completion.into());
    }
    let sql = format!(
        "INSERT INTO synth_answers ({COLUMNS}) VALUES {}",
        parameters(rows.len(), 10)
    );
    transaction.execute(sql, &values).await?;
    Ok(())
}
