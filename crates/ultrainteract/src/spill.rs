//! Equal keys among any number of them, in bounded memory: sorted runs on disk, merged at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Seek, SeekFrom, Write};

use crate::{Error, Result};

/// Entries in memory before they are sorted and written: 128 KiB.
const RUN_ENTRIES: usize = 1 << 13;

/// Entries of one run in memory while runs are merged.
const READ_ENTRIES: usize = 256;

const ENTRY_BYTES: usize = 16;

/// A hash of a key and what belongs to it.
type Entry = (u64, u64);

/// The 64-bit hash that stands for a key. Two of a million different keys share one with a
/// probability of 3 in 10^8.
pub(crate) fn key_hash(key: &(impl Hash + ?Sized)) -> u64 {
    // Its keys are fixed, unlike those of a `HashMap`: partitions come in the same order in every
    // run.
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Takes keys in any order and gives them back sorted.
#[derive(Debug, Default)]
pub(crate) struct Spill {
    entries: Vec<Entry>,
    file: Option<File>,
    /// Entries of each run in the file, one run after the other.
    runs: Vec<usize>,
}

impl Spill {
    pub fn push(&mut self, key: u64, payload: u64) -> Result<()> {
        self.entries.push((key, payload));
        if self.entries.len() < RUN_ENTRIES {
            return Ok(());
        }
        self.write_run()
    }

    fn write_run(&mut self) -> Result<()> {
        self.entries.sort_unstable();
        let mut bytes = Vec::with_capacity(self.entries.len() * ENTRY_BYTES);
        for (key, payload) in &self.entries {
            bytes.extend_from_slice(&key.to_le_bytes());
            bytes.extend_from_slice(&payload.to_le_bytes());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile().map_err(Error::temporary)?),
        };
        file.write_all(&bytes).map_err(Error::temporary)?;
        self.runs.push(self.entries.len());
        self.entries.clear();
        Ok(())
    }

    /// All entries in the order of their keys, equal keys in the order of their payloads.
    pub fn finish(mut self) -> Result<Sorted> {
        self.entries.sort_unstable();
        let mut offset = 0;
        let runs = self.runs.iter().map(|&entries| {
            let start = offset;
            offset += (entries * ENTRY_BYTES) as u64;
            Run {
                next_byte: start,
                end_byte: offset,
                buffer: Vec::new().into_iter(),
            }
        });
        let mut sorted = Sorted {
            runs: runs.collect(),
            file: self.file,
            heap: BinaryHeap::new(),
        };
        sorted.runs.push(Run {
            next_byte: 0,
            end_byte: 0,
            buffer: self.entries.into_iter(),
        });
        for run in 0..sorted.runs.len() {
            sorted.advance(run)?;
        }
        Ok(sorted)
    }
}

#[derive(Debug)]
struct Run {
    next_byte: u64,
    end_byte: u64,
    buffer: std::vec::IntoIter<Entry>,
}

/// Entries in order, merged from the runs.
#[derive(Debug)]
pub(crate) struct Sorted {
    runs: Vec<Run>,
    file: Option<File>,
    heap: BinaryHeap<Reverse<(Entry, usize)>>,
}

impl Sorted {
    /// Moves the next entry of a run to the heap.
    fn advance(&mut self, index: usize) -> Result<()> {
        let run = &mut self.runs[index];
        if run.buffer.as_slice().is_empty()
            && run.next_byte < run.end_byte
            && let Some(file) = &mut self.file
        {
            let left = run.end_byte - run.next_byte;
            let mut bytes = vec![0; left.min((READ_ENTRIES * ENTRY_BYTES) as u64) as usize];
            file.seek(SeekFrom::Start(run.next_byte))
                .map_err(Error::temporary)?;
            file.read_exact(&mut bytes).map_err(Error::temporary)?;
            run.next_byte += bytes.len() as u64;
            let number = |bytes: &[u8]| {
                bytes
                    .iter()
                    .rev()
                    .fold(0, |sum, &byte| (sum << 8) | u64::from(byte))
            };
            let entries: Vec<Entry> = bytes
                .chunks_exact(ENTRY_BYTES)
                .map(|entry| (number(&entry[..8]), number(&entry[8..])))
                .collect();
            run.buffer = entries.into_iter();
        }
        if let Some(entry) = run.buffer.next() {
            self.heap.push(Reverse((entry, index)));
        }
        Ok(())
    }

    /// The next entry.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        let Some(Reverse((entry, run))) = self.heap.pop() else {
            return Ok(None);
        };
        self.advance(run)?;
        Ok(Some(entry))
    }

    /// Calls `each` with the key and the payloads of every key that comes more than once.
    pub fn repeated(mut self, mut each: impl FnMut(u64, &[u64])) -> Result<()> {
        let mut group: (u64, Vec<u64>) = (0, Vec::new());
        while let Some((key, payload)) = self.next()? {
            if group.0 != key {
                if group.1.len() > 1 {
                    each(group.0, &group.1);
                }
                group = (key, Vec::new());
            }
            group.1.push(payload);
        }
        if group.1.len() > 1 {
            each(group.0, &group.1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn many_runs_come_back_sorted() {
        let mut spill = Spill::default();
        let count = 5 * RUN_ENTRIES as u64 / 2;
        for number in 0..count {
            spill
                .push(key_hash(&(number % 100_000)), number)
                .expect("a disk");
        }
        let mut sorted = spill.finish().expect("a disk");
        let (mut last, mut seen) = ((0, 0), 0);
        while let Some(entry) = sorted.next().expect("a disk") {
            assert!(entry >= last);
            (last, seen) = (entry, seen + 1);
        }
        assert_eq!(seen, count);
    }

    proptest! {
        #[test]
        fn repeated_keys_are_those_that_come_twice(keys in prop::collection::vec(0u64..20, 0..60)) {
            let mut spill = Spill::default();
            for (index, &key) in keys.iter().enumerate() {
                spill.push(key, index as u64).unwrap();
            }
            let mut found = Vec::new();
            spill.finish().unwrap().repeated(|key, places| found.push((key, places.to_vec()))).unwrap();
            let expected: Vec<_> = (0..20)
                .map(|key| (key, (0..keys.len() as u64).filter(|&index| keys[index as usize] == key).collect::<Vec<_>>()))
                .filter(|(_, places)| places.len() > 1)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
