//! Lines of JSON in the files of a run.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use ultrainteract::formats::{JsonlWriter, parse_json};
use ultrainteract::input;

use crate::error::{Error, Result};

/// All lines of a file, in order.
///
/// # Errors
///
/// The first line that cannot be read, with its file and number.
pub(crate) fn read_lines<T: DeserializeOwned + Send + 'static>(path: &Path) -> Result<Vec<T>> {
    let mut rows = Vec::new();
    for row in input::read(vec![path.to_owned()], parse_json::<T>) {
        rows.push(
            row.map_err(|rejected| ultrainteract::Error::from(*rejected))?
                .value,
        );
    }
    Ok(rows)
}

/// Writes a file of lines, whole or not at all.
pub(crate) fn write_lines<T: Serialize>(
    path: &Path,
    rows: impl IntoIterator<Item = T>,
) -> Result<()> {
    let mut writer = JsonlWriter::create(path)?;
    for row in rows {
        writer.write(&row)?;
    }
    writer.finish()?;
    Ok(())
}

/// Writes one JSON value, whole or not at all.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| Error::Write {
        path: path.to_owned(),
        source: error.into(),
    })?;
    text.push(b'\n');
    write_text(path, &text)
}

/// Writes a text, whole or not at all.
pub(crate) fn write_text(path: &Path, text: &[u8]) -> Result<()> {
    crate::report::write_atomically(path, text).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}

/// Reads one JSON value.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|error| Error::Json {
        path: path.to_owned(),
        problem: error.to_string(),
    })
}
