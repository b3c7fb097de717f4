//! Files out: any format, JSONL or Parquet, compressed or not, whole or not at all.
//!
//! The name says the rest: `.gz` and `.zst` are compressed JSONL, `.parquet` is Parquet (with the
//! feature `parquet`), everything else is JSONL.
//!
//! ```
//! use ultrainteract::formats::Format;
//! use ultrainteract::output::Output;
//! use ultrainteract::{PreferenceTree, Task, example::Example};
//!
//! let folder = tempfile::tempdir().unwrap();
//! let mut out = Output::create(folder.path().join("trees.jsonl.zst"), Format::Tree)?;
//! let tree = PreferenceTree::new("p1", Task::MathCot, "toy", "What is 1 + 1?")?;
//! out.write(&Example::Tree(Box::new(tree)))?;
//! assert_eq!(out.finish()?, 1);
//! # Ok::<(), ultrainteract::Error>(())
//! ```

#[cfg(feature = "parquet")]
mod parquet;
mod text;

use std::path::Path;

pub use text::Sealed;
pub(crate) use text::TextFile;

use crate::example::Example;
use crate::formats::Format;
use crate::{Error, Result};

/// Writes examples in one format. Nothing has the file's name before [`finish`](Self::finish), and
/// an output that is dropped leaves nothing behind.
#[derive(Debug)]
pub struct Output {
    format: Format,
    sink: Sink,
    rows: usize,
    lines: Vec<u8>,
}

#[derive(Debug)]
enum Sink {
    Text(Box<TextFile>),
    #[cfg(feature = "parquet")]
    Parquet(Box<parquet::ParquetFile>),
}

impl Output {
    /// Starts a file. Its folder must exist.
    ///
    /// # Errors
    ///
    /// The folder cannot be written to, or the format does not go into such a file.
    pub fn create(path: impl AsRef<Path>, format: Format) -> Result<Self> {
        let path = path.as_ref();
        let sink = match path.extension() {
            Some(extension) if extension == "parquet" => parquet_sink(path, format)?,
            _ => Sink::Text(Box::new(TextFile::create(path)?)),
        };
        Ok(Self {
            format,
            sink,
            rows: 0,
            lines: Vec::new(),
        })
    }

    /// The format that is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The hidden file that is written until [`finish`](Self::finish) gives it its name; for
    /// programs that end without dropping this.
    pub fn temporary(&self) -> &Path {
        match &self.sink {
            Sink::Text(file) => file.temporary(),
            #[cfg(feature = "parquet")]
            Sink::Parquet(file) => file.temporary(),
        }
    }

    /// Adds an example, which may be several rows, and returns their number.
    ///
    /// # Errors
    ///
    /// The format cannot hold it, or the disk refuses.
    pub fn write(&mut self, example: &Example) -> Result<usize> {
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        let written = self
            .format
            .encode(example, &mut lines)
            .and_then(|rows| self.write_lines(&lines, rows).map(|()| rows));
        self.lines = lines;
        written
    }

    /// Adds rows that [`Format::encode`] made, for callers that encode on other threads.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub fn write_lines(&mut self, lines: &[u8], rows: usize) -> Result<()> {
        match &mut self.sink {
            Sink::Text(file) => file.write(lines)?,
            #[cfg(feature = "parquet")]
            Sink::Parquet(file) => file.write(lines)?,
        }
        self.rows += rows;
        Ok(())
    }

    /// Gives the file its name, replacing one that is there, and returns the number of rows.
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
        let sealed = match self.sink {
            Sink::Text(file) => file.seal()?,
            #[cfg(feature = "parquet")]
            Sink::Parquet(file) => file.seal()?,
        };
        Ok(sealed.with_rows(self.rows))
    }
}

#[cfg(feature = "parquet")]
fn parquet_sink(path: &Path, format: Format) -> Result<Sink> {
    parquet::ParquetFile::create(path, format).map(|file| Sink::Parquet(Box::new(file)))
}

#[cfg(not(feature = "parquet"))]
fn parquet_sink(path: &Path, _: Format) -> Result<Sink> {
    Err(Error::Table {
        kind: "Parquet",
        action: "write",
        file: path.to_path_buf(),
        place: String::new(),
        message: "this build does not write Parquet; enable the feature `parquet`".to_string(),
    })
}

#[cfg(feature = "parquet")]
pub(crate) fn no_parquet(path: &Path, format: Format) -> Error {
    Error::Table {
        kind: "Parquet",
        action: "write",
        file: path.to_path_buf(),
        place: String::new(),
        message: format!(
            "`{format}` has fields of no fixed type; write it as JSONL, which `.zst` makes as small"
        ),
    }
}
