//! Trees of files, whatever the number of rows: the rows of a problem are brought together without
//! all rows in memory.

use std::fmt;
use std::path::PathBuf;

use rayon::prelude::*;
use serde::Deserialize;

use super::partitions::Partitions;
use super::{Rebuilder, Split};
use crate::formats::{Format, PairRow, Record};
use crate::input::{self, Located, Location, Parsed, ReadBytes, Records, Rejected};
use crate::spill::{Spill, key_hash};
use crate::validate::Limits;
use crate::{Error, PreferenceTree, Result};

/// Problems whose trees are built at once, in parallel.
const BATCH_PROBLEMS: usize = 256;

/// Rows that are built at once at most, whatever the number of problems they belong to.
const BATCH_ROWS: usize = 512;

/// The trees rebuilt from one problem's rows, with the rows that did not fit.
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
#[derive(Debug)]
pub struct Problems {
    source: Rows,
    order: Order,
    limits: Limits,
    /// The first row of the next problem.
    ahead: Option<Located<PairRow>>,
    ready: std::vec::IntoIter<Problem>,
}

#[derive(Debug)]
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
/// Records that cannot be read are in [`Problem::rejected`], and the stream goes on. An item that is
/// an error says that temporary files cannot be read, and is the last one.
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
/// let (mut trees, mut pairs) = (0, 0);
/// for problem in problems {
///     for tree in problem?.trees {
///         (trees, pairs) = (trees + 1, pairs + tree.pairs().len());
///     }
/// }
/// assert_eq!((trees, pairs), (2, 3));
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

pub(super) fn records<T: Record + Send + 'static>(
    files: Vec<PathBuf>,
    read_bytes: &ReadBytes,
) -> Records<T> {
    input::read_counting(files, T::from_json, read_bytes.clone())
}

impl Problems {
    /// How the rows lie in the files.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Calls `map` with every problem, on all cores, and yields what it returns in the order of the
    /// problems. Errors are those of [`problems`].
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
    fn next_batch(&mut self) -> Result<Vec<Problem>> {
        let limits = self.limits;
        let groups = match &mut self.source {
            Rows::Trees(records) => {
                let records = records.take(BATCH_PROBLEMS);
                return Ok(records.map(|record| of_tree(record, &limits)).collect());
            }
            Rows::Streamed(records) => next_groups(records, &mut self.ahead),
            Rows::Grouped(partitions) => partitions.next()?,
        };
        Ok(groups
            .into_par_iter()
            .map(|group| group.rebuild(&limits))
            .collect())
    }
}

impl Iterator for Problems {
    type Item = Result<Problem>;

    fn next(&mut self) -> Option<Result<Problem>> {
        if self.ready.as_slice().is_empty() {
            match self.next_batch() {
                Ok(batch) => self.ready = batch.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
        self.ready.next().map(Ok)
    }
}

/// The iterator that [`Problems::parallel_map`] returns.
pub struct ParallelMap<F, T> {
    problems: Problems,
    map: F,
    ready: std::vec::IntoIter<T>,
}

impl<F, T> fmt::Debug for ParallelMap<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParallelMap")
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}

impl<F, T> ParallelMap<F, T> {
    /// How the rows lie in the files.
    pub fn order(&self) -> Order {
        self.problems.order
    }
}

impl<T: Send, F: Fn(Problem) -> T + Sync> Iterator for ParallelMap<F, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        if self.ready.as_slice().is_empty() {
            let batch = match self.problems.next_batch() {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            };
            let mapped: Vec<T> = batch.into_par_iter().map(&self.map).collect();
            self.ready = mapped.into_iter();
        }
        self.ready.next().map(Ok)
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
pub(super) struct Group {
    pub rows: Vec<Located<PairRow>>,
    pub rejected: Vec<Rejected>,
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

/// The rows of the next problems, as many as are rebuilt at once; none at the end.
fn next_groups(records: &mut Records<PairRow>, ahead: &mut Option<Located<PairRow>>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut rows = 0;
    while groups.len() < BATCH_PROBLEMS && rows < BATCH_ROWS {
        let group = next_group(records, ahead);
        if group.rows.is_empty() && group.rejected.is_empty() {
            break;
        }
        rows += group.rows.len();
        groups.push(group);
    }
    groups
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
