//! JSON lines in and out, with errors that name file, row and field.

use std::io::BufRead;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::lenient::numbers_as_strings;
use crate::input::{BYTE_ORDER_MARK, Location, NextLine, Place, next_line, open_text};
use crate::output::{Sealed, TextFile};
use crate::{Error, Result};

/// The longest line that is read: 64 MiB. A longer one is an error, not a full memory.
pub const MAX_LINE_BYTES: usize = 64 << 20;

/// Stands for the field where a fault lies in none.
pub(crate) const WHOLE_ROW: &str = "(row)";

/// Something that a line of a JSONL file holds.
///
/// ```
/// use ultrainteract::{Result, formats::{JsonlReader, Record, parse_json}};
///
/// #[derive(serde::Deserialize)]
/// struct Score { value: f64 }
///
/// impl Record for Score {
///     fn from_json(line: &[u8]) -> Result<Self> { parse_json(line) }
/// }
///
/// let mut scores = JsonlReader::<_, Score>::new(&b"{\"value\":1.5}\n{\"value\":\"high\"}\n"[..], "scores.jsonl");
/// assert_eq!(scores.next().unwrap()?.value, 1.5);
/// let error = scores.next().unwrap().err().unwrap().to_string();
/// assert!(error.starts_with("row 2 of scores.jsonl: field `value`: invalid type"));
/// # Ok::<(), ultrainteract::Error>(())
/// ```
pub trait Record: Sized {
    /// Parses and checks one line. Errors name the field; the reader adds file and row.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the line.
    fn from_json(line: &[u8]) -> Result<Self>;
}

/// Parses JSON; an error names the field it lies in.
///
/// # Errors
///
/// [`Error::NotUtf8`], [`Error::NotJson`] or [`Error::Malformed`].
pub fn parse_json<T: DeserializeOwned>(line: &[u8]) -> Result<T> {
    if let Err(error) = std::str::from_utf8(line) {
        return Err(Error::NotUtf8 {
            field: locate::<T>(line).map_or_else(|_| WHOLE_ROW.to_string(), |(field, _)| field),
            column: error.valid_up_to() + 1,
        });
    }
    // The parser that tracks fields is slower, so it runs only to explain a failure.
    serde_json::from_slice(line).or_else(|_| match locate::<T>(line) {
        Ok((field, error)) => Err(explain(field, &error)),
        Err(value) => Ok(value),
    })
}

/// As [`parse_json`] for records that are objects; a list of a record's values in order is none.
pub(crate) fn parse_object<T: DeserializeOwned>(record: &[u8]) -> Result<T> {
    let text = record.trim_ascii_start();
    if text.first() == Some(&b'[') && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
    {
        return Err(Error::malformed(
            WHOLE_ROW,
            "invalid type: a list, expected an object",
        ));
    }
    parse_json(record).or_else(|fault| match &fault {
        Error::NotJson { .. } => match numbers_as_strings(record) {
            Some(changed) => parse_json(&changed),
            None => Err(fault),
        },
        _ => Err(fault),
    })
}

/// The field at which parsing fails, or the value if it does not.
fn locate<T: DeserializeOwned>(line: &[u8]) -> Result<(String, serde_json::Error), T> {
    let mut parser = serde_json::Deserializer::from_slice(line);
    match serde_path_to_error::deserialize(&mut parser) {
        Err(error) => {
            // "." is the row itself; "?" is a key that was not understood yet.
            let path = error.path().to_string();
            let field = match path.trim_end_matches(['.', '?']) {
                "" => WHOLE_ROW.to_string(),
                path => path.to_string(),
            };
            Ok((field, error.into_inner()))
        }
        Ok(value) => match parser.end() {
            Err(error) => Ok((WHOLE_ROW.to_string(), error)),
            Ok(()) => Err(value),
        },
    }
}

fn explain(field: String, error: &serde_json::Error) -> Error {
    let message = error.to_string();
    // A row is a single line, so the parser's own "at line 1 column 7" would mislead.
    let message = message
        .split(" at line ")
        .next()
        .unwrap_or_default()
        .to_string();
    if !error.is_data() {
        return Error::NotJson {
            field,
            column: error.column(),
            message,
        };
    }
    // A missing field is reported at the object that lacks it; name the field itself.
    let missing = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next());
    match missing {
        None => Error::malformed(field, message),
        Some(name) if field == WHOLE_ROW => Error::missing(name),
        Some(name) => Error::missing(format!("{field}.{name}")),
    }
}

/// Items from the lines of a file, one at a time. Blank lines are skipped.
///
/// After a bad line the next call goes on with the line after it; after a failed read the iterator
/// ends.
pub struct JsonlReader<R, T> {
    input: R,
    file: PathBuf,
    line: usize,
    buffer: Vec<u8>,
    failed: bool,
    item: PhantomData<fn() -> T>,
}

impl<R, T> std::fmt::Debug for JsonlReader<R, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonlReader")
            .field("file", &self.file)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

impl<R: BufRead, T: Record> JsonlReader<R, T> {
    /// Reads from anything; `file` is the name that errors give.
    pub fn new(input: R, file: impl Into<PathBuf>) -> Self {
        Self {
            input,
            file: file.into(),
            line: 0,
            buffer: Vec::new(),
            failed: false,
            item: PhantomData,
        }
    }

    /// 1-based number of the line that the last item came from.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The name that errors give.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Where the last item came from.
    pub fn location(&self) -> Location {
        Location {
            file: self.file.as_path().into(),
            place: Place::Line(self.line as u64),
        }
    }

    /// Puts this file and line around an error that was found later.
    pub fn locate(&self, fault: Error) -> Error {
        self.location().locate(fault)
    }

    /// The next line into the buffer; false at the end of the file.
    fn read_line(&mut self) -> Result<bool> {
        self.buffer.clear();
        let next =
            next_line(&mut self.input, &mut self.buffer).map_err(|error| self.unreadable(error))?;
        if next == NextLine::None {
            return Ok(false);
        }
        self.line += 1;
        if let NextLine::TooLong(bytes) = next {
            return Err(self.locate(Error::RecordTooLong {
                bytes,
                limit: MAX_LINE_BYTES,
            }));
        }
        if self.line == 1 && self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(true)
    }

    fn unreadable(&mut self, error: std::io::Error) -> Error {
        self.failed = true;
        Error::io("read", &self.file, error)
    }
}

impl<R: BufRead, T: Record> Iterator for JsonlReader<R, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        while !self.failed {
            match self.read_line() {
                Err(error) => return Some(Err(error)),
                Ok(false) => return None,
                Ok(true) if self.buffer.trim_ascii().is_empty() => {}
                Ok(true) => {
                    return Some(T::from_json(&self.buffer).map_err(|fault| self.locate(fault)));
                }
            }
        }
        None
    }
}

/// Opens a JSONL file, compressed or not, for streaming.
///
/// # Errors
///
/// The file cannot be opened.
pub fn read_jsonl<T: Record>(
    path: impl AsRef<Path>,
) -> Result<JsonlReader<Box<dyn BufRead + Send>, T>> {
    let path = path.as_ref();
    Ok(JsonlReader::new(open_text(path)?, path))
}

/// Writes a JSONL file and returns the number of items.
///
/// # Errors
///
/// The file cannot be written; a file that was there before is then unchanged.
pub fn write_jsonl<T: Serialize>(
    path: impl AsRef<Path>,
    items: impl IntoIterator<Item = T>,
) -> Result<usize> {
    let mut writer = JsonlWriter::create(path)?;
    for item in items {
        writer.write(&item)?;
    }
    writer.finish()
}

/// Writes lines to a temporary file; [`finish`](Self::finish) gives it its name. A writer that is
/// dropped before leaves nothing behind.
#[derive(Debug)]
pub struct JsonlWriter {
    output: TextFile,
    line: Vec<u8>,
    items: usize,
}

impl JsonlWriter {
    /// Starts a file; `.gz` and `.zst` at the end of its name mean compression. The folder must
    /// exist.
    ///
    /// # Errors
    ///
    /// The folder cannot be written to.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self {
            output: TextFile::create(path.as_ref())?,
            line: Vec::new(),
            items: 0,
        })
    }

    /// The hidden file that is written until [`finish`](Self::finish) gives it its name.
    pub fn temporary(&self) -> &Path {
        self.output.temporary()
    }

    /// Adds an item.
    ///
    /// # Errors
    ///
    /// The item has no JSON form, or the disk refuses.
    pub fn write<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, item).map_err(|error| Error::Unwritable {
            path: self.output.path().to_path_buf(),
            item: self.items + 1,
            message: error.to_string(),
        })?;
        self.line.push(b'\n');
        self.output.write(&self.line)?;
        self.items += 1;
        Ok(())
    }

    /// Gives the file its name, replacing one that is there, and returns the number of items.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub fn finish(self) -> Result<usize> {
        self.seal()?.name()
    }

    /// Puts the whole file on the disk, without its name.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub fn seal(self) -> Result<Sealed> {
        Ok(self.output.seal()?.with_rows(self.items))
    }
}
