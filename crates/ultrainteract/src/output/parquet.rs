//! Rows into Parquet, with the columns of the released files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_json::ReaderBuilder;
use arrow_json::reader::Decoder;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tempfile::TempPath;

use super::{Sealed, no_parquet, text};
use crate::formats::Format;
use crate::{Error, Result};

/// Rows that become arrays at once.
const BATCH_ROWS: usize = 256;

/// Bytes of a row group in memory before it is written.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// Writes JSON lines as rows; [`finish`](Self::finish) gives the file its name.
pub(super) struct ParquetFile {
    decoder: Decoder,
    writer: ArrowWriter<File>,
    file: File,
    temporary: TempPath,
    path: PathBuf,
}

impl std::fmt::Debug for ParquetFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl ParquetFile {
    pub fn create(path: &Path, format: Format) -> Result<Self> {
        let schema = schema(format).ok_or_else(|| no_parquet(path, format))?;
        let (file, temporary) = text::temporary_beside(path)?.into_parts();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(Default::default()))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .build();
        // The writer keeps its file; the other handle is for syncing it before the rename.
        let copy = file
            .try_clone()
            .map_err(|error| Error::io("create", path, error))?;
        let decoder = ReaderBuilder::new(schema.clone())
            .with_batch_size(BATCH_ROWS)
            // What has no column, such as calls of tools, must not vanish.
            .with_strict_mode(true)
            .build_decoder()
            .map_err(|error| unwritable(path, &error))?;
        let writer = ArrowWriter::try_new(copy, schema, Some(properties))
            .map_err(|error| unwritable(path, &error))?;
        Ok(Self {
            decoder,
            writer,
            file,
            temporary,
            path: path.to_path_buf(),
        })
    }

    /// The file that is written until it gets its name.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    pub fn write(&mut self, mut lines: &[u8]) -> Result<()> {
        loop {
            // The decoder takes what fills a batch and leaves the rest.
            let taken = self
                .decoder
                .decode(lines)
                .map_err(|error| unwritable(&self.path, &error))?;
            lines = &lines[taken..];
            if lines.is_empty() {
                return Ok(());
            }
            self.flush()?;
        }
    }

    fn flush(&mut self) -> Result<()> {
        let rows = self
            .decoder
            .flush()
            .map_err(|error| unwritable(&self.path, &error))?;
        if let Some(rows) = rows {
            self.writer
                .write(&rows)
                .map_err(|error| unwritable(&self.path, &error))?;
        }
        Ok(())
    }

    pub fn seal(mut self) -> Result<Sealed> {
        self.flush()?;
        self.writer
            .close()
            .map_err(|error| unwritable(&self.path, &error))?;
        Sealed::new(&self.file, self.temporary, self.path)
    }
}

fn unwritable(path: &Path, error: &(dyn std::error::Error + 'static)) -> Error {
    // What the disk says is said as of any file.
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut causes = causes.filter_map(|error| error.downcast_ref::<std::io::Error>());
    if let Some(code) = causes.find_map(std::io::Error::raw_os_error) {
        return Error::io("write", path, std::io::Error::from_raw_os_error(code));
    }
    Error::Table {
        kind: "Parquet",
        action: "write",
        file: path.to_path_buf(),
        place: String::new(),
        message: error.to_string(),
    }
}

/// The columns of a format; `None` where a column would have no fixed type.
fn schema(format: Format) -> Option<SchemaRef> {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Float64, true);
    let messages = |name: &str, speaker: &str, said: &str| {
        let message = DataType::Struct(Fields::from(vec![text(speaker), text(said)]));
        list(name, message)
    };
    let chat = |name: &str| messages(name, "role", "content");
    let columns = match format {
        Format::Tree | Format::UltraFeedback | Format::UltraSafety => return None,
        Format::Pair => vec![
            messages("trajectory", "from", "value"),
            text("chosen"),
            text("rejected"),
        ],
        Format::Sft => vec![text("instruction"), text("response")],
        Format::UltraChat => vec![list("data", DataType::Utf8)],
        Format::ShareGpt => vec![messages("conversations", "from", "value")],
        Format::OpenOrca => vec![text("system_prompt"), text("question"), text("response")],
        Format::TrlMessages => vec![chat("messages")],
        Format::TrlCompletion => vec![text("prompt"), text("completion")],
        Format::TrlCompletionChat => vec![chat("prompt"), chat("completion")],
        Format::TrlPreference => vec![
            text("prompt"),
            text("chosen"),
            text("rejected"),
            number("score_chosen"),
            number("score_rejected"),
        ],
        Format::TrlPreferenceChat => vec![
            chat("prompt"),
            chat("chosen"),
            chat("rejected"),
            number("score_chosen"),
            number("score_rejected"),
        ],
        Format::TrlUnpaired | Format::TrlUnpairedChat => {
            let style = |name: &str| match format {
                Format::TrlUnpaired => text(name),
                _ => chat(name),
            };
            vec![
                style("prompt"),
                style("completion"),
                Field::new("label", DataType::Boolean, true),
            ]
        }
    };
    let mut fields = vec![text("task"), text("dataset")];
    fields.extend(columns);
    fields.extend([text("id"), text("parent_id")]);
    Some(Arc::new(Schema::new(fields)))
}

fn list(name: &str, item: DataType) -> Field {
    Field::new_list(name, Field::new("element", item, true), true)
}
