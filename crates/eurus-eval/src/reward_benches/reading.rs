//! Rows of files, with errors that name file, row and field.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use ultrainteract::input::{self, Place};

use crate::error::{Error, Result};

/// The rewards of responses by id, from a file of JSON rows `{"id": "...", "reward": 0.5}`; other fields are ignored.
#[derive(Debug, Clone, PartialEq)]
pub struct Rewards {
    path: PathBuf,
    by_id: HashMap<String, f64>,
}

impl Rewards {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] for a file that cannot be read, [`Error::BenchRow`] for a row that is no JSON object,
    /// [`Error::BenchField`] for a field that is missing or of another type, a reward that is no finite number, an id that
    /// came before.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_field(path, "reward")
    }

    /// Reads them from another field, such as `implicit_reward`.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_field(path: &Path, field: &'static str) -> Result<Self> {
        let mut by_id = HashMap::new();
        read_rows(path, |row| {
            let id = row.id()?;
            match by_id.insert(id.clone(), row.finite(field)?) {
                None => Ok(()),
                Some(_) => Err(row.fault("id", format!("has `{id}` a second time"))),
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            by_id,
        })
    }

    /// The reward of a response.
    ///
    /// # Errors
    ///
    /// [`Error::NoReward`] for an id without one.
    pub fn get(&self, id: &str) -> Result<f64> {
        let reward = self.by_id.get(id).copied();
        reward.ok_or_else(|| Error::NoReward {
            path: self.path.clone(),
            id: id.to_owned(),
        })
    }
}

/// A row of a file.
pub(super) struct Row<'a> {
    path: &'a Path,
    place: Place,
    fields: Map<String, Value>,
}

/// Reads every row of a file of any kind that [`input`] reads.
pub(super) fn read_rows<T>(
    path: &Path,
    mut read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut rows = Vec::new();
    for record in input::read(vec![path.to_owned()], |record| Ok(record.to_vec())) {
        let record = record.map_err(|rejected| ultrainteract::Error::from(*rejected))?;
        let place = record.location.place;
        let fields = serde_json::from_slice(&record.value).map_err(|source| Error::BenchRow {
            path: path.to_owned(),
            place,
            problem: not_json(&record.value, &source),
        })?;
        rows.push(read(&Row {
            path,
            place,
            fields,
        })?);
    }
    Ok(rows)
}

/// Python writes numbers that are none as words that are no JSON.
fn not_json(record: &[u8], error: &serde_json::Error) -> String {
    let text = String::from_utf8_lossy(record);
    match ["NaN", "Infinity"]
        .iter()
        .find(|word| text.contains(**word))
    {
        Some(word) => {
            format!("{word} is no JSON, and a score that is no number has no place in an order")
        }
        None => error.to_string(),
    }
}

impl Row<'_> {
    /// An error about a field.
    pub(super) fn fault(&self, field: &str, problem: impl Into<String>) -> Error {
        Error::BenchField {
            path: self.path.to_owned(),
            place: self.place,
            field: field.to_owned(),
            problem: problem.into(),
        }
    }

    /// The value of a field; `None` where it is missing or null.
    pub(super) fn value(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    fn required(&self, field: &str) -> Result<&Value> {
        let value = self.value(field);
        value.ok_or_else(|| self.fault(field, "is missing"))
    }

    pub(super) fn text(&self, field: &str) -> Result<&str> {
        let text = self.required(field)?.as_str();
        text.ok_or_else(|| self.fault(field, "is no text"))
    }

    /// The field `id`, a text or a whole number.
    pub(super) fn id(&self) -> Result<String> {
        match self.required("id")? {
            Value::String(id) => Ok(id.clone()),
            Value::Number(id) if id.is_i64() || id.is_u64() => Ok(id.to_string()),
            _ => Err(self.fault("id", "is neither a text nor a whole number")),
        }
    }

    /// A list of texts, at least one.
    pub(super) fn texts(&self, field: &str) -> Result<Vec<String>> {
        let list = self.required(field)?.as_array();
        let texts = list.and_then(|list| {
            let texts = list.iter().map(|text| text.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<String>>>()
        });
        let texts = texts.filter(|texts| !texts.is_empty());
        texts.ok_or_else(|| self.fault(field, "is no list of texts, or an empty one"))
    }

    pub(super) fn count(&self, field: &str) -> Result<usize> {
        let count = self.required(field)?.as_u64();
        let count = count.and_then(|count| usize::try_from(count).ok());
        count.ok_or_else(|| self.fault(field, "is no whole number from 0"))
    }

    pub(super) fn finite(&self, field: &str) -> Result<f64> {
        // Null is how some writers put NaN, so it is not told apart from what is missing.
        let number = self.value(field).and_then(Value::as_f64);
        let number = number.filter(|number| number.is_finite());
        number.ok_or_else(|| self.fault(field, "is no finite number"))
    }
}
