//! Problems from published data sets: rows written for these tests, in the shapes that are published.

mod any_rows;
mod columns;
mod mathematics;
mod others;
mod programs;
mod published;

use std::path::PathBuf;

use tempfile::TempDir;
use ultrainteract_synth::sources::{ImportOptions, Origin, Source, Summary, import};
use ultrainteract_synth::{Problem, Result};

/// Files of a test.
pub struct Files(TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn add(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
}

pub fn try_import(
    origin: &Origin,
    file: PathBuf,
    options: &ImportOptions,
) -> Result<(Vec<Problem>, Summary)> {
    let mut problems = Vec::new();
    let summary = import(origin, &[file], options, &mut |problem| {
        problems.push(problem);
        Ok(())
    })?;
    assert_eq!(summary.problems, problems.len());
    Ok((problems, summary))
}

/// The problems of a file with this content, and what was left out of it, a line each.
pub fn imported(source: Source, name: &str, content: &str) -> (Vec<Problem>, Vec<String>) {
    with_options(source, name, content, &ImportOptions::default())
}

pub fn with_options(
    source: Source,
    name: &str,
    content: &str,
    options: &ImportOptions,
) -> (Vec<Problem>, Vec<String>) {
    let files = Files::new();
    let path = files.add(name, content);
    let (problems, summary) = try_import(&Origin::Source(source), path, options).unwrap();
    let left_out = summary.left_out.iter().map(ToString::to_string).collect();
    (problems, left_out)
}

/// One line for each value.
pub fn lines(rows: &[serde_json::Value]) -> String {
    rows.iter().map(|row| row.to_string() + "\n").collect()
}
