//! A text file that is there as a whole or not at all, compressed if its name says so.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use crate::{Error, Result};

const BUFFER_BYTES: usize = 1 << 16;

/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// A temporary file in the folder of `path`, as readable as any new file.
pub(crate) fn temporary_beside(path: &Path) -> Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".part");
    // Temporary files are private by default; the result should be as readable as any file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
        .tempfile_in(folder)
        .map_err(|error| Error::io("create", path, error))
}

/// A file that is whole on the disk, and has no name yet: for several that are to have theirs together, so that what can fail
/// for want of room is behind them. One that is dropped leaves nothing behind.
#[derive(Debug)]
pub struct Sealed {
    temporary: TempPath,
    path: PathBuf,
    rows: usize,
}

impl Sealed {
    /// Puts the whole file on the disk.
    pub(crate) fn new(file: &File, temporary: TempPath, path: PathBuf) -> Result<Self> {
        file.sync_all()
            .map_err(|error| Error::io("write", &path, error))?;
        Ok(Self {
            temporary,
            path,
            rows: 0,
        })
    }

    pub(crate) fn with_rows(self, rows: usize) -> Self {
        Self { rows, ..self }
    }

    /// Gives the file its name, replacing one that is there, and returns the number of rows.
    ///
    /// # Errors
    ///
    /// The folder refuses.
    pub fn name(self) -> Result<usize> {
        self.temporary
            .persist(&self.path)
            .map_err(|error| Error::io("rename into", &self.path, error.error))?;
        Ok(self.rows)
    }
}

/// Writes text to a temporary file, which gets its name when it is [sealed](Self::seal). One that is dropped
/// before leaves nothing behind. Names that end in `.gz` or `.zst` are compressed.
#[derive(Debug)]
pub(crate) struct TextFile {
    sink: Sink,
    temporary: TempPath,
    path: PathBuf,
}

enum Sink {
    Plain(BufWriter<File>),
    Gzip(flate2::write::GzEncoder<BufWriter<File>>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<File>>),
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Sink::Plain(_) => "Plain",
            Sink::Gzip(_) => "Gzip",
            Sink::Zstd(_) => "Zstd",
        })
    }
}

impl TextFile {
    pub fn create(path: &Path) -> Result<Self> {
        let (file, temporary) = temporary_beside(path)?.into_parts();
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        let sink = match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => {
                let level = flate2::Compression::default();
                Sink::Gzip(flate2::write::GzEncoder::new(file, level))
            }
            Some("zst") => Sink::Zstd(
                zstd::stream::write::Encoder::new(file, ZSTD_LEVEL)
                    .map_err(|error| Error::io("create", path, error))?,
            ),
            _ => Sink::Plain(file),
        };
        Ok(Self {
            sink,
            temporary,
            path: path.to_path_buf(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that is written until it gets its name.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    pub fn write(&mut self, text: &[u8]) -> Result<()> {
        match &mut self.sink {
            Sink::Plain(file) => file.write_all(text),
            Sink::Gzip(file) => file.write_all(text),
            Sink::Zstd(file) => file.write_all(text),
        }
        .map_err(|error| Error::io("write", &self.path, error))
    }

    pub fn seal(self) -> Result<Sealed> {
        let path = self.path;
        let io = |error| Error::io("write", &path, error);
        let file = match self.sink {
            Sink::Plain(file) => file,
            Sink::Gzip(file) => file.finish().map_err(io)?,
            Sink::Zstd(file) => file.finish().map_err(io)?,
        };
        let file = file.into_inner().map_err(|error| io(error.into_error()))?;
        Sealed::new(&file, self.temporary, path)
    }
}
