//! What files and folders are told apart by: SHA-256 as text, two digits a byte.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Bytes of a file that are read at a time.
const PART: usize = 1 << 20;
/// What decides what a checkpoint folder is; all else in it tells how it came about.
const OF_MODEL: [&str; 4] = ["safetensors", "json", "jinja", "model"];
/// Files of a checkpoint folder that tell how it came about.
const NOT_OF_MODEL: [&str; 2] = ["run.json", "summary.json"];

fn text(hash: Sha256) -> String {
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn of_file(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut part = vec![0; PART];
    loop {
        match file.read(&mut part) {
            Ok(0) => return Ok(text(hash)),
            Ok(count) => hash.update(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The digest of some files, by their names and contents. The order does not matter.
pub(crate) fn of_files(paths: &[PathBuf]) -> io::Result<String> {
    let mut lines = Vec::new();
    for path in paths {
        let sum = of_file(path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        lines.push(format!("{sum} {name}\n"));
    }
    lines.sort_unstable();
    let mut hash = Sha256::new();
    lines.iter().for_each(|line| hash.update(line.as_bytes()));
    Ok(text(hash))
}

/// The digest of a file, of what decides what a checkpoint is, or of all files in another folder and the folders in it.
pub(crate) fn of_path(path: &Path) -> io::Result<String> {
    if !path.is_dir() {
        return of_files(&[path.to_owned()]);
    }
    let mut files = Vec::new();
    if path.join("config.json").is_file() {
        for entry in fs::read_dir(path)? {
            let path = entry?.path();
            let is = |names: &[&str], part: Option<&std::ffi::OsStr>| {
                part.is_some_and(|it| names.iter().any(|name| it == *name))
            };
            if is(&OF_MODEL, path.extension()) && !is(&NOT_OF_MODEL, path.file_name()) {
                files.push(path);
            }
        }
    } else {
        within(path, &mut files)?;
    }
    of_files(&files)
}

fn within(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => within(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}
