//! The manifest of a mixture: its sources, files and checksums, seed and counts.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Amount;
use crate::example::ScoreSource;
use crate::formats::JsonlWriter;
use crate::input::Place;
use crate::output::Sealed;
use crate::{Error, Result};

/// The version of the manifest's form.
pub(super) const VERSION: u32 = 1;

/// Everything that makes one epoch of a mixture again, row by row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this form.
    pub version: u32,
    /// Name of the mixture's format.
    pub format: String,
    /// The seed.
    pub seed: u64,
    /// SHA-256 of the mixture's rows as JSON lines, whatever file they are in.
    pub sha256: String,
    /// The sources.
    pub sources: Vec<ManifestSource>,
    /// For every row of the mixture, in order: the source's position and the row's number in it.
    pub order: Vec<(u32, u64)>,
}

/// A source of a mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestSource {
    /// Its name.
    pub name: String,
    /// Its files.
    pub files: Vec<ManifestFile>,
    /// Their format.
    pub format: String,
    /// The amount that was asked for.
    pub amount: Amount,
    /// The most rows of one record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_instruction: Option<usize>,
    /// Which scores of its rankings count.
    #[serde(default, skip_serializing_if = "is_default")]
    pub score_by: ScoreSource,
    /// Rows that it has.
    pub available: u64,
    /// Records that were left out because something was wrong with them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub invalid: u64,
    /// Records that give no row, as a ranking whose answers all have one score.
    #[serde(default, skip_serializing_if = "is_default")]
    pub without_rows: u64,
    /// Records with a score that the ratings beside it contradict.
    #[serde(default, skip_serializing_if = "is_default")]
    pub doubtful: u64,
    /// Rows that were taken.
    pub taken: u64,
}

/// A file of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its path when the mixture was made.
    pub path: PathBuf,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl ManifestFile {
    /// The file as it is now.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let io = |error| Error::io("read", path, error);
        let mut file = File::open(path).map_err(io)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 18];
        loop {
            match file.read(&mut buffer).map_err(io)? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        Ok(Self {
            path: path.to_path_buf(),
            sha256: hex(&hash.finalize()),
        })
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is no manifest of this version.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(|error| Error::io("read", path, error))?;
        let manifest: Self =
            crate::formats::parse_json(&text).map_err(|fault| fault.at(path, Place::Line(1)))?;
        if manifest.version != VERSION {
            let fault = Error::Format {
                field: "version",
                found: manifest.version.to_string(),
                expected: VERSION.to_string(),
            };
            return Err(fault.at(path, Place::Line(1)));
        }
        Ok(manifest)
    }

    /// Writes the manifest as JSON on one line.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.seal(path)?.name().map(drop)
    }

    /// As [`write`](Self::write), without giving the file its name.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub fn seal(&self, path: &Path) -> Result<Sealed> {
        let mut writer = JsonlWriter::create(path)?;
        writer.write(self)?;
        writer.seal()
    }
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
