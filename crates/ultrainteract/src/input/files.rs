//! Names and patterns to files.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The files that paths and patterns (`data/*.jsonl.gz`, `shards/**/part-?.parquet`) name, in the
/// order given; those of one pattern by name. A path that exists is taken as it is, whatever
/// characters are in it. A file that two patterns name comes once.
///
/// # Errors
///
/// A path that does not exist or is a folder, or a pattern that is malformed or matches nothing.
pub fn expand<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for pattern in patterns {
        for file in matches(pattern.as_ref())? {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

fn matches(pattern: &str) -> Result<Vec<PathBuf>> {
    let path = Path::new(pattern);
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let unusable = |reason: String| Error::Pattern {
        pattern: pattern.to_string(),
        reason,
    };
    if path.is_dir() {
        return Err(unusable(
            "is a folder; name its files, for example with `*.jsonl`".to_string(),
        ));
    }
    if !pattern.contains(['*', '?', '[']) {
        return Err(unusable("does not exist".to_string()));
    }
    let found = glob::glob(pattern).map_err(|error| unusable(error.to_string()))?;
    let mut files = Vec::new();
    for entry in found {
        let file = entry.map_err(|error| {
            let path = error.path().to_path_buf();
            Error::io("read", &path, error.into())
        })?;
        if file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(unusable("matches no file".to_string()));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_sorted_and_files_come_once() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.jsonl", "a.jsonl", "c.txt", "odd[1].jsonl"] {
            std::fs::write(folder.path().join(name), "").expect("a file");
        }
        let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let files = expand([at("b.jsonl"), at("?.jsonl"), at("odd[1].jsonl")]).expect("files");
        let names: Vec<_> = files
            .iter()
            .filter_map(|file| file.file_name()?.to_str())
            .collect();
        assert_eq!(names, ["b.jsonl", "a.jsonl", "odd[1].jsonl"]);
        for bad in ["d.jsonl", "*.csv", "", "[*"] {
            assert!(
                matches!(expand([at(bad)]), Err(Error::Pattern { .. })),
                "{bad}"
            );
        }
    }
}
