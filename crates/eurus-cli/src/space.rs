//! Room on the disk, looked at before a run needs it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use eurus::models::WeightType;
use eurus::train::Snapshots;
use eurus::train::plan::Costs;
use indicatif::HumanBytes;

use crate::output::existing_ancestor;

/// Bytes that a run writes, beyond a few files of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// The checkpoint, and adapters apart.
    pub result: u64,
    /// One snapshot: weights and what the optimizer keeps, in float32.
    pub snapshot: u64,
}

impl Sizes {
    pub fn of(costs: &Costs<'_>, weight_type: WeightType) -> Self {
        let counts = [
            costs.parameters(),
            costs.trained_parameters(),
            costs.moments(),
        ];
        let [all, trained, moments] = counts.map(|count| count as u64);
        let adapters = match costs.adapters {
            Some(_) => 4 * trained,
            None => 0,
        };
        Self {
            result: all * weight_type.bytes() as u64 + adapters,
            snapshot: 4 * (all + moments),
        }
    }
}

/// Refuses a run whose result and snapshots have no room. `saves` is how often it saves its state if nothing interrupts it,
/// `best` whether the best snapshot is kept beside the newest.
pub fn check(
    out: &Path,
    snapshots: &Snapshots,
    sizes: Sizes,
    saves: usize,
    best: bool,
) -> Result<Option<String>> {
    let kept = saves.min(snapshots.keep.saturating_add(usize::from(best)));
    // The oldest goes when the newest is whole. Those that are there already take their room.
    let most = kept + usize::from(saves > kept);
    let most = most.saturating_sub(present(snapshots)) as u64;
    let [of_out, of_snapshots] = [out, &snapshots.folder].map(FileSystem::of);
    let (Some(of_out), Some(of_snapshots)) = (of_out, of_snapshots) else {
        return Ok(None);
    };
    let result_line = format!(
        "the result {} in {}",
        HumanBytes(sizes.result),
        out.display()
    );
    let snapshots_need = most.saturating_mul(sizes.snapshot);
    let snapshots_line = format!(
        "{most} snapshots {} in {}",
        HumanBytes(snapshots_need),
        snapshots.folder.display()
    );
    let advice = "make room, name another folder with --out or --snapshots, or keep fewer snapshots (--snapshots-keep)";
    if of_out.device == of_snapshots.device {
        let need = sizes.result.saturating_add(snapshots_need);
        if need > of_out.free {
            let parts = match most {
                0 => result_line,
                _ => format!("{result_line}, {snapshots_line}"),
            };
            bail!(
                "there is no room for the run: it needs {} ({parts}), and {} are free; {advice}",
                HumanBytes(need),
                HumanBytes(of_out.free)
            );
        }
        let left = of_out.free - need;
        return Ok((most == 0 && left < sizes.snapshot)
            .then(|| unsaved(&snapshots.folder, sizes.snapshot, left)));
    }
    for (line, need, there) in [
        (result_line, sizes.result, &of_out),
        (snapshots_line, snapshots_need, &of_snapshots),
    ] {
        if need > there.free {
            bail!(
                "there is no room for the run: it needs {} for {line}, and {} are free there; {advice}",
                HumanBytes(need),
                HumanBytes(there.free)
            );
        }
    }
    Ok((most == 0 && of_snapshots.free < sizes.snapshot)
        .then(|| unsaved(&snapshots.folder, sizes.snapshot, of_snapshots.free)))
}

/// A warning: an interrupt wants to save the state, whether or not snapshots are asked for.
fn unsaved(folder: &Path, need: u64, free: u64) -> String {
    format!(
        "warning: there is no room for a snapshot in {} ({} of {} free): the state could not be saved at an interrupt",
        folder.display(),
        HumanBytes(free),
        HumanBytes(need)
    )
}

/// Snapshots that are there already.
fn present(snapshots: &Snapshots) -> usize {
    let entries = std::fs::read_dir(&snapshots.folder).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with("step-")).count()
}

/// A file system, as far as it can be told.
struct FileSystem {
    device: u64,
    /// Bytes that this user may still write.
    free: u64,
}

impl FileSystem {
    #[cfg(unix)]
    fn of(path: &Path) -> Option<Self> {
        let folder = existing(path);
        let usage = rustix::fs::statvfs(&folder).ok()?;
        let device = std::os::unix::fs::MetadataExt::dev(&std::fs::metadata(&folder).ok()?);
        Some(Self {
            device,
            free: usage.f_bavail.saturating_mul(usage.f_frsize),
        })
    }

    #[cfg(not(unix))]
    fn of(_path: &Path) -> Option<Self> {
        None
    }
}

/// The folder itself, or the nearest one above it that is there.
fn existing(path: &Path) -> PathBuf {
    match path.is_dir() {
        true => path.to_path_buf(),
        false => existing_ancestor(path),
    }
}

/// Whether two folders share their room, as far as it can be told.
pub fn on_one_file_system(a: &Path, b: &Path) -> bool {
    match (FileSystem::of(a), FileSystem::of(b)) {
        (Some(a), Some(b)) => a.device == b.device,
        _ => true,
    }
}
