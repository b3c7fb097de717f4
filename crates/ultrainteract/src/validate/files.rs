//! Whole files: every record, and what only several records together can do wrong.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

use super::{Limits, record};
use crate::example::Example;
use crate::formats::Format;
use crate::input::{self, Located, Location, ReadBytes};
use crate::rebuild::{self, SplitReason};
use crate::spill::{Spill, key_hash};
use crate::{Error, Result};

/// The most repetitions that are reported one by one. Their places are held in memory.
const MAX_REPEATED: usize = 1000;

/// Counts of records and violations that [`files`] found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Records that were looked at.
    pub records: u64,
    /// Records with a violation of their own.
    pub invalid: u64,
    /// Violations, those of several records together included.
    pub violations: u64,
    /// Records with a warning.
    pub warnings: u64,
}

impl Report {
    /// Whether there is nothing wrong.
    pub fn is_valid(&self) -> bool {
        self.violations == 0
    }
}

/// What is told of a record.
#[derive(Debug)]
pub enum Finding {
    /// It breaks a rule.
    Violation(Error),
    /// It breaks none, and is hardly meant so.
    Warning(Error),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Violation(fault) => fault.fmt(f),
            Finding::Warning(doubt) => write!(f, "warning: {doubt}"),
        }
    }
}

/// Checks every record of files, and calls `tell` with every violation and warning, which has file and place.
///
/// After the records come contradictions between pair rows of a tree ([`SplitReason`]), and what is
/// there twice: ids of trees; in other formats, whole records (rows of UltraInteract may share an
/// id). Memory does not grow with the files. `read_bytes` counts what is read: pair rows three times,
/// others once, and all once more if something is there twice.
///
/// # Errors
///
/// Temporary files cannot be used.
pub fn files(
    paths: Vec<PathBuf>,
    format: Format,
    limits: Limits,
    read_bytes: &ReadBytes,
    mut tell: impl FnMut(Finding),
) -> Result<Report> {
    let mut report = Report::default();
    let mut keys = Spill::default();
    // Records that could be read, which the numbers of `keys` count.
    let mut readable = 0;
    let parse = move |bytes: &[u8]| {
        let checked = record(format, bytes, &limits);
        let key = match &checked.example {
            Some(Example::Tree(tree)) => Some(key_hash(tree.id())),
            Some(_) => Some(key_hash(bytes.trim_ascii())),
            None => None,
        };
        Ok((checked.violations, checked.warning, key))
    };
    for parsed in input::read_counting(paths.clone(), parse, read_bytes.clone()) {
        match parsed {
            Err(rejected) => {
                report.records += rejected.records();
                report.invalid += rejected.records();
                report.violations += 1;
                tell(Finding::Violation(rejected.error));
            }
            Ok(Located { value, location }) => {
                let (violations, warning, key) = value;
                if let Some(key) = key {
                    keys.push(key, readable)?;
                }
                readable += 1;
                report.records += 1;
                report.invalid += u64::from(!violations.is_empty());
                report.violations += violations.len() as u64;
                for fault in violations {
                    tell(Finding::Violation(location.locate(fault)));
                }
                if let Some(warning) = warning {
                    report.warnings += 1;
                    tell(Finding::Warning(location.locate(warning)));
                }
            }
        }
    }
    let mut each = |fault| tell(Finding::Violation(fault));
    if format == Format::Pair {
        report.violations += contradictions(paths.clone(), limits, read_bytes, &mut each)?;
    }
    report.violations += repeated(paths, format, keys, &mut each)?;
    Ok(report)
}

/// Rows that contradict others of their tree.
fn contradictions(
    paths: Vec<PathBuf>,
    limits: Limits,
    read_bytes: &ReadBytes,
    each: &mut impl FnMut(Error),
) -> Result<u64> {
    let mut count = 0;
    let problems = rebuild::problems_counting(paths, Format::Pair, limits, read_bytes)?;
    for splits in problems.parallel_map(|problem| problem.splits) {
        for (split, location) in splits? {
            count += 1;
            each(location.locate(Error::Contradicts {
                id: split.id,
                why: match split.reason {
                    SplitReason::OtherObservation => {
                        "the same action is followed by another observation"
                    }
                    SplitReason::ChosenIsExpanded => {
                        "an action is chosen in one and expanded in another"
                    }
                    SplitReason::ChosenIsRejected => {
                        "an action is chosen in one and rejected in another"
                    }
                },
            }));
        }
    }
    Ok(count)
}

/// Records that are there more than once.
fn repeated(
    paths: Vec<PathBuf>,
    format: Format,
    keys: Spill,
    each: &mut impl FnMut(Error),
) -> Result<u64> {
    // The later record and the first one.
    let mut pairs: Vec<(u64, u64)> = Vec::new();
    let mut count = 0;
    keys.finish()?.repeated(|_, records| {
        count += records.len() as u64 - 1;
        let later = records[1..].iter().map(|&record| (record, records[0]));
        let room = MAX_REPEATED.saturating_sub(pairs.len());
        pairs.extend(later.take(room));
    })?;
    if pairs.is_empty() {
        return Ok(0);
    }
    pairs.sort_unstable();
    // Where they stand is not remembered while reading, so the files are read once more.
    let mut places: HashMap<u64, Option<Location>> = HashMap::new();
    for &(later, first) in &pairs {
        places.insert(later, None);
        places.insert(first, None);
    }
    let readable = input::read(paths, |_| Ok(())).filter_map(|record| record.ok());
    for (number, record) in (0..).zip(readable) {
        if let Some(place) = places.get_mut(&number) {
            *place = Some(record.location);
        }
    }
    let at = |number: u64| places.get(&number).cloned().flatten();
    for (later, first) in pairs {
        if let (Some(later), Some(first)) = (at(later), at(first)) {
            each(later.locate(Error::Repeated {
                what: match format {
                    Format::Tree => "id",
                    _ => "record",
                },
                first,
            }));
        }
    }
    Ok(count)
}
