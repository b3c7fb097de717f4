//! The rows of a file, in every shape that data sets are published in.

use std::io::{BufRead, Read};
use std::path::Path;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};
use ultrainteract::formats::parse_json;
use ultrainteract::input::{self, Location, Place, Text};

use super::row::{Reason, Row};
use super::separated;
use crate::{Error, Result};

/// A row, or the place of something that is none and why.
pub(super) type Read1 = Result<Row, (Location, Reason)>;

/// What takes rows.
pub(super) type Each<'a> = dyn FnMut(Read1) -> Result<()> + 'a;

/// Beginning of a file in which the first line is looked for.
const HEAD_BYTES: u64 = 1 << 20;

/// Calls `each` with every row of a file: JSONL, a JSON array, Parquet, CSV or TSV by its name; an object whose entries are rows,
/// each of which has `row_field`; or one object over several lines.
///
/// # Errors
///
/// When the file cannot be read to its end, or `each` fails.
pub(super) fn each_row(path: &Path, row_field: &str, each: &mut Each<'_>) -> Result<()> {
    if let Some(delimiter) = separated::delimiter_of(path) {
        return separated::each_row(path, delimiter, each);
    }
    if is_one_object(path, row_field)? {
        return each_entry(path, row_field, each);
    }
    for record in input::read(vec![path.to_owned()], parse_json::<Map<String, Value>>) {
        match record {
            Ok(located) => each(Ok(Row {
                fields: located.value,
                location: located.location,
                key: None,
            }))?,
            Err(rejected) => match rejected.place {
                Some(place) if !rejected.is_unread() => {
                    let location = Location {
                        file: rejected.file,
                        place,
                    };
                    each(Err((location, rejected.error.fault().to_string())))?;
                }
                _ => return Err(rejected.error.into()),
            },
        }
    }
    Ok(())
}

/// Whether a file begins with an object that is not a row on a line of its own.
fn is_one_object(path: &Path, row_field: &str) -> Result<bool> {
    let mut head = Vec::new();
    open(path)?
        .take(HEAD_BYTES)
        .read_to_end(&mut head)
        .map_err(|error| Error::import(path.display(), format!("cannot be read: {error}")))?;
    let head = head.trim_ascii_start();
    if !head.starts_with(b"{") {
        return Ok(false);
    }
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.len() < head.len() || (line.len() as u64) < HEAD_BYTES - 4096 {
        return Ok(match serde_json::from_slice::<Map<String, Value>>(line) {
            // An object of rows may be on one line.
            Ok(fields) => {
                !fields.contains_key(row_field) && fields.values().all(is_row_of(row_field))
            }
            // Of a damaged line of JSONL the next one begins with another object.
            Err(error) => {
                let mut others = head.split(|byte| *byte == b'\n').skip(1);
                let next = others.find(|line| !line.trim_ascii().is_empty());
                error.is_eof() && !next.is_some_and(|line| line.starts_with(b"{"))
            }
        });
    }
    // A long line: a row has its field outside of any other object.
    Ok(first_value_is_object(line))
}

fn is_row_of(row_field: &str) -> impl Fn(&Value) -> bool {
    move |value| matches!(value, Value::Object(fields) if fields.contains_key(row_field))
}

/// Whether the first entry of an object is an object.
fn first_value_is_object(head: &[u8]) -> bool {
    let mut colons = head.iter().enumerate().filter(|(_, byte)| **byte == b':');
    let first = colons.next().map(|(at, _)| &head[at + 1..]);
    first.is_some_and(|rest| rest.trim_ascii_start().starts_with(b"{"))
}

fn open(path: &Path) -> Result<Text> {
    let mut text = input::open_text(path)?;
    let marked = text
        .fill_buf()
        .is_ok_and(|head| head.starts_with(b"\xef\xbb\xbf"));
    if marked {
        text.consume(3);
    }
    Ok(text)
}

/// Calls `each` with the entries of objects that are rows, and with the objects themselves that have the field.
fn each_entry(path: &Path, row_field: &str, each: &mut Each<'_>) -> Result<()> {
    let mut text = open(path)?;
    let mut entries = Entries {
        file: path.into(),
        row_field,
        each,
        rows: 0,
        failed: None,
    };
    loop {
        let at_end = loop {
            let blank = text.fill_buf().map_err(|error| {
                Error::import(path.display(), format!("cannot be read: {error}"))
            })?;
            let space = blank
                .iter()
                .take_while(|it| it.is_ascii_whitespace())
                .count();
            let (empty, all) = (blank.is_empty(), space == blank.len());
            text.consume(space);
            if empty || !all {
                break empty;
            }
        };
        if at_end {
            return Ok(());
        }
        let mut parser = serde_json::Deserializer::from_reader(&mut text);
        let parsed = (&mut entries).deserialize(&mut parser);
        if let Some(error) = entries.failed.take() {
            return Err(error);
        }
        parsed.map_err(|error| {
            let rows = entries.rows;
            Error::import(
                path.display(),
                format!("after {rows} rows, it is no JSON: {error}; download it again, or repair the place"),
            )
        })?;
    }
}

struct Entries<'a, 'b> {
    file: Arc<Path>,
    row_field: &'a str,
    each: &'a mut Each<'b>,
    rows: u64,
    failed: Option<Error>,
}

impl Entries<'_, '_> {
    /// False if `each` failed.
    fn give(&mut self, key: Option<String>, fields: Map<String, Value>) -> bool {
        self.rows += 1;
        let row = Row {
            fields,
            location: Location {
                file: self.file.clone(),
                place: Place::Element(self.rows),
            },
            key,
        };
        match (self.each)(Ok(row)) {
            Ok(()) => true,
            Err(error) => {
                self.failed = Some(error);
                false
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Entries<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Entries<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let stop = || serde::de::Error::custom("stopped");
        let mut own = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            match map.next_value()? {
                Value::Object(fields) if fields.contains_key(self.row_field) => {
                    if !self.give(Some(key), fields) {
                        return Err(stop());
                    }
                }
                value => {
                    own.insert(key, value);
                }
            }
        }
        if !own.is_empty() && !self.give(None, own) {
            return Err(stop());
        }
        Ok(())
    }
}
