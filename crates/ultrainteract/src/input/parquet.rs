//! Rows of a Parquet file as JSON records, so that one parser per format serves both.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::RowGroupMetaData;

use super::Place;
use super::record_batches::add_rows;
use super::source::{Batch, RawRecord};
use crate::{Error, Result};

/// Bytes of rows that are decoded at once, by the sizes that the file's footer gives.
const BATCH_BYTES: u64 = 1 << 20;

/// Bytes of rows that are decoded at once, if each has all of a dictionary.
const MOST_BYTES: u64 = 64 << 20;

/// Reads one row group after the other.
pub(crate) struct ParquetRows {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
    /// The row group that is read, from 0.
    group: usize,
    row: u64,
    rows: Option<ParquetRecordBatchReader>,
    read_bytes: Arc<AtomicU64>,
}

impl ParquetRows {
    pub fn open(path: &Path, read_bytes: Arc<AtomicU64>) -> Result<Self> {
        let io = |error| Error::io("open", path, error);
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let metadata = guarded("Parquet", path, None, || {
            ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())
        })?;
        check_sizes(path, &metadata, length)?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            metadata,
            group: 0,
            row: 0,
            rows: None,
            read_bytes,
        })
    }

    /// Adds the next rows to the batch; none at the end of the file. A row group that cannot be read on is a refused record.
    pub fn fill(&mut self, path: &Path, batch: &mut Batch) -> Result<()> {
        while batch.records.is_empty() {
            let groups = self.metadata.metadata().row_groups();
            let Some(group) = groups.get(self.group) else {
                return Ok(());
            };
            let compressed = group.compressed_size().max(0) as u64;
            let rows = group.num_rows().max(0) as u64;
            let more = match self.begin(path) {
                Ok(()) => self.next_rows(batch),
                Err(fault) => Err(fault),
            };
            match more {
                Ok(true) => continue,
                Ok(false) => {}
                Err(fault) => {
                    let place = Place::Row {
                        group: self.group as u64 + 1,
                        row: self.row + 1,
                    };
                    let fault = Some(Error::RowsNotRead {
                        rows: rows.saturating_sub(self.row),
                        fault: Box::new(fault),
                    });
                    batch
                        .records
                        .push((place, RawRecord { bytes: 0..0, fault }));
                }
            }
            self.read_bytes.fetch_add(compressed, Ordering::Relaxed);
            self.rows = None;
            self.group += 1;
        }
        Ok(())
    }

    /// Begins to read the row group, if it is not begun yet.
    fn begin(&mut self, path: &Path) -> Result<()> {
        if self.rows.is_some() {
            return Ok(());
        }
        self.row = 0;
        let rows = rows_at_once(self.metadata.metadata().row_group(self.group));
        let file = self.file.try_clone();
        let file = file.map_err(|error| Error::io("read", path, error))?;
        let metadata = self.metadata.clone();
        self.rows = Some(guarded("Parquet", path, Some(self.group), || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
                .with_row_groups(vec![self.group])
                .with_batch_size(rows)
                .build()
        })?);
        Ok(())
    }

    /// The next rows of the row group; false at its end.
    fn next_rows(&mut self, batch: &mut Batch) -> Result<bool> {
        let Some(reader) = &mut self.rows else {
            return Ok(false);
        };
        let decoded = guarded("Parquet", &self.path, Some(self.group), || {
            reader.next().transpose()
        })?;
        let Some(rows) = decoded else {
            return Ok(false);
        };
        let (group, row) = (self.group as u64 + 1, &mut self.row);
        guarded("Parquet", &self.path, Some(self.group), || {
            add_rows(&rows, group, row, batch)
        })?;
        Ok(true)
    }
}

/// How many rows of a group are decoded at once, by the sizes that the footer gives.
fn rows_at_once(group: &RowGroupMetaData) -> usize {
    let rows = group.num_rows().max(1) as u64;
    let (mut bytes, mut dictionaries) = (0, 0);
    for column in group.columns() {
        let size = column.uncompressed_size().max(0) as u64;
        // A text that is stored once and meant in every row is as long in each of them.
        let decoded = column.unencoded_byte_array_data_bytes().unwrap_or(0).max(0) as u64;
        bytes = u64::saturating_add(bytes, size.max(decoded));
        if let (0, Some(start)) = (decoded, column.dictionary_page_offset()) {
            let stored = column.data_page_offset().saturating_sub(start).max(0) as u64;
            let compressed = column.compressed_size().max(1) as u64;
            let dictionary = stored as u128 * size as u128 / compressed as u128;
            let dictionary = u64::try_from(dictionary).unwrap_or(u64::MAX);
            dictionaries = u64::saturating_add(dictionaries, dictionary);
        }
    }
    let by_rows = BATCH_BYTES / (bytes / rows).max(1);
    let by_dictionary = MOST_BYTES / dictionaries.max(1);
    by_rows.min(by_dictionary).clamp(1, 1024) as usize
}

/// Refuses a footer whose sizes cannot be, before memory is set aside by them.
fn check_sizes(path: &Path, metadata: &ArrowReaderMetadata, length: u64) -> Result<()> {
    for (index, group) in metadata.metadata().row_groups().iter().enumerate() {
        let fits = |start: i64, bytes: i64| {
            start >= 0 && bytes >= 0 && (start as u64).saturating_add(bytes as u64) <= length
        };
        let columns = group.columns().iter().all(|column| {
            let start = column
                .dictionary_page_offset()
                .unwrap_or(column.data_page_offset());
            fits(start, column.compressed_size()) && column.uncompressed_size() >= 0
        });
        if group.num_rows() < 0 || group.total_byte_size() < 0 || !columns {
            let message = format!(
                "the footer promises more than the {length} bytes of the file; it is cut off or damaged"
            );
            return Err(Error::Table {
                kind: "Parquet",
                action: "read",
                file: path.to_path_buf(),
                place: place(Some(index)),
                message,
            });
        }
    }
    Ok(())
}

/// Runs a call of the library that reads tables of this kind. On a damaged file it can fail by a panic as well as by an
/// error; for the caller both are an unreadable file.
pub(super) fn guarded<T, E: std::fmt::Display>(
    kind: &'static str,
    path: &Path,
    group: Option<usize>,
    call: impl FnOnce() -> Result<T, E>,
) -> Result<T> {
    let message = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => {
            let text = error.to_string();
            text.strip_prefix("Parquet error: ")
                .unwrap_or(&text)
                .to_string()
        }
        Err(_) => "the file is damaged".to_string(),
    };
    Err(Error::Table {
        kind,
        action: "read",
        file: path.to_path_buf(),
        place: place(group),
        message,
    })
}

fn place(group: Option<usize>) -> String {
    group.map_or_else(String::new, |group| format!(", row group {},", group + 1))
}
