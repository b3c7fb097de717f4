//! Snapshot folders: written whole or not at all, and read only if they are as they were written.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};

use super::tensors::{self, Named, Parameters};
use super::{Fault, Judged, RunIdentity, Snapshots, State};
use crate::device_memory::lasting;
use crate::digest::{of_bytes, of_file};
use crate::evaluation::Best;
use crate::events::Event;
use crate::optimizer::{Moment, Moments, StepOptimizer, moments_of};
use crate::ranks::tensors::{flat_tensor, floats};
use crate::run::Memory;
use crate::{Error, Ranks, Result};

const WEIGHTS: &str = "weights.safetensors";
const MOMENTS: &str = "moments.safetensors";
/// Weights that the objective remembers besides those that are trained; not in every snapshot.
const REMEMBERED: &str = "remembered.safetensors";
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
    /// Checks that snapshots can be written, on the first rank.
    pub fn new(
        snapshots: &'a Snapshots,
        run: RunIdentity,
        keep_best: bool,
        ranks: &Ranks,
    ) -> Result<Self> {
        ranks.of_first(|| begin_partial(&snapshots.folder).map(drop))?;
        Ok(Self {
            snapshots,
            run,
            keep_best,
        })
    }

    /// Whether a run that saves its state every so many steps does so after `step` steps.
    pub fn is_due(&self, step: usize, is_last: bool) -> bool {
        let every_steps = self.snapshots.every_steps;
        every_steps.is_some_and(|every| is_last || step.is_multiple_of(every))
    }

    /// Saves the state after `step` steps and removes the oldest snapshots. Returns the snapshot's folder, or why it could not
    /// be written. The ranks' parts of the moments are gathered; the first rank writes, and the others wait for it.
    ///
    /// # Errors
    ///
    /// Those of the ranks.
    pub fn save<M: Module>(
        &self,
        step: usize,
        model: &M,
        optimizer: &StepOptimizer,
        memory: Memory<'_, M>,
        judged: Judged,
        ranks: &Ranks,
    ) -> Result<std::result::Result<PathBuf, String>> {
        let parameters = Parameters::of(model);
        let mut moments = Vec::new();
        let mut updates = BTreeMap::new();
        for ((name, id), (_, value)) in parameters.ids.iter().zip(&parameters.values) {
            let Some(of_parameter) = optimizer.moments(*id) else {
                continue;
            };
            updates.insert(name.clone(), of_parameter.updates);
            let layout = moments_of(optimizer.kind(), &value.shape().to_vec());
            for (moment, part) in layout.into_iter().zip(&of_parameter.tensors) {
                let whole = match moment.is_shared {
                    true => ranks.put_together(part.clone(), moment.elements)?,
                    false => part.clone(),
                };
                if ranks.is_first() {
                    moments.push((format!("{name}.{}", moment.name), whole.into_data()));
                }
            }
        }
        let state = State {
            version: State::VERSION,
            step,
            run: self.run.clone(),
            updates,
            carried: memory.state,
            judged,
        };
        ranks.of_first(|| {
            let remembered = memory.model.map(|model| Parameters::of(model).values);
            let mut files = vec![(WEIGHTS, &parameters.values), (MOMENTS, &moments)];
            files.extend(remembered.iter().map(|values| (REMEMBERED, values)));
            let written = self.write(&files, &state);
            Ok(written.map_err(|error| error.to_string()))
        })
    }

    /// Writes a snapshot under another name, renames it, and removes the oldest ones.
    fn write(
        &self,
        tensor_files: &[(&str, &Vec<(String, TensorData)>)],
        state: &State,
    ) -> Result<PathBuf> {
        let parent = &self.snapshots.folder;
        let partial = begin_partial(parent)?;
        let written = |name: &str, problem: String| Error::Snapshot {
            path: partial.path().join(name),
            problem,
        };

        for (name, tensors) in tensor_files {
            tensors::write(&partial.path().join(name), tensors)
                .map_err(|problem| written(name, problem))?;
        }
        write_json(&partial.path().join(STATE), state)?;
        let mut manifest = Manifest {
            files: BTreeMap::new(),
        };
        let names = tensor_files.iter().map(|(name, _)| *name);
        for name in names.chain([STATE]) {
            let path = partial.path().join(name);
            let file = fs::File::open(&path).map_err(Error::io(&path, "opening"))?;
            // On the disk before the folder has its name: the rename must not come first.
            file.sync_all().map_err(Error::io(&path, "writing"))?;
            let digest = of_file(&path).map_err(Error::io(&path, "reading"))?;
            manifest.files.insert(name.into(), digest);
        }
        write_json(&partial.path().join(MANIFEST), &manifest)?;

        let target = parent.join(folder_name(state.step));
        if target.exists() {
            // Damaged, or the run would have gone on after it.
            fs::remove_dir_all(&target).map_err(Error::io(&target, "removing"))?;
        }
        fs::rename(partial.path(), &target).map_err(Error::io(&target, "renaming into place"))?;
        let _ = partial.keep();
        // Only now: until the new snapshot is in place, the old ones are all there is.
        self.remove_old(state.judged.best.filter(|_| self.keep_best))?;
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

/// A folder for a snapshot until it is whole. What a killed run was writing is removed.
fn begin_partial(folder: &Path) -> Result<tempfile::TempDir> {
    fs::create_dir_all(folder).map_err(Error::io(folder, "creating the folder"))?;
    remove_partial(folder)?;
    tempfile::Builder::new()
        .prefix(PARTIAL)
        .tempdir_in(folder)
        .map_err(Error::io(folder, "creating a temporary folder"))
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
    /// Only on the first rank.
    tensors: Option<Tensors>,
}

struct Tensors {
    weights: Named,
    moments: Named,
    remembered: Option<Named>,
}

/// The newest whole snapshot of the run; the callback is told of newer ones that are not. The first rank looks for it.
///
/// # Errors
///
/// When there are snapshots although the run is not to go on, the newest whole one is of another run, or there is none to
/// extend.
pub(crate) fn newest(
    snapshots: &Snapshots,
    run: &RunIdentity,
    ranks: &Ranks,
    on_event: &mut dyn FnMut(&Event),
) -> Result<Option<Loaded>> {
    let mut tensors = None;
    let found = ranks.of_first(|| {
        let found = newest_whole(snapshots, run, on_event, Manifest::tensors)?;
        Ok(found.map(|(path, state, of_snapshot)| {
            tensors = Some(of_snapshot);
            (path, state)
        }))
    })?;
    Ok(found.map(|(path, state)| Loaded {
        path,
        state,
        tensors,
    }))
}

/// As [`newest`], for a run that is not begun yet: everything is read and nothing kept.
pub(super) fn check(
    snapshots: &Snapshots,
    run: &RunIdentity,
    on_event: &mut dyn FnMut(&Event),
) -> Result<Option<usize>> {
    let found = newest_whole(snapshots, run, on_event, Manifest::check)?;
    Ok(found.map(|(_, state, ())| state.step))
}

/// As [`check`], of the snapshots' states alone.
pub(super) fn check_identity(snapshots: &Snapshots, run: &RunIdentity) -> Result<Option<usize>> {
    let found = newest_whole(snapshots, run, &mut |_| {}, |_, _| Ok(()))?;
    Ok(found.map(|(_, state, ())| state.step))
}

/// The newest snapshot whose state can be read.
pub(super) fn newest_state(folder: &Path) -> Result<Option<(usize, RunIdentity)>> {
    let all = list(folder)?.into_iter().rev();
    let state = |(_, path): (usize, PathBuf)| Manifest::read(&path)?.state(&path);
    let mut readable = all.filter_map(|it| state(it).ok());
    Ok(readable.next().map(|state| (state.step, state.run)))
}

/// The newest snapshot whose state is of this run and of whose tensors `read` finds no fault.
fn newest_whole<T>(
    snapshots: &Snapshots,
    run: &RunIdentity,
    on_event: &mut dyn FnMut(&Event),
    read: impl Fn(&Manifest, &Path) -> Result<T, String>,
) -> Result<Option<(PathBuf, State, T)>> {
    let folder = &snapshots.folder;
    let all = list(folder)?;
    if !snapshots.goes_on() {
        return match all.last() {
            None => Ok(None),
            Some((step, _)) => Err(Error::SnapshotsExist {
                folder: folder.clone(),
                step: *step,
            }),
        };
    }
    for (_, path) in all.into_iter().rev() {
        let of_run = Manifest::read(&path)
            .and_then(|manifest| manifest.state(&path).map(|state| (manifest, state)));
        let problem = match of_run {
            Ok((manifest, state)) => {
                // Before gigabytes are read.
                let differences = state.run.differences(run, snapshots.extend);
                if !differences.is_empty() {
                    return Err(Error::OtherRun {
                        path,
                        difference: differences.join("; "),
                    });
                }
                match read(&manifest, &path) {
                    Ok(tensors) => return Ok(Some((path, state, tensors))),
                    Err(problem) => problem,
                }
            }
            Err(Fault::Damaged(problem)) => problem,
            Err(Fault::Version(version)) => {
                let problem = format!(
                    "it has version {version}, and this program reads version {}; go on with the program that wrote it, or name another folder",
                    State::VERSION
                );
                return Err(Error::Snapshot { path, problem });
            }
        };
        on_event(&Event::DamagedSnapshot { path, problem });
    }
    match snapshots.extend {
        true => Err(Error::NothingToExtend {
            folder: folder.clone(),
        }),
        false => Ok(None),
    }
}

/// Gives the models of all ranks the weights of the snapshot after a step; `None`, and an event, when it is damaged.
pub(crate) fn restore_weights<M: Module>(
    snapshots: &Snapshots,
    step: usize,
    model: M,
    ranks: &Ranks,
    on_event: &mut dyn FnMut(&Event),
) -> Result<Option<M>> {
    let path = snapshots.folder.join(folder_name(step));
    let mut weights = None;
    let problem = ranks.of_first(|| {
        let read = Manifest::read(&path).and_then(|it| {
            weights = Some(tensors::read(&it.bytes(&path, WEIGHTS)?)?);
            Ok(())
        });
        Ok(match read {
            Err(Fault::Damaged(problem)) => Some(problem),
            _ => None,
        })
    })?;
    if let Some(problem) = problem {
        on_event(&Event::DamagedSnapshot { path, problem });
        return Ok(None);
    }
    let filled = match weights {
        Some(weights) => tensors::fill(model, weights),
        None => Ok(model),
    };
    let filled = filled.map_err(|problem| Error::Snapshot { path, problem });
    tensors::share_weights(ranks.all_ok(filled)?, ranks).map(Some)
}

impl Manifest {
    fn read(folder: &Path) -> Result<Self, Fault> {
        let text = fs::read(folder.join(MANIFEST)).map_err(|error| error.to_string());
        let manifest = text.and_then(|it| serde_json::from_slice(&it).map_err(|e| e.to_string()));
        manifest.map_err(|error| Fault::Damaged(format!("{MANIFEST}: {error}")))
    }

    /// The bytes of a file, if they are those that were written.
    fn bytes(&self, folder: &Path, name: &str) -> Result<Vec<u8>, String> {
        let bytes = fs::read(folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
        self.compare(name, &of_bytes(&bytes)).map(|()| bytes)
    }

    fn compare(&self, name: &str, digest: &str) -> Result<(), String> {
        match self.files.get(name) {
            Some(written) if written == digest => Ok(()),
            _ => Err(format!("{name} is not what was written")),
        }
    }

    fn state(&self, folder: &Path) -> Result<State, Fault> {
        State::read(&self.bytes(folder, STATE)?)
    }

    fn tensors(&self, folder: &Path) -> Result<Tensors, String> {
        let tensors = |name: &str| tensors::read(&self.bytes(folder, name)?);
        Ok(Tensors {
            weights: tensors(WEIGHTS)?,
            moments: tensors(MOMENTS)?,
            remembered: match self.files.contains_key(REMEMBERED) {
                true => Some(tensors(REMEMBERED)?),
                false => None,
            },
        })
    }

    /// Compares all files with what was written, one part after another.
    fn check(&self, folder: &Path) -> Result<(), String> {
        let needed = [WEIGHTS, MOMENTS];
        if let Some(name) = needed.iter().find(|name| !self.files.contains_key(**name)) {
            return Err(format!("{MANIFEST} lacks {name}"));
        }
        for name in self.files.keys() {
            let digest = of_file(&folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
            self.compare(name, &digest)?;
        }
        Ok(())
    }
}

impl Loaded {
    /// The weights that the objective remembered, in a copy of the model, if there are any.
    pub fn restore_remembered<M: Module>(&self, model: &M, ranks: &Ranks) -> Result<Option<M>> {
        let here = self.tensors.as_ref().and_then(|it| it.remembered.clone());
        if !ranks.of_first(|| Ok(here.is_some()))? {
            return Ok(None);
        }
        let filled = match here {
            Some(values) => tensors::fill(model.clone(), values),
            None => Ok(model.clone()),
        };
        let filled = filled.map_err(|problem| Error::Snapshot {
            path: self.path.clone(),
            problem,
        });
        tensors::share_weights(ranks.all_ok(filled)?, ranks).map(Some)
    }

    /// Puts weights and moments back, on every rank its part of the moments.
    pub fn restore<M: Module>(
        self,
        model: M,
        optimizer: &mut StepOptimizer,
        ranks: &Ranks,
    ) -> Result<M> {
        let Self {
            path,
            state,
            tensors,
        } = self;
        let failed = |problem| Error::Snapshot {
            path: path.clone(),
            problem,
        };
        let mut moments = None;
        let filled = match tensors {
            Some(tensors) => {
                moments = Some(tensors.moments);
                tensors::fill(model, tensors.weights).map_err(failed)
            }
            None => Ok(model),
        };
        let model = tensors::share_weights(ranks.all_ok(filled)?, ranks)?;
        let device = crate::run::plain_device(&model);
        let parameters = Parameters::of(&model);
        let mut restored = HashMap::new();
        for ((name, id), (_, value)) in parameters.ids.iter().zip(&parameters.values) {
            let Some(&updates) = state.updates.get(name) else {
                continue;
            };
            let mut part_of = |moment: Moment| {
                let kept = format!("{name}.{}", moment.name);
                let mut whole = ranks.all_ok(match &mut moments {
                    Some(moments) => moments
                        .remove(&kept)
                        .map(floats)
                        .filter(|values| values.len() == moment.elements)
                        .ok_or_else(|| failed(format!("no moment `{kept}` of this model"))),
                    None => Ok(vec![0.0; moment.elements]),
                })?;
                ranks.broadcast(&mut whole)?;
                let whole = lasting(&device, whole, |it| flat_tensor(it, &device, value.dtype()));
                Ok::<_, Error>(match moment.is_shared {
                    true => ranks.own_part(whole),
                    false => whole,
                })
            };
            let [one, other] = moments_of(optimizer.kind(), &value.shape().to_vec());
            let tensors = [part_of(one)?, part_of(other)?];
            restored.insert(*id, Moments { tensors, updates });
        }
        optimizer.set_moments(restored);
        Ok(model)
    }
}
