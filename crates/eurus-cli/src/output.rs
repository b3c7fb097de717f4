//! The result folder: nothing of it exists until all of it does.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use eurus::forest::TokenizerFiles;
use eurus::models::{Checkpoint, WeightType};
use eurus::train::Event;
use eurus::train::tensorboard::TensorBoard;
use tempfile::{NamedTempFile, TempDir};

use crate::interrupt::{self, Phase};
use crate::lines::Lines;
use crate::options::Files;
use crate::record::Record;
use crate::rescue::{self, Attempt};

const METRICS: &str = "metrics.jsonl";

/// Where a run writes. Everything goes to a hidden folder beside the result first, which is removed on a failure that leaves
/// nothing worth keeping in it.
pub struct Output {
    out: PathBuf,
    model: PathBuf,
    /// A metrics file outside of the result folder.
    metrics_file: Option<PathBuf>,
    overwrite: bool,
    /// The folder of the run's snapshots.
    snapshots: PathBuf,
    weight_type: WeightType,
    max_shard_bytes: u64,
    /// The tokenizer's files as they were read.
    tokenizer: Option<TokenizerFiles>,
    /// Whether they are others than the model's.
    replaces_tokenizer: bool,
    /// The end of turn that is trained.
    eos_token_id: Option<u32>,
    staging: TempDir,
    metrics: Lines,
    /// The log for TensorBoard, if it is wanted: outside of the result, because it is looked at during the run.
    tensorboard: Option<TensorBoard>,
    /// The first event that it could not be told of; training goes on, but the run fails.
    unshown: Option<Error>,
}

/// Paths and counts of a result that was written.
pub struct Written {
    pub out: PathBuf,
    pub metrics: PathBuf,
    pub events: usize,
    /// What went wrong beside the model, which is whole.
    pub faults: Vec<Error>,
}

impl Output {
    /// Checks that the result can be written, and makes the hidden folder.
    pub fn create(files: &Files, snapshots: &Path) -> Result<Self> {
        let out = &files.out;
        check_out(out, files.overwrite)?;
        if let Some(file) = &files.metrics {
            check_metrics(file, out, files.overwrite)?;
        }
        let parent = existing_ancestor(out);
        let mut hidden = tempfile::Builder::new();
        hidden.prefix(".eurus-");
        let staging = interrupt::temporary(|| hidden.tempdir_in(&parent), TempDir::path)
            .with_context(|| {
                format!(
                    "{}: cannot write beside the result folder (--out)",
                    parent.display()
                )
            })?;
        let metrics = Lines::create(staging.path().join(METRICS))?;
        let tensorboard = files.tensorboard.as_ref().map(TensorBoard::create);
        let tensorboard = tensorboard
            .transpose()
            .context("the folder for TensorBoard (--tensorboard)")?;
        let as_read = || Checkpoint::new(&files.model).weight_type();
        Ok(Self {
            out: out.clone(),
            model: files.model.clone(),
            metrics_file: files.metrics.clone(),
            overwrite: files.overwrite,
            snapshots: snapshots.to_path_buf(),
            weight_type: files.weight_type.or_else(as_read).unwrap_or_default(),
            max_shard_bytes: files.max_shard_bytes,
            tokenizer: None,
            replaces_tokenizer: false,
            eos_token_id: None,
            staging,
            metrics,
            tensorboard,
            unshown: None,
        })
    }

    /// The number type of the result's weights.
    pub fn weight_type(&self) -> WeightType {
        self.weight_type
    }

    /// Remembers the tokenizer's files: they are written if they replace the model's, or if those are gone by then.
    pub fn remember_tokenizer(&mut self, files: &TokenizerFiles, replaces: bool) {
        self.tokenizer = Some(files.clone());
        self.replaces_tokenizer = replaces;
    }

    /// Writes this token among those that end a text.
    pub fn stop_at(&mut self, eos_token_id: u32) {
        self.eos_token_id = Some(eos_token_id);
    }

    /// Adds an event to the metrics.
    pub fn record(&mut self, event: &Event) {
        self.metrics.add(event);
    }

    /// Shows an event that happened just now, rather than before an interruption, to those who watch.
    pub fn show(&mut self, event: &Event) {
        if let (Some(board), None) = (&mut self.tensorboard, &self.unshown) {
            self.unshown = board.write(event).err().map(Into::into);
        }
    }

    /// Writes the checkpoint with its tokenizer and metrics, and gives it its name. `step` is the last one that was taken.
    /// What fails beside the model is a fault of the result, and costs nothing else.
    pub fn commit(
        mut self,
        record: &Record,
        step: Option<usize>,
        write: impl Fn(&Checkpoint) -> eurus::models::Result<()>,
    ) -> Result<Written> {
        interrupt::enter(Phase::Writing);
        let mut faults = Vec::new();
        let folder = self.staging.path().join("checkpoint");
        let mut attempt = Attempt {
            out: &self.out,
            snapshots: &self.snapshots,
            step,
            weight_type: self.weight_type,
            pause: Duration::from_secs(1),
        };
        while let Err(error) = self.export(&folder, self.weight_type, &write, &mut faults) {
            if folder.join("config.json").is_file() {
                // The model is whole, and what was to be beside it is not.
                let place = keep(
                    &folder,
                    &self.out,
                    &mut self.staging,
                    &mut interrupt::state(),
                );
                let message = crate::with_causes(&error);
                return Err(error.context(format!(
                    "{message}\nthe trained model is kept in {}",
                    place.display()
                )));
            }
            attempt.failed(error, |place, weight_type| {
                self.export(place, weight_type, &write, &mut faults)
            })?;
        }
        faults.extend(record.write(&folder).err());
        if let Some(fault) = self.unshown {
            faults.push(fault.context("the log for TensorBoard (--tensorboard) is not complete"));
        }

        let events = self.metrics.finish();
        let events = events.unwrap_or_else(|error| {
            faults.push(error);
            0
        });
        let staged = self.staging.path().join(METRICS);
        let elsewhere = self.metrics_file.as_ref().and_then(|file| {
            let copy = check_metrics(file, &self.out, self.overwrite);
            let copy = copy.and_then(|()| copy_beside(&staged, file));
            let persisted = copy.and_then(|copy| {
                copy.persist(file)
                    .with_context(|| format!("{}: cannot name the metrics", file.display()))
            });
            persisted.map_err(|error| faults.push(error)).ok()?;
            Some(file.clone())
        });
        if elsewhere.is_none() {
            let renamed = fs::rename(&staged, folder.join(METRICS));
            faults.extend(renamed.context("cannot add the metrics").err());
        }

        // An interrupt waits for the names.
        let mut state = interrupt::state();
        let placed = check_out(&self.out, self.overwrite)
            .context("it came into being while the run went on")
            .and_then(|()| place(&folder, &self.out, &mut faults));
        let out = match placed {
            Ok(()) => self.out,
            Err(error) => {
                let place = keep(&folder, &self.out, &mut self.staging, &mut state);
                faults.push(error);
                place
            }
        };
        state.phase = Phase::Written(out.clone());
        Ok(Written {
            metrics: elsewhere.unwrap_or_else(|| out.join(METRICS)),
            out,
            events,
            faults,
        })
    }

    /// Writes the checkpoint and its tokenizer to a hidden folder.
    fn export(
        &self,
        folder: &Path,
        weight_type: WeightType,
        write: &impl Fn(&Checkpoint) -> eurus::models::Result<()>,
        faults: &mut Vec<Error>,
    ) -> Result<()> {
        let mut checkpoint = Checkpoint::new(folder)
            .with_tokenizer_from(&self.model)
            .with_weight_type(weight_type)
            .with_max_shard_bytes(self.max_shard_bytes);
        if let Some(id) = self.eos_token_id {
            checkpoint = checkpoint.with_eos_token_id(id);
        }
        write(&checkpoint)?;
        let is_gone = !self.model.join("tokenizer.json").is_file();
        if is_gone {
            faults.push(anyhow!(
                "{}: the model folder is no longer there; the tokenizer is as it was read, and other files of the folder are missing in the result",
                self.model.display()
            ));
        }
        match &self.tokenizer {
            Some(files) if self.replaces_tokenizer || is_gone => Ok(files.write(folder)?),
            _ => Ok(()),
        }
    }
}

/// Gives a whole checkpoint that cannot have its name another one, or leaves it in its hidden folder for good. Returns where
/// it is.
fn keep(folder: &Path, out: &Path, staging: &mut TempDir, state: &mut interrupt::State) -> PathBuf {
    let name = rescue::free_name(out);
    let made = fs::create_dir_all(parent(&name));
    if made.and_then(|()| fs::rename(folder, &name)).is_ok() {
        return name;
    }
    state.keep(staging.path());
    staging.disable_cleanup(true);
    folder.to_path_buf()
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

/// Gives the finished folder its name. What it replaces is moved aside, and back if that fails; what stays aside is a fault.
fn place(folder: &Path, out: &Path, faults: &mut Vec<Error>) -> Result<()> {
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
        let tidied = tidied.with_context(|| format!("the old folder is now {}", aside.display()));
        faults.extend(tidied.err());
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
pub fn existing_ancestor(path: &Path) -> PathBuf {
    let mut ancestor = parent(path);
    while !ancestor.exists() {
        ancestor = parent(&ancestor);
    }
    ancestor
}
