//! Problems from files, with every record that is none named at once.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;
use ultrainteract::formats::parse_json;
use ultrainteract::input::{self, Location};

use super::{Problem, flat};
use crate::{Error, Result};

/// A record of a problem file that is no problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadProblem {
    /// File and place; written as `row 3 of problems.jsonl`.
    pub location: Location,
    /// The record as it stands in the file; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// All that is wrong with it, and what to do.
    pub reason: String,
}

/// What problem files hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProblemFiles {
    /// The problems, in the order of the files.
    pub problems: Vec<Problem>,
    /// Where each of them stands.
    pub locations: Vec<Location>,
    /// The records that are none, in the order of the files.
    pub bad: Vec<BadProblem>,
}

/// Reads problems: JSONL, a JSON array, or Parquet with the feature of `ultrainteract`; compressed or not.
///
/// ```
/// use ultrainteract_synth::read_problems;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("problems.jsonl");
/// std::fs::write(&path, r#"{"id": "a", "task": "Logic", "instruction": "Is it?", "answer": "yes"}"#)?;
/// assert_eq!(read_problems(&[path])?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::BadProblems`] with all records that are no problems, or whose id another one has; [`Error::NoProblems`] for a file
/// without records; and when a file cannot be read.
pub fn read_problems(files: &[PathBuf]) -> Result<Vec<Problem>> {
    let ProblemFiles { problems, bad, .. } = read(files)?;
    match bad.is_empty() {
        true => Ok(problems),
        false => Err(Error::BadProblems { bad }),
    }
}

/// As [`read_problems`], but records that are no problems are handed back beside those that are. Of problems with the same id
/// the first is kept.
///
/// # Errors
///
/// [`Error::NoProblems`] for a file without records; [`Error::BadProblems`] if no record is a problem; and when a file cannot be
/// read to its end.
pub fn read_problems_skipping(files: &[PathBuf]) -> Result<ProblemFiles> {
    let read = read(files)?;
    match read.problems.is_empty() {
        true => Err(Error::BadProblems { bad: read.bad }),
        false => Ok(read),
    }
}

fn read(files: &[PathBuf]) -> Result<ProblemFiles> {
    if files.is_empty() {
        return Err(Error::NoProblems {
            what: "problems".to_owned(),
            remedy: "name a file".to_owned(),
        });
    }
    let mut found = ProblemFiles::default();
    let mut ids: HashMap<String, Location> = HashMap::new();
    for file in files {
        refuse_csv(file)?;
        let mut records = 0_usize;
        for record in input::read(vec![file.clone()], parse) {
            records += 1;
            match record {
                Ok(located) => {
                    let location = located.location;
                    let Record { text, problem } = located.value;
                    let different = problem.and_then(|problem| match ids.get(&problem.id) {
                        None => Ok(problem),
                        Some(first) => Err(format!(
                            "`id` is `{}`, which {first} has already; give every problem its own",
                            problem.id
                        )),
                    });
                    match different {
                        Ok(problem) => {
                            ids.insert(problem.id.clone(), location.clone());
                            found.locations.push(location);
                            found.problems.push(problem);
                        }
                        Err(reason) => found.bad.push(BadProblem {
                            location,
                            text,
                            reason,
                        }),
                    }
                }
                Err(rejected) => match rejected.place {
                    Some(place) if !rejected.is_unread() => found.bad.push(BadProblem {
                        location: Location {
                            file: rejected.file,
                            place,
                        },
                        text: String::from_utf8_lossy(&rejected.record).into_owned(),
                        reason: rejected.error.fault().to_string(),
                    }),
                    _ => return Err(rejected.error.into()),
                },
            }
        }
        if records == 0 {
            return Err(Error::NoProblems {
                what: file.display().to_string(),
                remedy: "write one JSON object a line, with `id`, `task`, `instruction` and what is right"
                    .to_owned(),
            });
        }
    }
    Ok(found)
}

/// A record that is JSON.
struct Record {
    /// As it stands in the file.
    text: String,
    /// Its problem, or all that is wrong with it.
    problem: Result<Problem, String>,
}

fn parse(record: &[u8]) -> ultrainteract::Result<Record> {
    let fields = parse_json::<flat::Fields>(record)?;
    Ok(Record {
        text: String::from_utf8_lossy(record).into_owned(),
        problem: fields.problem().map_err(|faults| faults.join("; ")),
    })
}

fn refuse_csv(file: &std::path::Path) -> Result<()> {
    let name = file.to_string_lossy().to_lowercase();
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    match name.ends_with(".csv") || name.ends_with(".tsv") {
        true => Err(Error::import(
            file.display(),
            "a table does not say which column is what; convert it first, naming columns as in \
             `instruction=question,answer=final`",
        )),
        false => Ok(()),
    }
}

/// The records that are no problems, one a line.
pub(crate) fn listed(bad: &[BadProblem]) -> String {
    /// Beyond these, counts do.
    const MOST: usize = 1000;
    let mut text = match bad.len() {
        1 => "a record is no problem".to_owned(),
        count => format!("{count} records are no problems"),
    };
    text += "; repair what is named, or leave them out with --skip-invalid:";
    for BadProblem {
        location, reason, ..
    } in bad.iter().take(MOST)
    {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {location}: {reason}");
    }
    if bad.len() > MOST {
        let _ = write!(text, "\n  and {} more", bad.len() - MOST);
    }
    text
}
