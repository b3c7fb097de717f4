//! Where files that are not in the repository lie.

use std::io::Write;
use std::path::{Path, PathBuf};

/// The root of the workspace. Tests run in the folder of their package, users type paths from the root.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
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
        skip(variable, what);
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
        skip(variable, what);
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

/// Says that a test is skipped. Written to the stream itself, because the test harness swallows what a passing test
/// prints.
fn skip(variable: &str, what: &str) {
    let line = format!("\nSKIPPED: no {what}; set {variable} to the folder to run this test\n");
    // A closed stream is no reason to fail.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
