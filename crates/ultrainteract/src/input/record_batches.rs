//! Rows of tables, Parquet's or Arrow's, as JSON records, so that one parser per format serves all files.

use std::io::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayAccessor, RecordBatch, new_null_array};
use arrow_json::writer::{LineDelimited, NullableEncoder, WriterBuilder};
use arrow_json::{Encoder, EncoderFactory, EncoderOptions};
use arrow_schema::{ArrowError, DataType, FieldRef};

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
    let mut lines = WriterBuilder::new()
        .with_encoder_factory(Arc::new(Encoders))
        .build::<_, LineDelimited>(buffer);
    lines.write(rows)?;
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

/// Types that JSON has no value for, or another one than a format wants.
#[derive(Debug)]
struct Encoders;

impl EncoderFactory for Encoders {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Binary => Box::new(Bytes(array.as_binary::<i32>())),
            DataType::LargeBinary => Box::new(Bytes(array.as_binary::<i64>())),
            DataType::BinaryView => Box::new(Bytes(array.as_binary_view())),
            // No format has a point in time, and to write one takes a calendar of time zones.
            of if of.is_temporal() || !is_written(of) => {
                let nulls = new_null_array(&DataType::Null, array.len()).logical_nulls();
                return Ok(Some(NullableEncoder::new(Box::new(Nothing), nulls)));
            }
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

/// Whether a type has a form in JSON.
fn is_written(of: &DataType) -> bool {
    match of {
        DataType::Union(..) => false,
        DataType::Map(entry, _) => match entry.data_type() {
            DataType::Struct(fields) => fields.first().is_some_and(|key| {
                let key = key.data_type();
                matches!(
                    key,
                    DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
                )
            }),
            _ => false,
        },
        _ => true,
    }
}

/// Null, whatever the value.
struct Nothing;

impl Encoder for Nothing {
    fn encode(&mut self, _index: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"null");
    }
}

/// Text that a file calls bytes. Bytes that are no text become an object: a field that should be a text then refuses them.
struct Bytes<A>(A);

impl<'a, A: ArrayAccessor<Item = &'a [u8]>> Encoder for Bytes<A> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let bytes = self.0.value(index);
        // Writing to a vector cannot fail.
        let _ = match std::str::from_utf8(bytes) {
            Ok(text) => serde_json::to_writer(&mut *out, text).map_err(std::io::Error::from),
            Err(_) => write!(out, "{{\"bytes_that_are_no_text\":{}}}", bytes.len()),
        };
    }
}

/// Ends of the lines; JSON has its own line breaks escaped.
fn line_ends(text: &[u8]) -> impl Iterator<Item = usize> {
    let bytes = text.iter().enumerate();
    bytes
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(index, _)| index)
}
