//! Raw records of a file: lines, array elements or Parquet rows, a batch at a time.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::array::ArrayElements;
use super::{BYTE_ORDER_MARK, NextLine, Place, next_line};
use crate::formats::MAX_LINE_BYTES;
use crate::{Error, Result};

/// Bytes of records that are read at once.
const BATCH_BYTES: usize = 1 << 20;

const BUFFER_BYTES: usize = 1 << 18;

/// Records as bytes, side by side in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub bytes: Vec<u8>,
    pub records: Vec<(Place, RawRecord)>,
}

/// A record before it is parsed.
#[derive(Debug)]
pub(crate) struct RawRecord {
    /// Its bytes in the batch; the first ones alone of a record that is refused.
    pub bytes: Range<usize>,
    /// Why it cannot be parsed, whatever is in it.
    pub fault: Option<Error>,
}

impl RawRecord {
    /// A whole record.
    pub fn whole(bytes: Range<usize>) -> Self {
        Self { bytes, fault: None }
    }
}

/// The records of one file.
pub(crate) struct Source {
    kind: Kind,
    /// The fault that ended the file too early; reported after the records before it.
    fault: Option<Error>,
}

enum Kind {
    Lines(Lines),
    Array(ArrayElements<Text>),
    #[cfg(feature = "parquet")]
    Parquet(Box<super::parquet::ParquetRows>),
    #[cfg(feature = "parquet")]
    Arrow(super::arrow::ArrowRows),
}

impl Source {
    /// Opens a file whatever its name: gzip, zstd, Parquet and Arrow are known by their first bytes.
    /// `read_bytes` is increased by the bytes read from the disk.
    pub fn open(path: &Path, read_bytes: Arc<AtomicU64>) -> Result<Self> {
        let mut raw = open_counted(path, read_bytes.clone())?;
        if begins_with(&mut raw, path, b"PAR1")? {
            #[cfg(feature = "parquet")]
            return super::parquet::ParquetRows::open(path, read_bytes)
                .map(|rows| Self::new(Kind::Parquet(Box::new(rows))));
            #[cfg(not(feature = "parquet"))]
            return Err(Error::Table {
                kind: "Parquet",
                action: "read",
                file: path.to_path_buf(),
                place: String::new(),
                message: "this build does not read Parquet; enable the feature `parquet`"
                    .to_string(),
            });
        }
        #[cfg(feature = "parquet")]
        for (magic, has_footer) in [(super::arrow::FILE, true), (super::arrow::STREAM, false)] {
            if begins_with(&mut raw, path, magic)? {
                return super::arrow::ArrowRows::open(path, has_footer, read_bytes)
                    .map(|rows| Self::new(Kind::Arrow(rows)));
            }
        }
        let mut text = decompressed(raw, path)?;
        let head = text
            .fill_buf()
            .map_err(|error| Error::io("read", path, error))?;
        if is_utf16(head) {
            return Err(Error::Utf16 {
                file: path.to_path_buf(),
            });
        }
        Ok(Self::new(if is_array(head) {
            Kind::Array(ArrayElements::new(text))
        } else {
            Kind::Lines(Lines {
                input: text,
                line: 0,
                read: 0,
            })
        }))
    }

    fn new(kind: Kind) -> Self {
        Self { kind, fault: None }
    }

    /// Replaces the batch by the next records; false at the end. After an error nothing more can be
    /// read. The batch's memory is used again, which keeps the process from growing.
    pub fn next_batch(&mut self, path: &Path, batch: &mut Batch) -> Result<bool> {
        batch.bytes.clear();
        batch.records.clear();
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let filled = match &mut self.kind {
            Kind::Lines(lines) => lines.fill(path, batch),
            Kind::Array(array) => array.fill(path, BATCH_BYTES, batch),
            #[cfg(feature = "parquet")]
            Kind::Parquet(rows) => rows.fill(path, batch),
            #[cfg(feature = "parquet")]
            Kind::Arrow(rows) => rows.fill(batch),
        };
        match filled {
            Err(fault) if batch.records.is_empty() => return Err(fault),
            Err(fault) => self.fault = Some(fault),
            Ok(()) => {}
        }
        Ok(!batch.records.is_empty())
    }
}

/// A text file that is not one of records, decompressed if its first bytes say so.
///
/// # Errors
///
/// The file cannot be opened.
pub fn open_text(path: &Path) -> Result<Text> {
    decompressed(open_counted(path, Arc::default())?, path)
}

/// The text of a file.
pub type Text = Box<dyn BufRead + Send>;

fn open_counted(path: &Path, read_bytes: Arc<AtomicU64>) -> Result<BufReader<Counted<File>>> {
    let inner = File::open(path).map_err(|error| Error::io("open", path, error))?;
    let counted = Counted { inner, read_bytes };
    Ok(BufReader::with_capacity(BUFFER_BYTES, counted))
}

fn begins_with(input: &mut impl BufRead, path: &Path, magic: &[u8]) -> Result<bool> {
    let head = input
        .fill_buf()
        .map_err(|error| Error::io("read", path, error))?;
    Ok(head.starts_with(magic))
}

fn decompressed(mut raw: BufReader<Counted<File>>, path: &Path) -> Result<Text> {
    Ok(if begins_with(&mut raw, path, &[0x1f, 0x8b])? {
        // Of all members: two gzip files one after the other are a gzip file.
        let decoder = flate2::bufread::MultiGzDecoder::new(raw);
        Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
    } else if begins_with(&mut raw, path, &[0x28, 0xb5, 0x2f, 0xfd])? {
        let decoder = zstd::stream::read::Decoder::with_buffer(raw)
            .map_err(|error| Error::io("open", path, error))?;
        Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
    } else {
        Box::new(raw)
    })
}

/// Whether a file that begins so is one array: it begins with a bracket, and is no file of lines of which the first one is
/// damaged. A file that begins with more than a buffer of white space is read as lines.
fn is_array(head: &[u8]) -> bool {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    let mut lines = head
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty());
    let Some(first) = lines.next().and_then(|line| line.strip_prefix(b"[")) else {
        return false;
    };
    // Between two elements there is a comma.
    let goes_on = matches!(first.last(), None | Some(b',' | b'[' | b'{' | b':'));
    goes_on || lines.next().is_none_or(|second| second[0] != b'{')
}

/// Whether a text that begins so has two bytes a character: a mark says so, or every other byte of ASCII is zero.
fn is_utf16(head: &[u8]) -> bool {
    match head {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [0, second, 0, fourth, ..] => second.is_ascii() && fourth.is_ascii() && *second > 0,
        [first, 0, third, 0, ..] => first.is_ascii() && third.is_ascii() && *first > 0,
        _ => false,
    }
}

/// Lines of a JSONL file.
pub(crate) struct Lines {
    input: Text,
    line: u64,
    /// Bytes of text so far.
    read: u64,
}

impl Lines {
    fn fill(&mut self, path: &Path, batch: &mut Batch) -> Result<()> {
        while batch.bytes.len() < BATCH_BYTES {
            let start = batch.bytes.len();
            let next = next_line(&mut self.input, &mut batch.bytes).map_err(|error| {
                let place = Place::Line(self.line + 1);
                rest_not_read(self.read, path, place, error)
            })?;
            if next == NextLine::None {
                return Ok(());
            }
            self.line += 1;
            self.read += match next {
                NextLine::TooLong(bytes) => bytes + 1,
                _ => (batch.bytes.len() - start) as u64 + 1,
            };
            let place = Place::Line(self.line);
            if let NextLine::TooLong(bytes) = next {
                let limit = MAX_LINE_BYTES;
                let refused = RawRecord {
                    bytes: start..batch.bytes.len(),
                    fault: Some(Error::RecordTooLong { bytes, limit }),
                };
                batch.records.push((place, refused));
                continue;
            }
            let line = &batch.bytes[start..];
            let skip = match self.line {
                1 if line.starts_with(BYTE_ORDER_MARK) => BYTE_ORDER_MARK.len(),
                _ => 0,
            };
            if line.trim_ascii().is_empty() {
                batch.bytes.truncate(start);
            } else {
                let range = start + skip..batch.bytes.len();
                batch.records.push((place, RawRecord::whole(range)));
            }
        }
        Ok(())
    }
}

/// The fault of a file that cannot be read beyond a place.
pub(super) fn rest_not_read(read: u64, path: &Path, place: Place, error: std::io::Error) -> Error {
    let fault = Box::new(Error::io("read", path, error));
    Error::RestNotRead { read, fault }.at(path, place)
}

/// Counts the bytes that pass.
struct Counted<R> {
    inner: R,
    read_bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read_bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
