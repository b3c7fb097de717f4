//! Rows of tables with separators: CSV and TSV.

use std::io::{BufRead, Read};
use std::path::Path;
use std::sync::Arc;

use csv::{ByteRecord, ReaderBuilder};
use serde_json::{Map, Value};
use ultrainteract::input::{self, Location, Place};

use super::row::Row;
use super::rows::Each;
use crate::{Error, Result};

/// The separator of a table, by the name of its file; of CSV by its first line as well, as many have semicolons.
pub(super) fn delimiter_of(path: &Path) -> Option<Delimiter> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    match name.rsplit_once('.')?.1 {
        "csv" => Some(Delimiter::ByFirstLine),
        "tsv" | "tab" => Some(Delimiter::Tab),
        _ => None,
    }
}

/// What stands between two fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delimiter {
    /// Comma, semicolon or tab, whichever the first line has most of.
    ByFirstLine,
    /// A tab. There are no quotes.
    Tab,
}

/// Calls `each` with the rows of a table, whose first line names the columns.
pub(super) fn each_row(path: &Path, delimiter: Delimiter, each: &mut Each<'_>) -> Result<()> {
    let fault = |problem: String| Error::import(path.display(), problem);
    let mut text = input::open_text(path)?;
    let mut builder = ReaderBuilder::new();
    // Rows of another length are named one by one, and not the end of it.
    builder.flexible(true);
    match delimiter {
        Delimiter::Tab => builder.delimiter(b'\t').quoting(false),
        Delimiter::ByFirstLine => {
            let head = text
                .fill_buf()
                .map_err(|error| fault(format!("cannot be read: {error}")))?;
            let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let count = |sign: u8| line.iter().filter(|byte| **byte == sign).count();
            // The last of equals is the most.
            let most = [b'\t', b';', b',']
                .into_iter()
                .max_by_key(|sign| count(*sign));
            builder.delimiter(most.unwrap_or(b','))
        }
    };
    let mut reader = builder.from_reader(text);
    let header = reader
        .byte_headers()
        .map_err(|error| fault(format!("its first line cannot be read: {error}")))?
        .clone();
    let columns = utf8(&header).map_err(|column| {
        fault(format!(
            "the name of column {column} is no UTF-8; save it as UTF-8"
        ))
    })?;
    if let Some(column) = columns
        .iter()
        .enumerate()
        .find(|(index, name)| columns[..*index].contains(name))
    {
        return Err(fault(format!(
            "two columns are called `{}`; rename one",
            column.1
        )));
    }
    let file: Arc<Path> = path.into();
    let mut record = ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => return Err(fault(format!("cannot be read to its end: {error}"))),
        }
        let line = record.position().map_or(0, csv::Position::line);
        let location = Location {
            file: file.clone(),
            place: Place::Line(line),
        };
        if record.len() != columns.len() {
            let (found, expected) = (record.len(), columns.len());
            each(Err((
                location,
                format!(
                    "the row has {found} fields and the first line {expected}; a quote may be open, or a separator missing"
                ),
            )))?;
            continue;
        }
        match utf8(&record) {
            Ok(values) => {
                let fields: Map<String, Value> = columns
                    .iter()
                    .cloned()
                    .zip(values.into_iter().map(Value::String))
                    .collect();
                each(Ok(Row {
                    fields,
                    location,
                    key: None,
                }))?;
            }
            Err(column) => each(Err((
                location,
                format!("field {column} is no UTF-8; save the file as UTF-8"),
            )))?,
        }
    }
}

/// The fields as texts, or the number of the first that is none.
fn utf8(record: &ByteRecord) -> Result<Vec<String>, usize> {
    record
        .iter()
        .enumerate()
        .map(|(index, field)| {
            std::str::from_utf8(field)
                .map(str::to_owned)
                .map_err(|_| index + 1)
        })
        .collect()
}

/// All cells of a small table in which a backslash before a quote or a backslash escapes it, as WikiTableQuestions writes them.
pub(super) fn cells(path: &Path) -> Result<Vec<Vec<String>>, String> {
    /// No table of a question is larger.
    const MOST: u64 = 16 << 20;
    let text = input::open_text(path).map_err(|error| error.to_string())?;
    let reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .escape(Some(b'\\'))
        .double_quote(false)
        .from_reader(text.take(MOST));
    reader
        .into_records()
        .map(|record| {
            let record = record.map_err(|error| error.to_string())?;
            Ok(record.iter().map(str::to_owned).collect())
        })
        .collect()
}
