//! Rows of tables, Parquet's or Arrow's, as JSON records, so that one parser per format serves all files.

use arrow_array::RecordBatch;
use arrow_json::LineDelimitedWriter;
use arrow_schema::{ArrowError, DataType};

use super::Place;
use super::source::{Batch, RawRecord};

/// Puts the rows of a table into the batch, which has none yet. `row` counts those of the `group` so far.
pub(super) fn add_rows(
    rows: &RecordBatch,
    group: u64,
    row: &mut u64,
    batch: &mut Batch,
) -> Result<(), ArrowError> {
    let buffer = std::mem::take(&mut batch.bytes);
    let mut lines = LineDelimitedWriter::new(buffer);
    lines.write(&without_times(rows)?)?;
    lines.finish()?;
    let json = lines.into_inner();
    let mut start = 0;
    for end in line_ends(&json) {
        *row += 1;
        let place = Place::Row { group, row: *row };
        batch.records.push((place, RawRecord::whole(start..end)));
        start = end + 1;
    }
    batch.bytes = json;
    Ok(())
}

/// The columns that a format may have: no point in time is in any, and to write one takes a calendar of time zones.
fn without_times(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = rows.schema();
    let fields = schema.fields().iter().enumerate();
    let kept: Vec<usize> = fields
        .filter(|(_, field)| !has_time(field.data_type()))
        .map(|(index, _)| index)
        .collect();
    match kept.len() == schema.fields().len() {
        true => Ok(rows.clone()),
        false => rows.project(&kept),
    }
}

fn has_time(of: &DataType) -> bool {
    match of {
        DataType::Timestamp(..)
        | DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Duration(_)
        | DataType::Interval(_) => true,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            has_time(item.data_type())
        }
        DataType::Struct(fields) => fields.iter().any(|field| has_time(field.data_type())),
        DataType::Map(entry, _) => has_time(entry.data_type()),
        DataType::Dictionary(_, value) => has_time(value),
        _ => false,
    }
}

/// Ends of the lines; JSON has its own line breaks escaped.
fn line_ends(text: &[u8]) -> impl Iterator<Item = usize> {
    let bytes = text.iter().enumerate();
    bytes
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(index, _)| index)
}
