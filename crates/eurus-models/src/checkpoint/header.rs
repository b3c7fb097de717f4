//! The header of one safetensors file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// Bytes before the header: its length.
const LENGTH_BYTES: u64 = 8;
/// No header is longer; the limit of the format's own reader.
const LONGEST_HEADER: u64 = 100_000_000;

/// An open safetensors file whose header has been checked against the file's length: every tensor lies inside it.
pub struct Header {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    data_start: u64,
}

impl Header {
    /// Opens a file and reads its header. Nothing is allocated that the file is not long enough for.
    pub fn read(path: PathBuf) -> Result<Self> {
        let mut file = File::open(&path).map_err(Error::io(&path, "opening"))?;
        let file_bytes = file
            .metadata()
            .map_err(Error::io(&path, "reading the length"))?
            .len();
        let damaged = |problem: String, tensor: Option<String>| Error::Safetensors {
            path: path.clone(),
            tensor,
            problem,
        };
        if file_bytes < LENGTH_BYTES {
            return Err(damaged(format!("it has {file_bytes} bytes"), None));
        }
        let mut length = [0; LENGTH_BYTES as usize];
        file.read_exact(&mut length)
            .map_err(Error::io(&path, "reading"))?;
        let header_bytes = u64::from_le_bytes(length);
        if header_bytes > LONGEST_HEADER.min(file_bytes - LENGTH_BYTES) {
            return Err(damaged(
                format!("its header claims {header_bytes} bytes, the file has {file_bytes}"),
                None,
            ));
        }
        let mut header = vec![0; header_bytes as usize];
        file.read_exact(&mut header)
            .map_err(Error::io(&path, "reading"))?;
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|error| damaged(format!("bad header: {error}"), suspect(&header)))?;

        let data_start = LENGTH_BYTES + header_bytes;
        let (there, claimed) = (file_bytes - data_start, metadata.data_len() as u64);
        if there < claimed {
            let cut = metadata.offset_keys().into_iter().find(|name| {
                metadata
                    .info(name)
                    .is_some_and(|t| t.data_offsets.1 as u64 > there)
            });
            let problem = format!("its tensors take {claimed} bytes, {there} are there");
            return Err(damaged(problem, cut));
        }
        if there > claimed {
            let problem = format!("{} bytes follow its last tensor", there - claimed);
            return Err(damaged(problem, None));
        }
        Ok(Self {
            path,
            file,
            metadata,
            data_start,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the file's tensors in the order of their data.
    pub fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// Type, shape and place of a tensor.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.metadata.info(name)
    }

    /// The file, standing so many bytes after the first one of a tensor.
    pub fn seek(&mut self, tensor: &TensorInfo, bytes: usize) -> Result<&mut File> {
        let start = self.data_start + (tensor.data_offsets.0 + bytes) as u64;
        self.file
            .seek(SeekFrom::Start(start))
            .map_err(Error::io(&self.path, "seeking"))?;
        Ok(&mut self.file)
    }

    /// A part of a tensor as it is stored.
    pub fn bytes(&mut self, tensor: &TensorInfo, start: usize, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let file = self.seek(tensor, start)?;
        file.read_exact(&mut bytes)
            .map_err(Error::io(&self.path, "reading"))?;
        Ok(bytes)
    }
}

/// The first tensor of a broken header that is wrong by itself: an unknown type, or a length that is not its shape's.
fn suspect(header: &[u8]) -> Option<String> {
    let entries: Map<String, Value> = serde_json::from_slice(header).ok()?;
    let wrong = |value: &Value| {
        let Ok(tensor) = serde_json::from_value::<TensorInfo>(value.clone()) else {
            return true;
        };
        let (start, end) = tensor.data_offsets;
        let elements = tensor
            .shape
            .iter()
            .try_fold(1usize, |product, &size| product.checked_mul(size));
        let bits = elements.and_then(|n| n.checked_mul(tensor.dtype.bitsize()));
        bits.map(|bits| bits / 8) != end.checked_sub(start)
    };
    entries
        .into_iter()
        .find(|(name, value)| name != "__metadata__" && wrong(value))
        .map(|(name, _)| name)
}
