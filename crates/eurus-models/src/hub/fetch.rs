//! One file of a commit into the cache.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiError, Metadata};
use hf_hub::{CacheRepo, Repo};
use sha2::{Digest, Sha256};

use super::{Download, HubModel};
use crate::checkpoint::is_plain_name;
use crate::{Error, Result};

/// How often a file is asked for before a broken connection is an error.
const ATTEMPTS: u32 = 5;
/// The pause after the first broken connection; each one after it is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// A commit of a model and where its files go.
pub struct Fetcher<'a> {
    pub api: &'a Api,
    pub model: &'a HubModel,
    pub repo: Repo,
    pub cache: CacheRepo,
}

impl Fetcher<'_> {
    /// The path of a file in the cache, where it is downloaded to unless it is there.
    pub fn get(
        &self,
        name: &str,
        on_progress: &mut dyn FnMut(Download<'_>),
        explain: impl Fn(&ApiError) -> Error,
    ) -> Result<PathBuf> {
        if let Some(path) = self.cache.get(name) {
            return Ok(path);
        }
        let repo = self.api.repo(self.repo.clone());
        let mut pause = PAUSE;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let result = self.api.metadata(&repo.url(name)).and_then(|metadata| {
                let reporter = Reporter {
                    on_progress: &mut *on_progress,
                    file: name,
                    done: 0,
                    bytes: metadata.size() as u64,
                };
                // The library builds paths of what the hub answers.
                if !is_plain_name(metadata.etag()) {
                    return Err(ApiError::InvalidHeader("etag"));
                }
                if metadata.commit_hash() != self.repo.revision() {
                    return Err(ApiError::InvalidHeader("x-repo-commit"));
                }
                let path = repo.download_with_progress(name, reporter);
                Ok((metadata, path))
            });
            match result {
                Ok((metadata, Ok(path))) => match self.check(&path, &metadata) {
                    Ok(()) => return Ok(path),
                    Err(problem) => {
                        self.forget(&path, &metadata);
                        if attempt >= ATTEMPTS {
                            return Err(self.model.error(format!("{name}: {problem}")));
                        }
                    }
                },
                Ok((metadata, Err(error))) if attempt < ATTEMPTS && beyond_the_end(&error) => {
                    let part = self.cache.blob_path(metadata.etag()).with_extension("part");
                    std::fs::remove_file(&part).map_err(Error::io(&part, "removing"))?;
                }
                Ok((_, Err(error))) | Err(error) => {
                    if attempt >= ATTEMPTS || !may_pass(&error) {
                        return Err(explain(&error));
                    }
                    std::thread::sleep(pause);
                    pause *= 2;
                }
            }
        }
    }

    /// A resumed download that the server began anew, or a broken proxy: the length is wrong, or the sum.
    fn check(&self, path: &Path, metadata: &Metadata) -> Result<(), String> {
        let mut file = File::open(path).map_err(|error| error.to_string())?;
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        if length != metadata.size() as u64 {
            let expected = metadata.size();
            return Err(format!("{length} bytes came, the hub announced {expected}"));
        }
        let etag = metadata.etag();
        let is_sha256 = etag.len() == 64 && etag.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_sha256 {
            return Ok(());
        }
        let mut sum = Sha256::new();
        let mut bytes = vec![0; 1 << 20];
        loop {
            match file.read(&mut bytes).map_err(|error| error.to_string())? {
                0 => break,
                count => sum.update(&bytes[..count]),
            }
        }
        let sum: String = sum.finalize().iter().map(|b| format!("{b:02x}")).collect();
        if sum.eq_ignore_ascii_case(etag) {
            Ok(())
        } else {
            Err(format!("its SHA-256 is {sum}, the hub says {etag}"))
        }
    }

    /// Removes a file that is not what it should be.
    fn forget(&self, path: &Path, metadata: &Metadata) {
        for path in [path, &self.cache.blob_path(metadata.etag())] {
            // If it stays, the next attempt finds it again and says so.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Tells the caller how far a file is.
struct Reporter<'a> {
    on_progress: &'a mut dyn FnMut(Download<'_>),
    file: &'a str,
    done: u64,
    bytes: u64,
}

impl Reporter<'_> {
    fn report(&mut self) {
        (self.on_progress)(Download {
            file: self.file,
            done: self.done,
            bytes: self.bytes,
        });
    }
}

impl Progress for Reporter<'_> {
    fn init(&mut self, size: usize, _name: &str) {
        self.done = 0;
        self.bytes = size as u64;
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        self.report();
    }

    fn finish(&mut self) {}
}

/// The status that a server answered with.
pub fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => match error.as_ref() {
            ureq::Error::StatusCode(status) => Some(*status),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a download cannot go on because as much is there as the file has, or more.
fn beyond_the_end(error: &ApiError) -> bool {
    matches!(error, ApiError::InvalidResume) || status(error) == Some(416)
}

/// Whether trying again may help: a connection that broke or a server that is busy, as against a refusal.
pub fn may_pass(error: &ApiError) -> bool {
    match (status(error), error) {
        (Some(status), _) => status == 408 || status == 429 || status >= 500,
        (None, ApiError::RequestError(_) | ApiError::IoError(_) | ApiError::LockAcquisition(_)) => {
            true
        }
        _ => false,
    }
}
