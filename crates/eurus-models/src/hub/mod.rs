//! Models and data of the Hugging Face hub, downloaded into the cache that Hugging Face's own tools use.
//!
//! ```no_run
//! use burn::tensor::Device;
//! use eurus_models::Checkpoint;
//! use eurus_models::hub::{Hub, HubModel};
//!
//! # fn main() -> eurus_models::Result<()> {
//! let model: HubModel = "HuggingFaceTB/SmolLM2-135M-Instruct".parse()?;
//! let folder = Hub::from_env()?.download(&model, &mut |download| {
//!     println!("{}: {} of {} bytes", download.file, download.done, download.bytes);
//! })?;
//! let (decoder, config) = Checkpoint::new(folder).decoder(&Device::flex())?;
//! # Ok(())
//! # }
//! ```

mod data;
mod fetch;

pub use data::{DataFiles, HubData};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hf_hub::api::RepoInfo;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};

use crate::checkpoint::{CARRIED, INDEX, SINGLE, is_plain_name, shard_names};
use crate::{Error, Result};

/// Where models come from unless `HF_ENDPOINT` says otherwise.
const ENDPOINT: &str = "https://huggingface.co";
const CONFIG: &str = "config.json";

/// A model on the hub: `organization/name`, or `organization/name@revision` for a branch, a tag or a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubModel {
    id: String,
    revision: String,
}

impl HubModel {
    /// `organization/name`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The branch, tag or commit; `main` unless one was given.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    fn repo(&self, revision: &str) -> Repo {
        Repo::with_revision(self.id.clone(), RepoType::Model, revision.to_owned())
    }

    fn error(&self, problem: impl Into<String>) -> Error {
        Error::Hub {
            model: self.to_string(),
            problem: problem.into(),
        }
    }
}

impl std::fmt::Display for HubModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.revision == "main" {
            f.write_str(&self.id)
        } else {
            write!(f, "{}@{}", self.id, self.revision)
        }
    }
}

impl FromStr for HubModel {
    type Err = Error;

    /// # Errors
    ///
    /// When the text is not of the form `organization/name[@revision]`.
    fn from_str(text: &str) -> Result<Self> {
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let names: Vec<&str> = id.split('/').collect();
        let named = names.len() == 2 && names.iter().all(|name| is_word(name));
        if named && revision.split('/').all(is_word) {
            return Ok(Self {
                id: id.to_owned(),
                revision: revision.to_owned(),
            });
        }
        Err(Error::Hub {
            model: text.to_owned(),
            problem: "a model of the hub is named organization/name or organization/name@revision"
                .into(),
        })
    }
}

/// Names become paths in the cache, and no part of one may lead out of it.
fn is_word(word: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !word.is_empty() && !word.starts_with('.') && word.chars().all(allowed)
}

/// How far a download has come.
#[derive(Debug, Clone, Copy)]
pub struct Download<'a> {
    /// The file.
    pub file: &'a str,
    /// Bytes that are there, those of an earlier attempt included.
    pub done: u64,
    /// Bytes of the whole file.
    pub bytes: u64,
}

/// The hub and the folder in which its files are kept.
#[derive(Debug, Clone)]
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
    token: Option<String>,
    offline: bool,
}

impl Hub {
    /// A hub at an address, with a cache folder.
    pub fn new(endpoint: impl Into<String>, cache: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: endpoint.into().trim_end_matches('/').to_owned(),
            cache: cache.into(),
            token: None,
            offline: false,
        }
    }

    /// Sends a token, for models that are private or gated.
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The hub that the environment describes: `HF_ENDPOINT`; `HF_HUB_CACHE`, or the folder `hub` in `HF_HOME`, or
    /// `~/.cache/huggingface/hub`; `HF_TOKEN`, or the file `token` that `hf auth login` leaves in `HF_HOME`;
    /// `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    ///
    /// When there is no home folder and no variable names another one.
    pub fn from_env() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = variable("HF_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache").join("huggingface")));
        let cache = variable("HF_HUB_CACHE").map(PathBuf::from);
        let cache = cache.or_else(|| home.as_ref().map(|home| home.join("hub")));
        let Some(cache) = cache else {
            return Err(Error::Hub {
                model: "the cache".into(),
                problem: "there is no home folder; set HF_HOME to a folder for downloads".into(),
            });
        };
        let file = home.map(|home| home.join("token"));
        let stored = file.and_then(|file| std::fs::read_to_string(file).ok());
        let token = variable("HF_TOKEN").or(stored);
        Ok(Self {
            token: token
                .map(|token| token.trim().to_owned())
                .filter(|t| !t.is_empty()),
            offline: variable("HF_HUB_OFFLINE")
                .is_some_and(|value| !["0", "false"].contains(&value.as_str())),
            ..Self::new(
                variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.into()),
                cache,
            )
        })
    }

    /// The folder of a model: its `config.json`, tokenizer files and safetensors weights, all of one commit. What is in
    /// the cache is not downloaded again, an interrupted download goes on where it stopped, and lengths and, where the
    /// hub tells them, SHA-256 sums are checked. Without a connection, what was downloaded before is used.
    ///
    /// # Errors
    ///
    /// When the model does not exist, needs a token or has no safetensors weights, the hub cannot be reached and the
    /// model is not in the cache, a connection breaks again and again, or a file cannot be written.
    pub fn download(
        &self,
        model: &HubModel,
        on_progress: &mut dyn FnMut(Download<'_>),
    ) -> Result<PathBuf> {
        if self.offline {
            return self
                .cached(model)
                .ok_or_else(|| model.error("it is not in the cache, and HF_HUB_OFFLINE is set"));
        }
        let api = self.api().map_err(|error| model.error(error.to_string()))?;
        let info = match api.repo(model.repo(&model.revision)).info() {
            Ok(info) => info,
            Err(error) if fetch::may_pass(&error) => {
                return self
                    .cached(model)
                    .ok_or_else(|| self.explain(model, &error));
            }
            Err(error) => return Err(self.explain(model, &error)),
        };
        self.download_commit(&api, model, &info, on_progress)
    }

    fn download_commit(
        &self,
        api: &Api,
        model: &HubModel,
        info: &RepoInfo,
        on_progress: &mut dyn FnMut(Download<'_>),
    ) -> Result<PathBuf> {
        if !is_plain_name(&info.sha) {
            return Err(model.error(format!("the hub names a commit {:?}", info.sha)));
        }
        let there: BTreeSet<&str> = info
            .siblings
            .iter()
            .map(|file| file.rfilename.as_str())
            .collect();
        let weights = [SINGLE, INDEX]
            .into_iter()
            .find(|name| there.contains(name));
        let (Some(weights), true) = (weights, there.contains(CONFIG)) else {
            return Err(model.error(format!(
                "it has no {CONFIG} with {SINGLE} or {INDEX}; weights in other formats are not downloaded"
            )));
        };
        let cache = Cache::new(self.cache.clone());
        let fetcher = fetch::Fetcher {
            api,
            model,
            repo: model.repo(&info.sha),
            cache: cache.repo(model.repo(&info.sha)),
        };
        let mut get =
            |name: &str| fetcher.get(name, on_progress, |error| self.explain(model, error));
        let small = CARRIED.into_iter().filter(|name| there.contains(name));
        for name in [CONFIG].into_iter().chain(small) {
            get(name)?;
        }
        let path = get(weights)?;
        if weights == INDEX {
            for shard in shard_names(&path)? {
                get(&shard)?;
            }
        }
        // The name leads to the commit once all of it is there.
        let named = cache.repo(model.repo(&model.revision));
        named
            .create_ref(&info.sha)
            .map_err(Error::io(&self.cache, "writing"))?;
        Ok(named.pointer_path(&info.sha))
    }

    /// The folder of a model that was downloaded whole before.
    pub fn cached(&self, model: &HubModel) -> Option<PathBuf> {
        let cache = Cache::new(self.cache.clone()).repo(model.repo(&model.revision));
        let folder = cache.get(CONFIG)?.parent()?.to_path_buf();
        let whole = if folder.join(SINGLE).is_file() {
            true
        } else {
            let shards = shard_names(&folder.join(INDEX)).ok()?;
            shards.iter().all(|shard| folder.join(shard).is_file())
        };
        whole.then_some(folder)
    }

    fn api(&self) -> Result<Api, ApiError> {
        ApiBuilder::from_cache(Cache::new(self.cache.clone()))
            .with_endpoint(self.endpoint.clone())
            .with_token(self.token.clone())
            .with_progress(false)
            .build()
    }

    /// The error for a failed answer of the hub, with its meaning and a remedy.
    fn explain(&self, model: &HubModel, error: &ApiError) -> Error {
        model.error(self.explained("model", error))
    }

    /// What a failed answer to a question about a model or a data set means, with a remedy.
    fn explained(&self, what: &str, error: &ApiError) -> String {
        let token = match &self.token {
            None => "set HF_TOKEN to a token that may read it",
            Some(_) => "the token (HF_TOKEN, or the one that was stored) may not read it",
        };
        match fetch::status(error) {
            Some(401) => format!(
                "the hub does not show it (401): there is no such {what}, or it is private; {token}"
            ),
            Some(403) => {
                format!("the hub refuses it (403): accept its conditions on its page, or {token}")
            }
            Some(404) => format!("the hub has no such {what}, revision or file (404)"),
            Some(status) => format!("{} answered with status {status}", self.endpoint),
            None => format!("{} could not be used: {error}", self.endpoint),
        }
    }
}

/// The folder of a model that the user named: a folder that exists, or else a model of the hub that the environment
/// describes, which is downloaded.
///
/// # Errors
///
/// When there is no such folder and the name is not that of a model, or as [`Hub::download`].
pub fn folder_or_download(
    name: &Path,
    on_progress: &mut dyn FnMut(Download<'_>),
) -> Result<PathBuf> {
    if name.exists() {
        return Ok(name.into());
    }
    let model = name.to_str().unwrap_or_default().parse::<HubModel>();
    let model = model.map_err(|_| Error::MissingFile {
        folder: name.into(),
        file: CONFIG,
    })?;
    Hub::from_env()?.download(&model, on_progress)
}
