//! Snapshot folders: written whole or not at all, and read only if they are as they were written.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tensors::{self, Named, Parameters};
use super::{RunIdentity, Snapshots, State};
use crate::adamw::{Moments, StepOptimizer};
use crate::digest::digest;
use crate::evaluation::Best;
use crate::{Error, Result};

const WEIGHTS: &str = "weights.safetensors";
const MOMENTS: &str = "moments.safetensors";
const STATE: &str = "state.json";
const MANIFEST: &str = "manifest.json";
/// How the name of a snapshot begins until it is whole.
const PARTIAL: &str = ".step-";

#[derive(Serialize, Deserialize)]
struct Manifest {
    /// SHA-256 by file name.
    files: BTreeMap<String, String>,
}

fn folder_name(step: usize) -> String {
    format!("step-{step:08}")
}

/// The snapshots of a folder by their steps, the newest last.
fn list(folder: &Path) -> Result<Vec<(usize, PathBuf)>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder, "listing"))? {
        let path = entry.map_err(Error::io(folder, "listing"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let step = name
            .strip_prefix("step-")
            .and_then(|step| step.parse().ok());
        if let Some(step) = step {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Writes the snapshots of one run.
pub(crate) struct Store<'a> {
    snapshots: &'a Snapshots,
    run: RunIdentity,
    keep_best: bool,
}

impl<'a> Store<'a> {
    pub fn new(snapshots: &'a Snapshots, run: RunIdentity, keep_best: bool) -> Self {
        Self {
            snapshots,
            run,
            keep_best,
        }
    }

    pub fn is_due(&self, step: usize, steps: usize) -> bool {
        step.is_multiple_of(self.snapshots.every_steps) || step == steps
    }

    /// Saves the state after `step` steps and removes the oldest snapshots. Returns the snapshot's folder.
    pub fn save<M: Module>(
        &self,
        step: usize,
        model: &M,
        optimizer: &StepOptimizer<M>,
        carried: Value,
        best: Option<Best>,
    ) -> Result<PathBuf> {
        let parent = &self.snapshots.folder;
        fs::create_dir_all(parent).map_err(Error::io(parent, "creating the folder"))?;
        remove_partial(parent)?;
        let partial = tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempdir_in(parent)
            .map_err(Error::io(parent, "creating a temporary folder"))?;
        let written = |name: &str, problem: String| Error::Snapshot {
            path: partial.path().join(name),
            problem,
        };

        let parameters = Parameters::of(model);
        tensors::write(&partial.path().join(WEIGHTS), &parameters.values)
            .map_err(|problem| written(WEIGHTS, problem))?;
        let mut moments = Vec::new();
        let mut updates = BTreeMap::new();
        for (name, id) in &parameters.ids {
            if let Some(of_parameter) = optimizer.moments(*id) {
                updates.insert(name.clone(), of_parameter.updates);
                let first = of_parameter.first.clone().into_data();
                let second = of_parameter.second.clone().into_data();
                moments.push((format!("{name}.first"), first));
                moments.push((format!("{name}.second"), second));
            }
        }
        tensors::write(&partial.path().join(MOMENTS), &moments)
            .map_err(|problem| written(MOMENTS, problem))?;
        let state = State {
            version: State::VERSION,
            step,
            run: self.run.clone(),
            updates,
            carried,
            best,
        };
        write_json(&partial.path().join(STATE), &state)?;
        let mut manifest = Manifest {
            files: BTreeMap::new(),
        };
        for name in [WEIGHTS, MOMENTS, STATE] {
            let path = partial.path().join(name);
            let file = fs::File::open(&path).map_err(Error::io(&path, "opening"))?;
            file.sync_all().map_err(Error::io(&path, "writing"))?;
            let bytes = fs::read(&path).map_err(Error::io(&path, "reading"))?;
            manifest.files.insert(name.into(), digest(&bytes));
        }
        write_json(&partial.path().join(MANIFEST), &manifest)?;

        let target = parent.join(folder_name(step));
        if target.exists() {
            // Damaged, or the run would have gone on after it.
            fs::remove_dir_all(&target).map_err(Error::io(&target, "removing"))?;
        }
        fs::rename(partial.path(), &target).map_err(Error::io(&target, "renaming into place"))?;
        let _ = partial.keep();
        self.remove_old(best.filter(|_| self.keep_best))?;
        Ok(target)
    }

    fn remove_old(&self, best: Option<Best>) -> Result<()> {
        let mut all = list(&self.snapshots.folder)?;
        all.retain(|(step, _)| best.is_none_or(|best| best.step != *step));
        let surplus = all.len().saturating_sub(self.snapshots.keep);
        for (_, path) in all.drain(..surplus) {
            fs::remove_dir_all(&path).map_err(Error::io(&path, "removing"))?;
        }
        Ok(())
    }
}

/// Removes what a killed run was writing.
fn remove_partial(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::io(folder, "listing"))? {
        let path = entry.map_err(Error::io(folder, "listing"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(PARTIAL) {
            fs::remove_dir_all(&path).map_err(Error::io(&path, "removing"))?;
        }
    }
    Ok(())
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| Error::Snapshot {
        path: path.into(),
        problem: error.to_string(),
    })?;
    fs::write(path, text).map_err(Error::io(path, "writing"))
}

/// A snapshot that was read and is whole.
pub(crate) struct Loaded {
    pub path: PathBuf,
    pub state: State,
    weights: Named,
    moments: Named,
}

/// The newest whole snapshot of the run; `damaged` is told of newer ones that are not.
///
/// # Errors
///
/// When there are snapshots although the run is not to go on, or the newest whole one is of another run.
pub(crate) fn newest(
    snapshots: &Snapshots,
    run: &RunIdentity,
    mut damaged: impl FnMut(PathBuf, String),
) -> Result<Option<Loaded>> {
    let all = list(&snapshots.folder)?;
    if !snapshots.resume {
        return match all.last() {
            None => Ok(None),
            Some((step, _)) => Err(Error::SnapshotsExist {
                folder: snapshots.folder.clone(),
                step: *step,
            }),
        };
    }
    for (_, path) in all.into_iter().rev() {
        match read(&path) {
            Ok(loaded) => {
                return match loaded.state.run.difference(run) {
                    None => Ok(Some(loaded)),
                    Some(difference) => Err(Error::OtherRun { path, difference }),
                };
            }
            Err(problem) => damaged(path, problem),
        }
    }
    Ok(None)
}

/// Gives a model the weights of the snapshot after a step.
pub(crate) fn restore_weights<M: Module>(
    snapshots: &Snapshots,
    step: usize,
    model: M,
) -> Result<M> {
    let path = snapshots.folder.join(folder_name(step));
    read(&path)
        .and_then(|loaded| tensors::fill(model, loaded.weights))
        .map_err(|problem| Error::Snapshot { path, problem })
}

fn read(folder: &Path) -> Result<Loaded, String> {
    let file = |name: &str| fs::read(folder.join(name)).map_err(|error| format!("{name}: {error}"));
    let manifest: Manifest =
        serde_json::from_slice(&file(MANIFEST)?).map_err(|error| format!("{MANIFEST}: {error}"))?;
    let whole = |name: &str| {
        let bytes = file(name)?;
        match manifest.files.get(name) {
            Some(written) if *written == digest(&bytes) => Ok(bytes),
            _ => Err(format!("{name} is not what was written")),
        }
    };
    Ok(Loaded {
        path: folder.into(),
        state: State::read(&whole(STATE)?)?,
        weights: tensors::read(&whole(WEIGHTS)?)?,
        moments: tensors::read(&whole(MOMENTS)?)?,
    })
}

impl Loaded {
    /// Puts weights and moments back.
    pub fn restore<M: Module>(mut self, model: M, optimizer: &mut StepOptimizer<M>) -> Result<M> {
        let path = self.path.clone();
        let failed = |problem| Error::Snapshot {
            path: path.clone(),
            problem,
        };
        let model = tensors::fill(model, self.weights).map_err(failed)?;
        let device = crate::run::plain_device(&model);
        let mut restored = HashMap::new();
        for (name, id) in Parameters::of(&model).ids {
            let Some(&updates) = self.state.updates.get(&name) else {
                continue;
            };
            let mut take = |part: &str| {
                let data = self.moments.remove(&format!("{name}.{part}"));
                let data = data.ok_or_else(|| failed(format!("no {part} moment of `{name}`")))?;
                let dtype = data.dtype();
                Ok::<Tensor<1>, Error>(Tensor::from_data(data, (&device, dtype)))
            };
            let moments = Moments {
                first: take("first")?,
                second: take("second")?,
                updates,
            };
            restored.insert(id, moments);
        }
        optimizer.set_moments(restored);
        Ok(model)
    }
}
