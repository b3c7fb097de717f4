//! Rows of an Arrow file, as `datasets` keeps its cache, or of Feather, which is the same with a footer.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::ArrowError;

use super::parquet::guarded;
use super::record_batches::add_rows;
use super::source::Batch;
use crate::{Error, Result};

/// How a file with a footer begins.
pub(super) const FILE: &[u8] = b"ARROW1";
/// How a stream of messages begins.
pub(super) const STREAM: &[u8] = &[0xff; 4];

/// Bytes of rows that become records at once.
const BATCH_BYTES: usize = 1 << 20;

type Tables = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// Reads one table after the other.
pub(crate) struct ArrowRows {
    path: PathBuf,
    tables: Tables,
    /// The table that is read, and how many of its rows were.
    current: Option<(RecordBatch, usize)>,
    /// Tables read so far.
    group: usize,
    read_bytes: Arc<AtomicU64>,
    /// Bytes of the file that are not told yet.
    length: u64,
}

impl ArrowRows {
    pub fn open(path: &Path, has_footer: bool, read_bytes: Arc<AtomicU64>) -> Result<Self> {
        let io = |error| Error::io("open", path, error);
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let input = BufReader::new(file);
        let tables: Tables = guarded("Arrow", path, None, || {
            Ok::<Tables, ArrowError>(match has_footer {
                true => Box::new(FileReader::try_new(input, None)?),
                false => Box::new(StreamReader::try_new(input, None)?),
            })
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            tables,
            current: None,
            group: 0,
            read_bytes,
            length,
        })
    }

    /// Adds the next rows to the batch; none at the end of the file.
    pub fn fill(&mut self, batch: &mut Batch) -> Result<()> {
        while batch.records.is_empty() {
            let Some((table, done)) = &mut self.current else {
                let (group, tables) = (self.group, &mut self.tables);
                self.current = guarded("Arrow", &self.path, Some(group), || {
                    tables.next().transpose()
                })?
                .map(|table| (table, 0));
                if self.current.is_none() {
                    // A table's share of the file is not known.
                    self.read_bytes.fetch_add(self.length, Ordering::Relaxed);
                    self.length = 0;
                    return Ok(());
                }
                self.group += 1;
                continue;
            };
            let rows = table.num_rows();
            if *done == rows {
                self.current = None;
                continue;
            }
            // A file may be one table.
            let row_bytes = table.get_array_memory_size() / rows;
            let next = (BATCH_BYTES / row_bytes.max(1)).clamp(1, rows - *done);
            let (part, mut row) = (table.slice(*done, next), *done as u64);
            *done += next;
            let group = self.group;
            guarded("Arrow", &self.path, Some(group - 1), || {
                add_rows(&part, group as u64, &mut row, batch)
            })?;
        }
        Ok(())
    }
}
