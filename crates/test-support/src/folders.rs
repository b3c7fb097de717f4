//! Where files that are not in the repository lie.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use crate::skip;

/// The root of the workspace. Tests run in the folder of their package, users type paths from the root.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder of golden values: `EURUS_GOLDEN_DIR`, or `../shared/golden` from the workspace root.
///
/// `None`, said on standard error, when there is none.
///
/// # Panics
///
/// When the variable names no folder: a typing error must not look like a success.
pub fn golden() -> Option<PathBuf> {
    given_or_beside("EURUS_GOLDEN_DIR", "golden", "golden values")
}

/// A file in the folder of golden values.
///
/// `None`, said on standard error, when the folder or the file is not there.
///
/// # Panics
///
/// When the folder was named, and has no such file.
pub fn golden_file(name: &str) -> Option<PathBuf> {
    let file = golden()?.join(name);
    if file.is_file() {
        return Some(file);
    }
    let is_named = from_environment("EURUS_GOLDEN_DIR").is_some();
    assert!(!is_named, "EURUS_GOLDEN_DIR has no {name}");
    skip(format_args!("no golden values {}", file.display()));
    None
}

/// The rows of a file in the folder of golden values, one a line.
///
/// `None`, said on standard error, when the folder or the file is not there.
///
/// # Panics
///
/// When the folder was named, and has no such file; when there is no row, or one that cannot be read.
pub fn golden_rows<T, E: Display>(
    name: &str,
    read: impl Fn(&str) -> Result<T, E>,
) -> Option<Vec<T>> {
    let text = fs::read_to_string(golden_file(name)?).expect("golden values can be read");
    let rows: Vec<T> = text
        .lines()
        .enumerate()
        .map(|(index, line)| {
            read(line).unwrap_or_else(|error| panic!("{name}:{}: {error}", index + 1))
        })
        .collect();
    assert!(!rows.is_empty(), "{name} has rows");
    Some(rows)
}

/// The folder of published rows: `EURUS_DATA_DIR`, or `../shared/data` from the workspace root.
///
/// `None`, said on standard error, when there is none.
///
/// # Panics
///
/// When the variable names no folder.
pub fn data() -> Option<PathBuf> {
    given_or_beside("EURUS_DATA_DIR", "data", "published rows")
}

/// The folder of the programs that draw workloads: `EURUS_BENCH_DIR`, or `../shared/bench` from the workspace root.
///
/// `None`, said on standard error, when there is none.
///
/// # Panics
///
/// When the variable names no folder.
pub fn bench() -> Option<PathBuf> {
    given_or_beside("EURUS_BENCH_DIR", "bench", "generator of workloads")
}

fn given_or_beside(variable: &str, name: &str, what: &str) -> Option<PathBuf> {
    from_environment(variable).or_else(|| {
        let default = workspace().join("../shared").join(name);
        if default.is_dir() {
            return Some(default);
        }
        skip_without(variable, what);
        None
    })
}

/// The folder that a variable names, or `None`, said on standard error, when it is not set.
///
/// # Panics
///
/// When the variable names no folder.
pub fn named_by(variable: &str, what: &str) -> Option<PathBuf> {
    let folder = from_environment(variable);
    if folder.is_none() {
        skip_without(variable, what);
    }
    folder
}

/// Relative paths count from the workspace root.
fn from_environment(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).filter(|value| !value.is_empty())?;
    let folder = workspace().join(&path);
    assert!(
        folder.is_dir(),
        "{variable} is {}, which is no folder; relative paths count from the workspace root",
        Path::new(&path).display()
    );
    Some(folder)
}

fn skip_without(variable: &str, what: &str) {
    skip(format_args!(
        "no {what}; set {variable} to the folder to run this test"
    ));
}
