//! The result folder: nothing of it exists until all of it does.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use eurus::data::formats::JsonlWriter;
use eurus::forest::TokenizerFiles;
use eurus::models::{Checkpoint, WeightType};
use eurus::train::Event;
use eurus::train::tensorboard::TensorBoard;
use tempfile::{NamedTempFile, TempDir};

use crate::interrupt;
use crate::options::Files;

const METRICS: &str = "metrics.jsonl";

/// Where a run writes. Everything goes to a hidden folder beside the result first, which is removed on any failure.
pub struct Output {
    out: PathBuf,
    model: PathBuf,
    /// A metrics file outside of the result folder.
    metrics_file: Option<PathBuf>,
    weight_type: Option<WeightType>,
    max_shard_bytes: u64,
    /// Tokenizer files to write in place of the model's.
    tokenizer: Option<TokenizerFiles>,
    /// The end of turn that is trained.
    eos_token_id: Option<u32>,
    staging: TempDir,
    metrics: JsonlWriter,
    /// The log for TensorBoard, if it is wanted: outside of the result, because it is looked at during the run.
    tensorboard: Option<TensorBoard>,
    /// The first event that could not be written; training goes on, but the run fails.
    fault: Option<anyhow::Error>,
}

/// Paths and counts of a result that was written.
pub struct Written {
    pub out: PathBuf,
    pub metrics: PathBuf,
    pub events: usize,
}

impl Output {
    /// Checks that the result can be written, and makes the hidden folder.
    pub fn create(files: &Files) -> Result<Self> {
        let out = &files.out;
        check_out(out, files.overwrite)?;
        if let Some(file) = &files.metrics {
            check_metrics(file, out, files.overwrite)?;
        }
        let parent = existing_ancestor(out);
        let staging = tempfile::Builder::new()
            .prefix(".eurus-")
            .tempdir_in(&parent)
            .with_context(|| {
                format!(
                    "{}: cannot write beside the result folder (--out)",
                    parent.display()
                )
            })?;
        interrupt::files().remove_when_interrupted(staging.path());
        let metrics = JsonlWriter::create(staging.path().join(METRICS))?;
        let tensorboard = files.tensorboard.as_ref().map(TensorBoard::create);
        let tensorboard = tensorboard
            .transpose()
            .context("the folder for TensorBoard (--tensorboard)")?;
        Ok(Self {
            out: out.clone(),
            model: files.model.clone(),
            metrics_file: files.metrics.clone(),
            weight_type: files.weight_type,
            max_shard_bytes: files.max_shard_bytes,
            tokenizer: None,
            eos_token_id: None,
            staging,
            metrics,
            tensorboard,
            fault: None,
        })
    }

    /// Writes these tokenizer files in place of the model's.
    pub fn replace_tokenizer(&mut self, files: &TokenizerFiles) {
        self.tokenizer = Some(files.clone());
    }

    /// Writes this token among those that end a text.
    pub fn stop_at(&mut self, eos_token_id: u32) {
        self.eos_token_id = Some(eos_token_id);
    }

    /// Adds an event to the metrics.
    pub fn record(&mut self, event: &Event) {
        if self.fault.is_none() {
            self.fault = self.metrics.write(event).err().map(Into::into);
        }
    }

    /// Shows an event that happened just now, rather than before an interruption, to those who watch.
    pub fn show(&mut self, event: &Event) {
        if let (Some(board), None) = (&mut self.tensorboard, &self.fault) {
            self.fault = board.write(event).err().map(Into::into);
        }
    }

    /// Writes the checkpoint with its tokenizer and metrics, and gives it its name.
    pub fn commit(
        self,
        write: impl FnOnce(&Checkpoint) -> eurus::models::Result<()>,
    ) -> Result<Written> {
        // An interrupt waits until the result is whole.
        let mut files = interrupt::files();
        if let Some(fault) = self.fault {
            return Err(fault).context("the metrics could not be written");
        }
        let folder = self.staging.path().join("checkpoint");
        let as_read = || Checkpoint::new(&self.model).weight_type();
        let weight_type = self.weight_type.or_else(as_read).unwrap_or_default();
        let mut checkpoint = Checkpoint::new(&folder)
            .with_tokenizer_from(&self.model)
            .with_weight_type(weight_type)
            .with_max_shard_bytes(self.max_shard_bytes);
        if let Some(id) = self.eos_token_id {
            checkpoint = checkpoint.with_eos_token_id(id);
        }
        write(&checkpoint)?;
        if let Some(files) = &self.tokenizer {
            files.write(&folder)?;
        }

        let events = self.metrics.finish()?;
        let staged = self.staging.path().join(METRICS);
        let metrics = match &self.metrics_file {
            None => {
                fs::rename(&staged, folder.join(METRICS)).context("cannot add the metrics")?;
                place(&folder, &self.out)?;
                self.out.join(METRICS)
            }
            Some(file) => {
                let copy = copy_beside(&staged, file)?;
                place(&folder, &self.out)?;
                copy.persist(file)
                    .with_context(|| format!("{}: cannot name the metrics", file.display()))?;
                file.clone()
            }
        };
        files.written = Some(self.out.clone());
        Ok(Written {
            out: self.out,
            metrics,
            events,
        })
    }
}

/// Refuses a result folder that is there, unless it may be replaced.
fn check_out(out: &Path, overwrite: bool) -> Result<()> {
    let name = out.display();
    if !matches!(out.components().next_back(), Some(Component::Normal(_))) {
        bail!("{name}: --out must name a folder of its own, such as runs/dpo");
    }
    let Ok(there) = fs::symlink_metadata(out) else {
        return Ok(());
    };
    if !overwrite {
        bail!(
            "{name}: the result folder (--out) exists; choose another name, or replace it with --overwrite"
        );
    }
    // A slip such as `--out ~` must not cost more than a checkpoint.
    let empty = || fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
    if there.is_dir() && (out.join("config.json").is_file() || empty()) {
        Ok(())
    } else {
        bail!(
            "{name}: --overwrite replaces checkpoint folders only, and there is no config.json in it; remove it yourself"
        )
    }
}

/// Refuses a metrics file that could not be written at the end.
fn check_metrics(file: &Path, out: &Path, overwrite: bool) -> Result<()> {
    let name = file.display();
    if file.starts_with(out) {
        bail!(
            "{name}: --metrics lies in the result folder; leave it out, metrics.jsonl is put there by default"
        );
    }
    if file.is_dir() {
        bail!("{name}: --metrics is a folder; name a file");
    }
    if file.exists() && !overwrite {
        bail!(
            "{name}: the metrics file (--metrics) exists; choose another name, or replace it with --overwrite"
        );
    }
    temporary_beside(file).map(drop)
}

fn temporary_beside(file: &Path) -> Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".part");
    // Temporary files are private by default; the result should be as readable as any file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
        .tempfile_in(parent(file))
        .with_context(|| format!("{}: cannot write in this folder", parent(file).display()))
}

fn copy_beside(from: &Path, to: &Path) -> Result<NamedTempFile> {
    let problem = || format!("{}: cannot write the metrics", to.display());
    let mut temporary = temporary_beside(to)?;
    let mut source = fs::File::open(from).with_context(problem)?;
    io::copy(&mut source, &mut temporary).with_context(problem)?;
    Ok(temporary)
}

/// Gives the finished folder its name. What it replaces is moved aside, and back if that fails.
fn place(folder: &Path, out: &Path) -> Result<()> {
    let parent = parent(out);
    fs::create_dir_all(&parent).with_context(|| format!("{}: cannot create", parent.display()))?;
    let replaced = out.exists().then(|| {
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        parent.join(format!(".{name}.replaced-{}", std::process::id()))
    });
    if let Some(aside) = &replaced {
        fs::rename(out, aside)
            .with_context(|| format!("{}: cannot move the old folder aside", out.display()))?;
    }
    let placed = fs::rename(folder, out)
        .with_context(|| format!("{}: cannot rename the result into place", out.display()));
    if let Some(aside) = &replaced {
        let tidied = match placed {
            Ok(()) => fs::remove_dir_all(aside),
            Err(_) => fs::rename(aside, out),
        };
        tidied.with_context(|| format!("the old folder is now {}", aside.display()))?;
    }
    placed
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// The nearest folder above `path` that exists: on its file system, so that a rename will do.
fn existing_ancestor(path: &Path) -> PathBuf {
    let mut ancestor = parent(path);
    while !ancestor.exists() {
        ancestor = parent(&ancestor);
    }
    ancestor
}
