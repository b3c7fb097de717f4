//! Trees of files, whatever the number of rows: the rows of a problem are brought together without
//! all rows in memory.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;
use serde::Deserialize;

use super::{Rebuilder, Split};
use crate::formats::{Format, PairRow};
use crate::input::{self, Located, Location, Parsed, Place, ReadBytes, Records, Rejected};
use crate::spill::{Spill, key_hash};
use crate::validate::Limits;
use crate::{Error, PreferenceTree, Result};

/// Problems whose trees are built at once, in parallel.
const BATCH_PROBLEMS: usize = 256;

/// Rows that are built at once at most, whatever the number of problems they belong to.
const BATCH_ROWS: usize = 512;

/// Bytes of rows that may be in memory at once where rows of a problem lie apart.
const PARTITION_BYTES: u64 = 32 << 20;

const MAX_PARTITIONS: u64 = 512;

/// What one problem's rows make.
#[derive(Debug, Default)]
pub struct Problem {
    /// Its trees: one, unless rows contradict each other.
    pub trees: Vec<PreferenceTree>,
    /// The rows that started another tree, with their place.
    pub splits: Vec<(Split, Location)>,
    /// Rows that no tree could take.
    pub rejected: Vec<Rejected>,
    /// The place of the first row.
    pub location: Option<Location>,
}

/// How the rows of the problems lie in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The rows of every problem follow each other, so the trees come in the files' order.
    Adjacent,
    /// The rows of some problem lie apart. They were brought together on disk, and the trees come
    /// grouped by a hash of the problem's name; the same files give the same order.
    Scattered,
}

/// Problems of files, one after the other. See [`problems`].
pub struct Problems {
    source: Rows,
    order: Order,
    limits: Limits,
    /// The first row of the next problem.
    ahead: Option<Located<PairRow>>,
    ready: std::vec::IntoIter<Problem>,
}

enum Rows {
    Streamed(Records<PairRow>),
    Grouped(Partitions),
    Trees(Records<PreferenceTree>),
}

/// Reads trees, or rebuilds them from pair rows, in bounded memory and on all cores.
///
/// Rows of a problem are usually neighbours. That is not taken for granted: the files are looked
/// through for the names of their problems first. Where the rows of a problem lie apart, all rows
/// are sorted into temporary files by a hash of that name, and each of those is rebuilt by itself
/// ([`Order::Scattered`]). Memory is a batch of rows, or one such part (about 32 MiB of rows); in
/// both cases at least the rows of the largest problem.
///
/// Records that cannot be read are in [`Problem::rejected`], and the stream goes on.
///
/// ```
/// use ultrainteract::formats::Format;
/// use ultrainteract::rebuild::{self, Order};
/// use ultrainteract::validate::Limits;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("pairs.jsonl");
/// # let row = |parent: &str, right: &str| format!(r#"{{"parent_id": "{parent}", "task": "Logic",
/// #   "trajectory": [{{"from": "user", "value": "q"}}], "chosen": "{right}", "rejected": "no"}}"#).replace('\n', "");
/// # std::fs::write(&path, [row("p", "a"), row("q", "b"), row("p", "c")].join("\n")).unwrap();
/// let problems = rebuild::problems(vec![path], Format::Pair, Limits::default())?;
/// assert_eq!(problems.order(), Order::Scattered);
/// let trees: Vec<_> = problems.flat_map(|problem| problem.trees).collect();
/// assert_eq!(trees.iter().map(|tree| tree.pairs().len()).sum::<usize>(), 3);
/// assert_eq!(trees.len(), 2);
/// # Ok::<(), ultrainteract::Error>(())
/// ```
///
/// # Errors
///
/// The format is neither [`Format::Tree`] nor [`Format::Pair`], or temporary files cannot be
/// written.
pub fn problems(files: Vec<PathBuf>, format: Format, limits: Limits) -> Result<Problems> {
    problems_counting(files, format, limits, &ReadBytes::default())
}

/// As [`problems`], adding to a count of bytes that exists already. Pair rows are read twice.
///
/// # Errors
///
/// As [`problems`].
pub fn problems_counting(
    files: Vec<PathBuf>,
    format: Format,
    limits: Limits,
    read_bytes: &ReadBytes,
) -> Result<Problems> {
    let (source, order) = match format {
        Format::Tree => (Rows::Trees(records(files, read_bytes)), Order::Adjacent),
        Format::Pair if are_adjacent(&files, read_bytes)? => {
            (Rows::Streamed(records(files, read_bytes)), Order::Adjacent)
        }
        Format::Pair => {
            let partitions = Partitions::sort(files, read_bytes)?;
            (Rows::Grouped(partitions), Order::Scattered)
        }
        other => {
            return Err(Error::NotHeld {
                format: other.as_str(),
                what: "tree",
                why: "trees come from files of trees or of pair rows".to_string(),
            });
        }
    };
    Ok(Problems {
        source,
        order,
        limits,
        ahead: None,
        ready: Vec::new().into_iter(),
    })
}

fn records<T>(files: Vec<PathBuf>, read_bytes: &ReadBytes) -> Records<T>
where
    T: crate::formats::Record + Send + 'static,
{
    input::read_counting(files, T::from_json, read_bytes.clone())
}

impl Problems {
    /// How the rows lie in the files.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Calls `map` with every problem, on all cores, and yields what it returns in the order of the
    /// problems.
    pub fn parallel_map<T, F>(self, map: F) -> ParallelMap<F, T>
    where
        T: Send,
        F: Fn(Problem) -> T + Sync,
    {
        ParallelMap {
            problems: self,
            map,
            ready: Vec::new().into_iter(),
        }
    }

    /// The next problems; empty at the end.
    fn next_batch(&mut self) -> Vec<Problem> {
        let limits = self.limits;
        match &mut self.source {
            Rows::Trees(records) => records
                .take(BATCH_PROBLEMS)
                .map(|record| of_tree(record, &limits))
                .collect(),
            Rows::Streamed(records) => {
                let mut groups: Vec<Group> = Vec::new();
                let mut rows = 0;
                while groups.len() < BATCH_PROBLEMS && rows < BATCH_ROWS {
                    let group = next_group(records, &mut self.ahead);
                    if group.rows.is_empty() && group.rejected.is_empty() {
                        break;
                    }
                    rows += group.rows.len();
                    groups.push(group);
                }
                groups
                    .into_par_iter()
                    .map(|group| group.rebuild(&limits))
                    .collect()
            }
            Rows::Grouped(partitions) => {
                let Some(groups) = partitions.next() else {
                    return Vec::new();
                };
                match groups {
                    Ok(groups) => groups
                        .into_par_iter()
                        .map(|group| group.rebuild(&limits))
                        .collect(),
                    Err(error) => vec![Problem {
                        rejected: vec![Rejected {
                            file: std::env::temp_dir().into(),
                            place: None,
                            error,
                            record: Vec::new(),
                        }],
                        ..Problem::default()
                    }],
                }
            }
        }
    }
}

impl Iterator for Problems {
    type Item = Problem;

    fn next(&mut self) -> Option<Problem> {
        loop {
            if let Some(problem) = self.ready.next() {
                return Some(problem);
            }
            let batch = self.next_batch();
            if batch.is_empty() {
                return None;
            }
            self.ready = batch.into_iter();
        }
    }
}

/// What [`Problems::parallel_map`] returns.
pub struct ParallelMap<F, T> {
    problems: Problems,
    map: F,
    ready: std::vec::IntoIter<T>,
}

impl<F, T> ParallelMap<F, T> {
    /// How the rows lie in the files.
    pub fn order(&self) -> Order {
        self.problems.order
    }
}

impl<T: Send, F: Fn(Problem) -> T + Sync> Iterator for ParallelMap<F, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            if let Some(mapped) = self.ready.next() {
                return Some(mapped);
            }
            let batch = self.problems.next_batch();
            if batch.is_empty() {
                return None;
            }
            let mapped: Vec<T> = batch.into_par_iter().map(&self.map).collect();
            self.ready = mapped.into_iter();
        }
    }
}

fn of_tree(record: Parsed<PreferenceTree>, limits: &Limits) -> Problem {
    match record {
        Err(rejected) => Problem {
            rejected: vec![*rejected],
            ..Problem::default()
        },
        Ok(Located { value, location }) if value.turns() > limits.max_turns => {
            let fault = Error::TooManyTurns {
                tree: value.id().to_string(),
                turn: value.turns(),
                max: limits.max_turns,
            };
            let record = serde_json::to_vec(&value).unwrap_or_default();
            Problem {
                rejected: vec![Rejected::new(location, fault, record)],
                ..Problem::default()
            }
        }
        Ok(Located { value, location }) => Problem {
            trees: vec![value],
            location: Some(location),
            ..Problem::default()
        },
    }
}

/// Rows of one problem.
#[derive(Debug, Default)]
struct Group {
    rows: Vec<Located<PairRow>>,
    rejected: Vec<Rejected>,
}

impl Group {
    fn rebuild(self, limits: &Limits) -> Problem {
        let mut problem = Problem {
            rejected: self.rejected,
            location: self.rows.first().map(|row| row.location.clone()),
            ..Problem::default()
        };
        let mut rebuilder = Rebuilder::limited(limits.max_turns);
        let mut locations = Vec::with_capacity(self.rows.len());
        for Located { value, location } in self.rows {
            if let Err(fault) = rebuilder.add(&value) {
                let record = serde_json::to_vec(&value).unwrap_or_default();
                problem
                    .rejected
                    .push(Rejected::new(location.clone(), fault, record));
            }
            locations.push(location);
        }
        let located = |split: &Split| (split.clone(), locations[split.row - 1].clone());
        problem.splits = rebuilder.splits().iter().map(located).collect();
        problem.trees = rebuilder.finish();
        problem
    }
}

/// The rows up to the first one of another problem, which waits in `ahead`.
fn next_group(records: &mut Records<PairRow>, ahead: &mut Option<Located<PairRow>>) -> Group {
    let mut group = Group::default();
    group.rows.extend(ahead.take());
    for record in records {
        match record {
            Err(rejected) => group.rejected.push(*rejected),
            Ok(row) => match group.rows.first() {
                Some(first) if first.value.parent_id != row.value.parent_id => {
                    *ahead = Some(row);
                    return group;
                }
                _ => group.rows.push(row),
            },
        }
    }
    group
}

/// Whether no problem's rows are interrupted by those of another.
fn are_adjacent(files: &[PathBuf], read_bytes: &ReadBytes) -> Result<bool> {
    let mut runs = Spill::default();
    let mut last = None;
    for record in input::read_counting(files.to_vec(), problem_key, read_bytes.clone()) {
        // What cannot be read here will be reported when it is read in full.
        let Ok(Located { value: key, .. }) = record else {
            continue;
        };
        if last != Some(key) {
            last = Some(key);
            runs.push(key, 0)?;
        }
    }
    let mut repeats = false;
    runs.finish()?.repeated(|_, _| repeats = true)?;
    Ok(!repeats)
}

/// The hash of a row's problem; only its name is kept of the row.
fn problem_key(record: &[u8]) -> Result<u64> {
    #[derive(Deserialize)]
    struct Name<'a> {
        #[serde(borrow)]
        parent_id: Option<std::borrow::Cow<'a, str>>,
    }
    match serde_json::from_slice(record) {
        Ok(Name {
            parent_id: Some(name),
        }) => Ok(key_hash(name.as_ref())),
        _ => PairRow::parse(record).map(|row| key_hash(row.parent_id.as_str())),
    }
}

/// Rows in temporary files, each of which has all rows of its problems.
struct Partitions {
    parts: std::vec::IntoIter<File>,
    files: Vec<Arc<std::path::Path>>,
    rejected: Vec<Rejected>,
}

impl Partitions {
    fn sort(files: Vec<PathBuf>, read_bytes: &ReadBytes) -> Result<Self> {
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
        let mut names: Vec<Arc<std::path::Path>> = Vec::new();
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

    /// The problems of the next part.
    fn next(&mut self) -> Option<Result<Vec<Group>>> {
        if !self.rejected.is_empty() {
            let rejected = std::mem::take(&mut self.rejected);
            return Some(Ok(vec![Group {
                rejected,
                ..Group::default()
            }]));
        }
        loop {
            let part = self.parts.next()?;
            match self.groups(part) {
                Ok(groups) if groups.is_empty() => {}
                other => return Some(other),
            }
        }
    }

    fn groups(&self, mut part: File) -> Result<Vec<Group>> {
        part.rewind().map_err(Error::temporary)?;
        let mut reader = BufReader::new(part);
        let mut groups: Vec<Group> = Vec::new();
        let mut by_name: std::collections::HashMap<String, usize> = Default::default();
        while let Some((file, place, row)) = read_row(&mut reader).map_err(Error::temporary)? {
            let value: PairRow = crate::formats::parse_json(&row)?;
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
