//! Where data lie: files here, patterns of them, or a data set of the hub.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use eurus::data::input;
use eurus::models::hub::{DataFiles, Hub, HubData};

use crate::model_folder::Shown;

/// The files that an option names: paths and patterns of files here, and data sets of the hub as
/// `organization/name[@revision][/file]`, which are downloaded. What is here wins.
pub fn expand<S: AsRef<str>>(names: &[S]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for name in names {
        let name = name.as_ref();
        match of_hub(name)? {
            Some(found) => files.extend(found.files),
            None => files.extend(input::expand([name])?),
        }
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

/// The same as texts, in place of what an option was given.
pub fn localize(names: &[String]) -> Result<Vec<String>> {
    let mut local = Vec::new();
    for name in names {
        match of_hub(name)? {
            Some(found) => local.extend(found.files.iter().map(|file| file.display().to_string())),
            None => local.push(name.clone()),
        }
    }
    Ok(local)
}

/// One path: a file or folder here, or the one file of a data set of the hub, or the folder of its files.
pub fn path(name: &Path) -> Result<PathBuf> {
    let Some(found) = of_hub(&name.to_string_lossy())? else {
        return Ok(name.to_owned());
    };
    Ok(match found.files.as_slice() {
        [file] => file.clone(),
        _ => found.folder,
    })
}

/// As [`path`], where one file is wanted.
pub fn file(name: &Path) -> Result<PathBuf> {
    let path = path(name)?;
    if path != name && path.is_dir() {
        bail!(
            "{}: the data set has several files of rows; name one of them as {}/FILE",
            name.display(),
            name.display()
        );
    }
    Ok(path)
}

/// The files of a data set of the hub, if that is what is named.
fn of_hub(name: &str) -> Result<Option<DataFiles>> {
    let Ok(data) = name.parse::<HubData>() else {
        return Ok(None);
    };
    if Path::new(name).exists() {
        tell!("{name}: the path here is read, not the data set of the hub that has this name");
        return Ok(None);
    }
    if is_path(name) {
        return Ok(None);
    }
    let mut shown = Shown::default();
    let found = Hub::from_env()?.download_data(&data, &mut |download| shown.show(download));
    shown.finish();
    found.map(Some).map_err(|error| {
        anyhow!("there is no file {name} here, and as a data set of the hub: {error}")
    })
}

/// Whether a name that could be one of the hub is a slip in a path: it begins in a folder that is here, or is a file in one.
fn is_path(name: &str) -> bool {
    let mut parts = name.split('/');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let is_file = |name: &str| {
        [
            ".jsonl", ".json", ".parquet", ".arrow", ".csv", ".gz", ".zst",
        ]
        .iter()
        .any(|end| name.ends_with(end))
    };
    Path::new(first).is_dir() || matches!(rest.as_slice(), [only] if is_file(only))
}
