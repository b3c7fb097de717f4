//! Where the data of a task lie: a file, a folder, or an archive.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::Task;
use super::file::Data;
use crate::graders::Rules;
use crate::{Error, Result};

/// The most that a file may hold, uncompressed.
const MOST_BYTES: u64 = 1 << 30;

/// The first bytes of what gzip wrote.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Where the data of a task are, and by which rules they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPlace {
    /// The file of the task, a folder that has it (or whose folders do), or the folder of its parts.
    pub path: PathBuf,
    /// Whose reading of the data: the released code's, or without its defects. Default `authors`.
    pub rules: Rules,
}

impl DataPlace {
    /// A file or folder, read as the released code reads it.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            rules: Rules::default(),
        }
    }

    /// Sets the rules.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }
}

/// The files of a task.
#[derive(Debug)]
pub(super) struct Files {
    /// Contents by path: from here for one file, inside the folder or archive for parts. Texts and shots are among them.
    pub contents: BTreeMap<String, Vec<u8>>,
    /// Where they are.
    pub origin: PathBuf,
    /// Whether there are parts.
    has_parts: bool,
}

impl Files {
    /// Finds and reads the files of a task.
    pub fn open(task: &Task, path: &Path) -> Result<Self> {
        let data = &task.file().data;
        let besides = || data.shots.iter().chain(data.texts.values());
        let Some(parts) = &data.parts else {
            let file = find_any(path, data).ok_or_else(|| missing(task, path))?;
            let name = file.display().to_string();
            let mut contents = BTreeMap::from([(name, read(&file)?)]);
            for name in besides() {
                let beside = find(file.parent().unwrap_or(Path::new("")), name)
                    .ok_or_else(|| missing_beside(&file, name))?;
                contents.insert(name.clone(), read(&beside)?);
            }
            if let Some(join) = &data.join
                && let Some(beside) = find(file.parent().unwrap_or(Path::new("")), &join.file)
            {
                contents.insert(join.file.clone(), read(&beside)?);
            }
            return Ok(Self {
                contents,
                origin: file,
                has_parts: false,
            });
        };
        let wanted: Vec<&str> = besides().chain([parts]).map(String::as_str).collect();
        let (origin, contents) =
            folder_or_archive(path, data, parts, &wanted)?.ok_or_else(|| missing(task, path))?;
        for name in besides() {
            if !contents.keys().any(|path| star(name, path).is_some()) {
                return Err(missing_beside(&origin, name));
            }
        }
        Ok(Self {
            contents,
            origin,
            has_parts: true,
        })
    }

    /// The files with rows, with what `*` stands for: the parts, or the one file.
    pub fn with_rows<'a>(
        &'a self,
        parts: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a str, Option<&'a str>, &'a [u8])> {
        let one = (!self.has_parts).then(|| {
            let path = self.origin.display().to_string();
            self.contents.get_key_value(&path)
        });
        let one = one.flatten().map(|(path, bytes)| (&**path, None, &**bytes));
        let parts = self.contents.iter().filter_map(move |(path, bytes)| {
            let part = star(parts?, path)?;
            Some((&**path, Some(part), &**bytes))
        });
        one.into_iter().chain(parts)
    }

    /// The file of a pattern that belongs to a part.
    pub fn of_part(&self, pattern: &str, part: Option<&str>) -> Option<(&str, &[u8])> {
        let path = match part {
            Some(part) => pattern.replacen('*', part, 1),
            None => pattern.to_owned(),
        };
        let (path, bytes) = self.contents.get_key_value(&path)?;
        Some((path, bytes))
    }

    /// The SHA-256 of all contents, by name: the same whether they were compressed or not.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for (name, bytes) in &self.contents {
            if self.has_parts {
                hash.update(name.as_bytes());
                hash.update([0]);
            }
            hash.update(bytes);
        }
        super::hex(&hash.finalize())
    }
}

/// What `*` of a pattern stands for in a path; the empty text for a pattern without one.
pub(super) fn star<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let Some((before, after)) = pattern.split_once('*') else {
        return (pattern == path).then_some("");
    };
    let part = path.strip_prefix(before)?.strip_suffix(after)?;
    (!part.is_empty() && !part.contains('/')).then_some(part)
}

/// The path itself if it is a file, or the file of the name in the folder or one of its folders, compressed or not.
fn find(path: &Path, name: &str) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_owned());
    }
    let names = [name.to_owned(), format!("{name}.gz")];
    let folders = std::iter::once(path.to_owned()).chain(folders_of(path));
    let mut files = folders.flat_map(|folder| names.clone().map(|name| folder.join(name)));
    let file = files.find(|file| file.is_file())?;
    Some(file.strip_prefix(".").map_or(file.clone(), Path::to_owned))
}

/// The file of any of the names that data may have.
fn find_any(path: &Path, data: &Data) -> Option<PathBuf> {
    let names = std::iter::once(&data.file).chain(&data.also);
    names.into_iter().find_map(|name| find(path, name))
}

fn folders_of(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

/// The wanted files of a folder (or of one of its folders), or of an archive, and where that is.
#[expect(
    clippy::type_complexity,
    reason = "said once, and named where it is taken apart"
)]
fn folder_or_archive(
    path: &Path,
    data: &Data,
    parts: &str,
    wanted: &[&str],
) -> Result<Option<(PathBuf, BTreeMap<String, Vec<u8>>)>> {
    if path.is_dir() {
        for folder in std::iter::once(path.to_owned()).chain(folders_of(path)) {
            let contents = of_folder(&folder, wanted)?;
            if contents.keys().any(|path| star(parts, path).is_some()) {
                return Ok(Some((folder, contents)));
            }
        }
    }
    let Some(file) = find_any(path, data) else {
        return Ok(None);
    };
    let contents = of_archive(&file, wanted)?;
    if !contents.keys().any(|path| star(parts, path).is_some()) {
        return Err(data_file(&file, format!("there is no {parts} in it")));
    }
    Ok(Some((file, contents)))
}

fn of_folder(folder: &Path, wanted: &[&str]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut contents = BTreeMap::new();
    for pattern in wanted {
        let (inner, _) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        let entries = fs::read_dir(folder.join(inner)).into_iter().flatten();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let name = match inner {
                "" => name,
                inner => format!("{inner}/{name}"),
            };
            let name = name.strip_suffix(".gz").unwrap_or(&name);
            if star(pattern, name).is_some() && entry.path().is_file() {
                contents.insert(name.to_owned(), read(&entry.path())?);
            }
        }
    }
    Ok(contents)
}

fn of_archive(file: &Path, wanted: &[&str]) -> Result<BTreeMap<String, Vec<u8>>> {
    let faulty = |error: std::io::Error| data_file(file, format!("is no archive: {error}"));
    let bytes = read(file)?;
    let mut archive = tar::Archive::new(Cursor::new(bytes));
    let mut contents = BTreeMap::new();
    for entry in archive.entries().map_err(faulty)? {
        let mut entry = entry.map_err(faulty)?;
        let path = entry.path().map_err(faulty)?.display().to_string();
        let path = path.strip_prefix("./").unwrap_or(&path);
        let is_wanted = |path: &&str| wanted.iter().any(|pattern| star(pattern, path).is_some());
        // Some archives have all in a folder of their name.
        let inner = path.split_once('/').map(|(_, inner)| inner);
        let found = [Some(path), inner].into_iter().flatten().find(is_wanted);
        if let Some(path) = found.map(str::to_owned)
            && entry.header().entry_type().is_file()
        {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(faulty)?;
            contents.insert(path, bytes);
        }
    }
    Ok(contents)
}

/// The bytes of a file, uncompressed.
fn read(path: &Path) -> Result<Vec<u8>> {
    let faulty = |error: std::io::Error| data_file(path, format!("cannot be read: {error}"));
    let mut start = [0; 2];
    let length = File::open(path)
        .and_then(|mut file| file.read(&mut start))
        .map_err(faulty)?;
    let file = File::open(path).map_err(faulty)?;
    let mut reader: Box<dyn Read> = match length == 2 && start == GZIP {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    };
    let mut bytes = Vec::new();
    let most = reader.by_ref().take(MOST_BYTES + 1).read_to_end(&mut bytes);
    if most.map_err(faulty)? as u64 > MOST_BYTES {
        return Err(data_file(
            path,
            format!("holds more than {MOST_BYTES} bytes, which no task has"),
        ));
    }
    Ok(bytes)
}

fn data_file(path: &Path, problem: String) -> Error {
    Error::DataFile {
        path: path.to_owned(),
        problem,
    }
}

fn missing(task: &Task, path: &Path) -> Error {
    Error::MissingData {
        task: task.name().to_owned(),
        path: path.to_owned(),
        wanted: task.wanted_data(),
    }
}

fn missing_beside(file: &Path, name: &str) -> Error {
    data_file(
        file,
        format!("{name}, which belongs to it, is not there; put it beside"),
    )
}
