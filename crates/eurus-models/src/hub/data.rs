//! Data sets of the hub, downloaded into the cache that Hugging Face's own tools use.

use std::path::PathBuf;
use std::str::FromStr;

use hf_hub::api::RepoInfo;
use hf_hub::api::sync::Api;
use hf_hub::{Cache, Repo, RepoType};

use super::{Download, Hub, HubModel, fetch, is_word};
use crate::checkpoint::is_plain_name;
use crate::{Error, Result};

/// Ends of the names of files that have rows, compressed or not.
const ROWS: [&str; 5] = [".jsonl", ".json", ".parquet", ".arrow", ".csv"];
/// Ends that say how a file is compressed.
const COMPRESSED: [&str; 2] = [".gz", ".zst"];
/// Files that tell of the rows and have none.
const ABOUT: [&str; 3] = ["dataset_infos.json", "dataset_info.json", "state.json"];

/// Data on the hub: `organization/name[@revision][/file]`. The file may be a folder; without one all files of rows are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubData {
    name: HubModel,
    file: Option<String>,
}

/// Files that were downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFiles {
    /// The folder of the commit in the cache.
    pub folder: PathBuf,
    /// The files, in the order of their names.
    pub files: Vec<PathBuf>,
}

impl HubData {
    fn repo(&self, revision: &str) -> Repo {
        Repo::with_revision(self.name.id.clone(), RepoType::Dataset, revision.to_owned())
    }

    fn error(&self, problem: impl Into<String>) -> Error {
        Error::Hub {
            model: self.to_string(),
            problem: problem.into(),
        }
    }

    /// Those of some names that are meant.
    fn meant<'a>(&self, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let safe = names.filter(|name| name.split('/').all(is_plain_name));
        let mut meant: Vec<&str> = match &self.file {
            None => safe.filter(|name| has_rows(name)).collect(),
            Some(file) => {
                let safe: Vec<&str> = safe.collect();
                match safe.iter().find(|name| *name == file) {
                    Some(name) => vec![name],
                    None => {
                        let within = format!("{file}/");
                        let inside = safe.into_iter().filter(|name| name.starts_with(&within));
                        inside.filter(|name| has_rows(name)).collect()
                    }
                }
            }
        };
        meant.sort_unstable();
        meant
    }
}

fn has_rows(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    let plain = COMPRESSED
        .iter()
        .find_map(|end| last.strip_suffix(end))
        .unwrap_or(last);
    !last.starts_with('.') && !ABOUT.contains(&last) && ROWS.iter().any(|end| plain.ends_with(end))
}

impl std::fmt::Display for HubData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.name.fmt(f)?;
        self.file
            .as_ref()
            .map_or(Ok(()), |file| write!(f, "/{file}"))
    }
}

impl FromStr for HubData {
    type Err = Error;

    /// # Errors
    ///
    /// When the text is not of the form `organization/name[@revision][/file]`.
    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.splitn(3, '/');
        let name = [parts.next(), parts.next()].into_iter().flatten();
        let name: Vec<&str> = name.collect();
        let file = parts.next();
        let is_file = |file: &str| file.split('/').all(is_word);
        let parsed = name.join("/").parse::<HubModel>().ok();
        match parsed.filter(|_| file.is_none_or(is_file)) {
            Some(name) => Ok(Self {
                name,
                file: file.map(str::to_owned),
            }),
            None => Err(Error::Hub {
                model: text.to_owned(),
                problem:
                    "data of the hub are named organization/name, with @revision and /file behind it where they are wanted"
                        .into(),
            }),
        }
    }
}

impl Hub {
    /// The files of a data set, or of a part of it, all of one commit. As with [`download`](Self::download) nothing is downloaded
    /// twice, and without a connection what was downloaded before is used.
    ///
    /// # Errors
    ///
    /// When there is no such data set or file in it, a token is needed, the hub cannot be reached and the files are not in the
    /// cache, a connection breaks again and again, or a file cannot be written.
    pub fn download_data(
        &self,
        data: &HubData,
        on_progress: &mut dyn FnMut(Download<'_>),
    ) -> Result<DataFiles> {
        if self.offline {
            return self
                .cached_data(data)
                .ok_or_else(|| data.error("it is not in the cache, and HF_HUB_OFFLINE is set"));
        }
        let api = self.api().map_err(|error| data.error(error.to_string()))?;
        let info = match api.repo(data.repo(&data.name.revision)).info() {
            Ok(info) => info,
            Err(error) if fetch::may_pass(&error) => {
                let cached = self.cached_data(data);
                return cached.ok_or_else(|| data.error(self.explained("data set", &error)));
            }
            Err(error) => return Err(data.error(self.explained("data set", &error))),
        };
        self.download_files(&api, data, &info, on_progress)
    }

    fn download_files(
        &self,
        api: &Api,
        data: &HubData,
        info: &RepoInfo,
        on_progress: &mut dyn FnMut(Download<'_>),
    ) -> Result<DataFiles> {
        if !is_plain_name(&info.sha) {
            return Err(data.error(format!("the hub names a commit {:?}", info.sha)));
        }
        let names = info.siblings.iter().map(|file| file.rfilename.as_str());
        let meant = data.meant(names);
        if meant.is_empty() {
            let all: Vec<&str> = info
                .siblings
                .iter()
                .map(|file| file.rfilename.as_str())
                .take(10)
                .collect();
            let problem = match &data.file {
                Some(file) => format!(
                    "it has no file or folder `{file}`; there are {}",
                    all.join(", ")
                ),
                None => format!(
                    "it has no file of rows ({}); there are {}",
                    ROWS.join(", "),
                    all.join(", ")
                ),
            };
            return Err(data.error(problem));
        }
        let cache = Cache::new(self.cache.clone());
        let fetcher = fetch::Fetcher {
            api,
            model: &data.name,
            repo: data.repo(&info.sha),
            cache: cache.repo(data.repo(&info.sha)),
        };
        let mut files = Vec::new();
        for name in meant {
            let explain = |error: &_| data.error(self.explained("data set", error));
            files.push(fetcher.get(name, on_progress, explain)?);
        }
        // The name leads to the commit once all of it is there.
        let named = cache.repo(data.repo(&data.name.revision));
        named
            .create_ref(&info.sha)
            .map_err(Error::io(&self.cache, "writing"))?;
        Ok(DataFiles {
            folder: named.pointer_path(&info.sha),
            files,
        })
    }

    /// What was downloaded before. Whether it was all that the data set has, nobody here knows: a file that was asked for by its
    /// name is that file.
    fn cached_data(&self, data: &HubData) -> Option<DataFiles> {
        let cache = Cache::new(self.cache.clone()).repo(data.repo(&data.name.revision));
        let reference = self
            .cache
            .join(data.repo(&data.name.revision).folder_name())
            .join("refs")
            .join(&data.name.revision);
        let commit = std::fs::read_to_string(reference).ok()?;
        let folder = cache.pointer_path(commit.trim());
        let mut names = Vec::new();
        within(&folder, "", &mut names);
        let files: Vec<PathBuf> = data
            .meant(names.iter().map(String::as_str))
            .into_iter()
            .map(|name| folder.join(name))
            .collect();
        (!files.is_empty()).then_some(DataFiles { folder, files })
    }
}

fn within(folder: &std::path::Path, prefix: &str, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.path().is_dir() {
            true => within(&entry.path(), &format!("{name}/"), names),
            false => names.push(name),
        }
    }
}
