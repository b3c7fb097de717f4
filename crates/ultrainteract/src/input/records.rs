//! A stream of parsed records: read and parsed on other threads, in the order of the files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rayon::prelude::*;
use serde::{Serialize, Serializer};

use super::source::{Batch, RawRecord, Source};
use super::{Location, Place};
use crate::{Error, Result};

/// Parsed batches that wait for the consumer. With the one being parsed and the one being consumed
/// this bounds the memory, whatever the size of the file.
const WAITING_BATCHES: usize = 2;

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its file and place.
    pub location: Location,
}

/// A record that was refused, with its bytes, so that it can be written to a file of rejects.
#[derive(Debug)]
pub struct Rejected {
    /// The file.
    pub file: Arc<Path>,
    /// The place; none where the file as a whole cannot be read on.
    pub place: Option<Place>,
    /// The fault of the record, with file and place.
    pub error: Error,
    /// The record as it stands in the file.
    pub record: Vec<u8>,
}

impl Rejected {
    /// A record that a later check refuses.
    pub fn new(location: Location, fault: Error, record: Vec<u8>) -> Self {
        Self {
            error: location.locate(fault),
            file: location.file,
            place: Some(location.place),
            record,
        }
    }

    /// How many records it stands for: rows of a table that could not be read are refused together, and what cannot be read
    /// of a file is one.
    pub fn records(&self) -> u64 {
        match self.error.fault() {
            Error::RowsNotRead { rows, .. } => (*rows).max(1),
            _ => 1,
        }
    }
}

impl Serialize for Rejected {
    /// `{"file", "place", "reason", "record"}`; bytes that are no UTF-8 are replaced.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut line = serializer.serialize_struct("Rejected", 4)?;
        line.serialize_field("file", &self.file.to_string_lossy())?;
        line.serialize_field("place", &self.place.map(|place| place.to_string()))?;
        line.serialize_field("reason", &self.error.to_string())?;
        line.serialize_field("record", &String::from_utf8_lossy(&self.record))?;
        line.end()
    }
}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        rejected.error
    }
}

/// One record of a stream, or why there is none.
pub type Parsed<T> = Result<Located<T>, Box<Rejected>>;

/// Bytes read from disk so far, shared with the thread that reads.
#[derive(Debug, Clone, Default)]
pub struct ReadBytes(pub(crate) Arc<AtomicU64>);

impl ReadBytes {
    /// The bytes, compressed if the file is.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Records of files, parsed in parallel, yielded in order. See [`read`].
#[derive(Debug)]
pub struct Records<T> {
    batches: Receiver<Vec<Parsed<T>>>,
    current: std::vec::IntoIter<Parsed<T>>,
    read_bytes: ReadBytes,
}

impl<T> Records<T> {
    /// The count of bytes read, for a progress bar.
    pub fn read_bytes(&self) -> ReadBytes {
        self.read_bytes.clone()
    }
}

/// Reads files with any parser. A record that the parser refuses is yielded as [`Rejected`] and
/// the stream goes on; a file that cannot be read on is one as well, and the next file follows.
///
/// Memory is bounded: a few batches of about a mebibyte, or a record where one is larger.
///
/// ```
/// use ultrainteract::formats::{PairRow, Record};
/// use ultrainteract::input;
///
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("pairs.jsonl");
/// std::fs::write(&path, "{\"id\": []}\n\n{\"id\": \n").unwrap();
/// let mut rows = input::read(vec![path], PairRow::from_json);
/// let error = rows.next().unwrap().unwrap_err().error.to_string();
/// assert!(error.contains("row 1 of ") && error.contains("field `id`: invalid type"), "{error}");
/// let error = rows.next().unwrap().unwrap_err().error.to_string();
/// assert!(error.contains("row 3 of ") && error.contains("not JSON"), "{error}");
/// assert!(rows.next().is_none());
/// ```
pub fn read<T, P>(files: Vec<PathBuf>, parse: P) -> Records<T>
where
    T: Send + 'static,
    P: Fn(&[u8]) -> Result<T> + Send + Sync + 'static,
{
    read_counting(files, parse, ReadBytes::default())
}

/// As [`read`], adding to a count of bytes that exists already.
pub fn read_counting<T, P>(files: Vec<PathBuf>, parse: P, read_bytes: ReadBytes) -> Records<T>
where
    T: Send + 'static,
    P: Fn(&[u8]) -> Result<T> + Send + Sync + 'static,
{
    let (sender, batches) = sync_channel(WAITING_BATCHES);
    let counter = read_bytes.0.clone();
    std::thread::spawn(move || {
        for file in &files {
            if read_file(file, &parse, &counter, &sender).is_none() {
                return; // nobody listens any more
            }
        }
    });
    Records {
        batches,
        current: Vec::new().into_iter(),
        read_bytes,
    }
}

/// `None` if the consumer has gone.
fn read_file<T: Send>(
    path: &Path,
    parse: &(impl Fn(&[u8]) -> Result<T> + Sync),
    read_bytes: &Arc<AtomicU64>,
    sender: &SyncSender<Vec<Parsed<T>>>,
) -> Option<()> {
    let file: Arc<Path> = path.into();
    let unreadable = |error: Error| {
        let place = match &error {
            Error::InRow { place, .. } => Some(*place),
            _ => None,
        };
        vec![Err(Box::new(Rejected {
            file: file.clone(),
            place,
            error,
            record: Vec::new(),
        }))]
    };
    let mut source = match Source::open(path, read_bytes.clone()) {
        Ok(source) => source,
        Err(error) => return sender.send(unreadable(error)).ok(),
    };
    let mut batch = Batch::default();
    loop {
        match source.next_batch(path, &mut batch) {
            Ok(false) => return Some(()),
            Ok(true) => sender.send(parse_batch(&file, &mut batch, parse)).ok()?,
            Err(error) => return sender.send(unreadable(error)).ok(),
        }
    }
}

fn parse_batch<T: Send>(
    file: &Arc<Path>,
    batch: &mut Batch,
    parse: &(impl Fn(&[u8]) -> Result<T> + Sync),
) -> Vec<Parsed<T>> {
    let records = std::mem::take(&mut batch.records);
    records
        .into_par_iter()
        .map(|(place, RawRecord { bytes, fault })| {
            let record = &batch.bytes[bytes];
            let location = Location {
                file: file.clone(),
                place,
            };
            match fault.map_or_else(|| parse(record), Err) {
                Ok(value) => Ok(Located { value, location }),
                Err(fault) => Err(Box::new(Rejected::new(location, fault, record.to_vec()))),
            }
        })
        .collect()
}

impl<T> Iterator for Records<T> {
    type Item = Parsed<T>;

    fn next(&mut self) -> Option<Parsed<T>> {
        loop {
            if let Some(record) = self.current.next() {
                return Some(record);
            }
            self.current = self.batches.recv().ok()?.into_iter();
        }
    }
}

/// Shows the first records of a file, as they stand there, until `look` finds something. What cannot be read is passed over
/// if there is anything that can.
pub(crate) fn first_found<T>(
    path: &Path,
    mut look: impl FnMut(&[u8]) -> Option<T>,
) -> Result<Option<T>> {
    /// Records that are looked at.
    const MOST: usize = 1000;
    let mut source = Source::open(path, Arc::default())?;
    let mut batch = Batch::default();
    let (mut seen, mut fault) = (0, None);
    while seen < MOST {
        match source.next_batch(path, &mut batch) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                fault.get_or_insert(error);
                break;
            }
        }
        for (place, record) in std::mem::take(&mut batch.records) {
            if let Some(error) = record.fault {
                fault.get_or_insert(error.at(path, place));
                continue;
            }
            seen += 1;
            if let Some(found) = look(&batch.bytes[record.bytes]) {
                return Ok(Some(found));
            }
        }
    }
    match fault {
        Some(fault) if seen == 0 => Err(fault),
        _ => Ok(None),
    }
}
