//! Rows of problems that lie apart, brought together in temporary files.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{Group, records};
use crate::formats::{PairRow, parse_json};
use crate::input::{Located, Location, Place, ReadBytes, Rejected};
use crate::spill::key_hash;
use crate::{Error, Result};

/// Bytes of rows that may be in memory at once where rows of a problem lie apart.
const PARTITION_BYTES: u64 = 32 << 20;

const MAX_PARTITIONS: u64 = 512;

/// Rows in temporary files, each of which has all rows of its problems.
#[derive(Debug)]
pub(super) struct Partitions {
    parts: std::vec::IntoIter<File>,
    files: Vec<Arc<Path>>,
    rejected: Vec<Rejected>,
}

impl Partitions {
    /// Sorts the rows of files; what cannot be read comes with the first part.
    pub fn sort(files: Vec<PathBuf>, read_bytes: &ReadBytes) -> Result<Self> {
        let bytes: u64 = files
            .iter()
            .filter_map(|file| std::fs::metadata(file).ok())
            .map(|metadata| metadata.len())
            .sum();
        // Compressed files hold several times their size.
        let count = (bytes * 4 / PARTITION_BYTES).clamp(1, MAX_PARTITIONS);
        let mut parts = (0..count)
            .map(|_| tempfile::tempfile().map(BufWriter::new))
            .collect::<Result<Vec<_>, _>>()
            .map_err(Error::temporary)?;
        let mut names: Vec<Arc<Path>> = Vec::new();
        let mut rejected = Vec::new();
        for record in records::<PairRow>(files, read_bytes) {
            match record {
                Err(refused) => rejected.push(*refused),
                Ok(Located { value, location }) => {
                    if names.last() != Some(&location.file) {
                        names.push(location.file.clone());
                    }
                    let part = key_hash(value.parent_id.as_str()) % count;
                    let row = serde_json::to_vec(&value).unwrap_or_default();
                    write_row(
                        &mut parts[part as usize],
                        names.len() - 1,
                        location.place,
                        &row,
                    )
                    .map_err(Error::temporary)?;
                }
            }
        }
        let parts = parts
            .into_iter()
            .map(|part| {
                part.into_inner()
                    .map_err(|error| Error::temporary(error.into_error()))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            parts: parts.into_iter(),
            files: names,
            rejected,
        })
    }

    /// The problems of the next part that has any; none at the end and after an error.
    pub fn next(&mut self) -> Result<Vec<Group>> {
        if !self.rejected.is_empty() {
            return Ok(vec![Group {
                rejected: std::mem::take(&mut self.rejected),
                ..Group::default()
            }]);
        }
        while let Some(part) = self.parts.next() {
            match self.groups(part) {
                Ok(groups) if groups.is_empty() => {}
                Ok(groups) => return Ok(groups),
                Err(error) => {
                    self.parts = Vec::new().into_iter();
                    return Err(error);
                }
            }
        }
        Ok(Vec::new())
    }

    fn groups(&self, mut part: File) -> Result<Vec<Group>> {
        part.rewind().map_err(Error::temporary)?;
        let mut reader = BufReader::new(part);
        let mut groups: Vec<Group> = Vec::new();
        let mut by_name: HashMap<String, usize> = HashMap::new();
        while let Some((file, place, row)) = read_row(&mut reader).map_err(Error::temporary)? {
            let value: PairRow = parse_json(&row)?;
            let index = *by_name.entry(value.parent_id.clone()).or_insert_with(|| {
                groups.push(Group::default());
                groups.len() - 1
            });
            let location = Location {
                file: self.files[file].clone(),
                place,
            };
            groups[index].rows.push(Located { value, location });
        }
        Ok(groups)
    }
}

/// A row with its file and place, as numbers of eight bytes.
fn write_row(out: &mut impl Write, file: usize, place: Place, row: &[u8]) -> std::io::Result<()> {
    let place = match place {
        Place::Line(line) => [0, line, 0],
        Place::Element(element) => [1, element, 0],
        Place::Row { group, row } => [2, group, row],
    };
    for number in [file as u64, place[0], place[1], place[2], row.len() as u64] {
        out.write_all(&number.to_le_bytes())?;
    }
    out.write_all(row)
}

type StoredRow = (usize, Place, Vec<u8>);

fn read_row(input: &mut impl Read) -> std::io::Result<Option<StoredRow>> {
    let mut head = [0; 40];
    match input.read_exact(&mut head) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let number = |index: usize| {
        let bytes = &head[index * 8..index * 8 + 8];
        bytes
            .iter()
            .rev()
            .fold(0, |sum, &byte| (sum << 8) | u64::from(byte))
    };
    let place = match number(1) {
        0 => Place::Line(number(2)),
        1 => Place::Element(number(2)),
        _ => Place::Row {
            group: number(2),
            row: number(3),
        },
    };
    let mut row = vec![0; number(4) as usize];
    input.read_exact(&mut row)?;
    Ok(Some((number(0) as usize, place, row)))
}
