//! The store of finished turns on disk, so that a killed run goes on.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::record::{Growing, TurnRecord};
use super::{SynthConfig, SynthStats};
use crate::{Error, Result};

const FORMAT: &str = "ultrainteract-synth turns";
const VERSION: u32 = 1;

/// A JSONL file with one line per finished turn of each problem, after a first line with the
/// settings.
///
/// Lines are appended a batch at a time. A run that is killed leaves at most one half-written line
/// at the end, which the next one removes. A store belongs to one configuration and one list of
/// actors; others are refused. It is locked while it is open.
#[derive(Debug)]
pub struct TreeStore {
    path: PathBuf,
    file: File,
    header: Option<Value>,
    /// The records of each problem with their lines, in order.
    records: HashMap<String, Vec<(usize, TurnRecord)>>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    config: SynthConfig,
    actors: Vec<String>,
}

impl TreeStore {
    /// Opens a store, or makes an empty one.
    ///
    /// # Errors
    ///
    /// When the file cannot be read and written, is in use by another process, or has a line that no
    /// store wrote.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let io = |doing| {
            let path = path.clone();
            move |source| Error::store_io(&path, doing, source)
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io("open"))?;
        // Locked before it is read: another run could add lines in between.
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io("lock (another process uses it)")(error.into()),
            TryLockError::Error(source) => io("lock")(source),
        })?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io("read"))?;
        // A line without its end was being written when the run was killed.
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(io("repair"))?;
        }
        file.seek(SeekFrom::End(0)).map_err(io("read"))?;

        let mut store = Self {
            path,
            file,
            header: None,
            records: HashMap::new(),
        };
        let lines = bytes[..whole].split(|byte| *byte == b'\n');
        for (index, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
            store.read_line(index + 1, line)?;
        }
        Ok(store)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many turns are stored.
    pub fn turns(&self) -> usize {
        self.records.values().map(Vec::len).sum()
    }

    fn read_line(&mut self, line: usize, bytes: &[u8]) -> Result<()> {
        if self.header.is_none() {
            let header: Value = self.parse(line, bytes)?;
            for (field, expected) in [("format", Value::from(FORMAT)), ("version", VERSION.into())]
            {
                if header[field] != expected {
                    return Err(self.mismatch(field, &header[field], &expected));
                }
            }
            self.header = Some(header);
            return Ok(());
        }
        let record: TurnRecord = self.parse(line, bytes)?;
        let records = self.records.entry(record.problem.clone()).or_default();
        let ended = records.last().is_some_and(|(_, last)| last.end.is_some());
        if record.turn != records.len() + 1 || ended {
            let problem = format!(
                "turn {} of problem `{}` does not follow what is stored before it",
                record.turn, record.problem
            );
            return Err(self.bad_line(line, problem));
        }
        records.push((line, record));
        Ok(())
    }

    fn parse<T: for<'de> Deserialize<'de>>(&self, line: usize, bytes: &[u8]) -> Result<T> {
        serde_json::from_slice(bytes).map_err(|error| self.bad_line(line, error.to_string()))
    }

    /// Makes the store belong to a run, or finds out that it does not.
    pub(super) fn begin(&mut self, config: &SynthConfig, actors: &[&str]) -> Result<()> {
        let header = Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            // It has no influence on the trees, so it may change between runs.
            config: SynthConfig {
                problems_per_batch: None,
                ..config.clone()
            },
            actors: actors.iter().map(|actor| (*actor).to_owned()).collect(),
        };
        let (text, expected) = serde_json::to_string(&header)
            .and_then(|text| Ok((text.clone(), serde_json::from_str::<Value>(&text)?)))
            .map_err(|error| self.unwritable(error))?;
        let Some(found) = &self.header else {
            self.write(text + "\n")?;
            self.header = Some(expected);
            return Ok(());
        };
        match difference("", found, &expected) {
            None => Ok(()),
            Some((field, found, expected)) => Err(self.mismatch(&field, &found, &expected)),
        }
    }

    /// Lets a tree grow as far as it is stored.
    pub(super) fn replay(&self, growing: &mut Growing<'_>, stats: &mut SynthStats) -> Result<()> {
        let records = self.records.get(&growing.problem.id);
        for (line, record) in records.into_iter().flatten() {
            if record.fingerprint != growing.fingerprint {
                return Err(self.mismatch(
                    &format!("the text of problem `{}`", record.problem),
                    &Value::from(format!("fingerprint {}", record.fingerprint)),
                    &Value::from(format!("fingerprint {}", growing.fingerprint)),
                ));
            }
            growing
                .grow(record)
                .map_err(|error| self.bad_line(*line, error.to_string()))?;
            stats.count(record.turn, &record.counts, record.end);
        }
        Ok(())
    }

    /// Writes finished turns.
    pub(super) fn append(&mut self, records: &[TurnRecord]) -> Result<()> {
        let mut text = String::new();
        for record in records {
            text += &serde_json::to_string(record).map_err(|error| self.unwritable(error))?;
            text.push('\n');
        }
        self.write(text)?;
        // The lines of this run are not numbered; nothing reads them before the store is reopened.
        for record in records {
            self.records
                .entry(record.problem.clone())
                .or_default()
                .push((0, record.clone()));
        }
        Ok(())
    }

    fn write(&mut self, text: String) -> Result<()> {
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_data())
            .map_err(|source| Error::store_io(&self.path, "write", source))
    }

    fn unwritable(&self, error: serde_json::Error) -> Error {
        Error::store_io(&self.path, "write", error.into())
    }

    fn bad_line(&self, line: usize, problem: String) -> Error {
        Error::StoreLine {
            path: self.path.clone(),
            line,
            problem,
        }
    }

    fn mismatch(&self, field: &str, found: &Value, expected: &Value) -> Error {
        Error::StoreMismatch {
            path: self.path.clone(),
            field: field.to_owned(),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }
}

/// The first field in which two values differ.
fn difference(place: &str, found: &Value, expected: &Value) -> Option<(String, Value, Value)> {
    if let (Value::Object(found), Value::Object(expected)) = (found, expected) {
        return found.keys().chain(expected.keys()).find_map(|key| {
            let place = if place.is_empty() {
                key.clone()
            } else {
                format!("{place}.{key}")
            };
            difference(
                &place,
                found.get(key).unwrap_or(&Value::Null),
                expected.get(key).unwrap_or(&Value::Null),
            )
        });
    }
    (found != expected).then(|| (place.to_owned(), found.clone(), expected.clone()))
}
