//! Rows in the forms in which data are published.

use serde_json::{Map, Value};

use super::file::{Data, Format};
use super::nearest;
use crate::graders::Rules;

/// A row, and its number in its file.
#[derive(Debug)]
pub(super) struct NumberedRow {
    /// From 1, as lines are counted.
    pub number: usize,
    /// The row, or what is wrong with it.
    pub row: Result<Map<String, Value>, String>,
}

/// The rows of a file; an error is one of the whole file.
pub(super) fn rows(data: &Data, bytes: &[u8], rules: Rules) -> Result<Vec<NumberedRow>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut rows = match data.format {
        Format::Json => json(data, bytes)?,
        Format::Columns => columns(bytes)?,
        Format::Csv => csv(data, bytes, rules),
    };
    for row in &mut rows {
        let with_fields = std::mem::replace(&mut row.row, Ok(Map::new()));
        row.row = with_fields.and_then(|row| checked(data, row));
    }
    Ok(rows)
}

fn numbered(
    rows: impl IntoIterator<Item = Result<Map<String, Value>, String>>,
) -> Vec<NumberedRow> {
    let numbers = 1..;
    numbers
        .zip(rows)
        .map(|(number, row)| NumberedRow { number, row })
        .collect()
}

fn object(value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(row) => Ok(row),
        _ => Err("is no object of fields".to_owned()),
    }
}

fn json(data: &Data, bytes: &[u8]) -> Result<Vec<NumberedRow>, String> {
    let whole = |bytes| {
        serde_json::from_slice::<Value>(bytes).map_err(|error| format!("is no JSON: {error}"))
    };
    if let Some(list) = &data.list {
        let mut file = object(whole(bytes)?).map_err(|_| format!("has no field `{list}`"))?;
        let known: Vec<String> = file.keys().cloned().collect();
        return match file.remove(list) {
            Some(Value::Array(rows)) => Ok(numbered(rows.into_iter().map(object))),
            Some(_) => Err(format!("`{list}` is no list of rows")),
            None => Err(no_field(list, &known)),
        };
    }
    if let Some(nested) = &data.nested
        && let Ok(Value::Object(groups)) = serde_json::from_slice(bytes)
        && groups
            .values()
            .all(|group| group.get(&nested.field).is_some())
    {
        let rows = groups.into_iter().flat_map(|(group, mut content)| {
            let rows = match content[&nested.field].take() {
                Value::Object(rows) => rows,
                _ => Map::new(),
            };
            rows.into_iter().map(move |(kind, row)| {
                let mut row = object(row)?;
                row.insert(nested.group.clone(), group.clone().into());
                row.insert(nested.kind.clone(), kind.into());
                Ok(row)
            })
        });
        return Ok(numbered(rows));
    }
    plain(bytes)
}

/// Objects, one a line or in one array.
pub(super) fn plain(bytes: &[u8]) -> Result<Vec<NumberedRow>, String> {
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        let rows: Vec<Value> = serde_json::from_slice(bytes)
            .map_err(|error| format!("is no list of rows: {error}"))?;
        return Ok(numbered(rows.into_iter().map(object)));
    }
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    let filled = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    let parsed = filled.map(|(number, line)| {
        let row = serde_json::from_slice(line).map_err(|error| format!("is no JSON: {error}"));
        NumberedRow {
            number,
            row: row.and_then(object),
        }
    });
    Ok(parsed.collect())
}

/// One object of columns. Those of one row have the same place in a list, or the same key.
fn columns(bytes: &[u8]) -> Result<Vec<NumberedRow>, String> {
    let columns: Map<String, Value> = serde_json::from_slice(bytes)
        .map_err(|error| format!("is no object of columns: {error}"))?;
    let keys = |column: &Value| match column {
        Value::Object(values) => values.keys().cloned().collect(),
        Value::Array(values) => (0..values.len()).map(|at| at.to_string()).collect(),
        _ => Vec::new(),
    };
    let longest: Vec<String> = columns
        .values()
        .map(keys)
        .max_by_key(Vec::len)
        .unwrap_or_default();
    let cell = |column: &Value, key: &str| match column {
        Value::Object(values) => values.get(key).cloned(),
        Value::Array(values) => values.get(key.parse::<usize>().ok()?).cloned(),
        _ => None,
    };
    let row = |key: &String| {
        let cells = columns
            .iter()
            .filter_map(|(name, column)| Some((name.clone(), cell(column, key)?)));
        Ok(cells.collect())
    };
    Ok(numbered(longest.iter().map(row)))
}

/// Comma-separated values without a header.
fn csv(data: &Data, bytes: &[u8], rules: Rules) -> Vec<NumberedRow> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    let names = &data.fields;
    let cell = |text: &str| match rules {
        Rules::Authors if data.nan_for_authors.iter().any(|nan| nan == text) => "nan".into(),
        _ => Value::from(text),
    };
    let rows = reader.records().map(|record| {
        let record = record.map_err(|error| format!("is no row of CSV: {error}"))?;
        if record.len() != names.len() {
            return Err(format!(
                "has {} columns; wanted are {}: {}",
                record.len(),
                names.len(),
                names.join(", ")
            ));
        }
        Ok(names.iter().cloned().zip(record.iter().map(cell)).collect())
    });
    numbered(rows)
}

/// The row with all fields: those that it must have, and null for others that it has not.
fn checked(data: &Data, mut row: Map<String, Value>) -> Result<Map<String, Value>, String> {
    if let Some(lacking) = data.fields.iter().find(|field| !row.contains_key(*field)) {
        let known: Vec<String> = row.keys().cloned().collect();
        return Err(no_field(lacking, &known));
    }
    for field in &data.optional {
        row.entry(field.clone()).or_insert(Value::Null);
    }
    Ok(row)
}

fn no_field(field: &str, known: &[String]) -> String {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let meant = match known.len() {
        0..=20 => nearest::meant(field, &known),
        _ => "rename the one that is meant".to_owned(),
    };
    format!("has no field `{field}`; {meant}")
}
