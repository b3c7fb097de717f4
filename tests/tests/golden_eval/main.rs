//! The graders against the verdicts of the code that the paper's authors released.
//!
//! Every file `eval/*.jsonl` or `eval/*.jsonl.gz` in the folder of golden values is checked, whatever its name: each row
//! names its grader, and a grader that nobody here knows fails the test. With `--nocapture` agreement is printed for each
//! grader, with every row that differs. Without golden values the test says so and passes.

#![allow(clippy::print_stdout, reason = "the agreement is the result")]

mod code;
mod family;
mod ifeval;
mod matching;
mod math;
mod mint;
mod prompts;
mod reranking;
mod reward_benches;
mod theorem_qa;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use test_support::folders;

use self::family::{Judged, golden_graders};

/// Of the rows of a grader so many must agree.
const AGREEMENT: f64 = 0.995;

#[test]
fn golden_answers_are_graded_as_the_released_code_grades_them() {
    let Some(golden) = folders::golden() else {
        return;
    };
    let rows = golden_rows(&golden.join("eval")).expect("golden values can be read");
    assert!(!rows.is_empty(), "{}: no golden verdicts", golden.display());
    let graders = golden_graders();
    let mut failures = Vec::new();
    for (name, rows) in &rows {
        let Some(grader) = graders.iter().find(|grader| grader.name == name) else {
            failures.push(format!(
                "nobody here knows the grader `{name}` ({} rows)",
                rows.len()
            ));
            continue;
        };
        let mut differ = Vec::new();
        for row in rows {
            match (grader.judge)(row) {
                Ok(Judged::Agrees) => {}
                Ok(Judged::Differs(how)) => differ.push((id(row), how)),
                Err(error) => differ.push((id(row), format!("{error:#}"))),
            }
        }
        let share = 1.0 - differ.len() as f64 / rows.len() as f64;
        println!("{:6.2} % of {:4} {name}", 100.0 * share, rows.len());
        for (id, how) in &differ {
            println!("         {id}: {how}");
        }
        if share < grader.least.unwrap_or(AGREEMENT) {
            failures.push(format!(
                "{name}: {} of {} rows differ",
                differ.len(),
                rows.len()
            ));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn id(row: &Value) -> &str {
    row["id"].as_str().unwrap_or("a row without id")
}

/// All rows, by the name of their grader.
fn golden_rows(folder: &Path) -> Result<BTreeMap<String, Vec<Value>>> {
    let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        let name = path.to_string_lossy();
        let file = || File::open(&path).with_context(|| path.display().to_string());
        let reader: Box<dyn Read> = if name.ends_with(".jsonl.gz") {
            Box::new(MultiGzDecoder::new(file()?))
        } else if name.ends_with(".jsonl") {
            Box::new(file()?)
        } else {
            continue;
        };
        for (index, line) in BufReader::new(reader).lines().enumerate() {
            let place = || format!("{}:{}", path.display(), index + 1);
            let row: Value =
                serde_json::from_str(&line.with_context(place)?).with_context(place)?;
            let grader = row["grader"].as_str().with_context(place)?;
            rows.entry(grader.to_owned()).or_default().push(row);
        }
    }
    Ok(rows)
}
