//! Where the files of a run are: in the folder that was given, or on their way to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::json;
use crate::error::{Error, Result};

const METRICS: &str = "metrics.jsonl";
const RECORD: &str = "run.json";
const SUMMARY: &str = "summary.json";
/// One of these is in the folder of a model.
const MODEL: [&str; 2] = ["config.json", "adapter_config.json"];
const RERANKING: &str = "rerank.json";

/// The files of a run that are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Events of training.
    pub metrics: Option<PathBuf>,
    /// What the run was made with.
    pub record: Option<PathBuf>,
    /// What an evaluation comes to.
    pub evaluation: Option<PathBuf>,
    /// What a command printed with `--json`, or left among the files of an evaluation.
    pub printed: Option<PathBuf>,
    /// The numbers of a quickstart.
    pub measures: Option<PathBuf>,
    /// Whether the metrics lie beside the model that came of them.
    pub is_result: bool,
    /// When all but the metrics were written.
    written: [Option<SystemTime>; 4],
}

impl Place {
    /// Looks for the run that is in a folder, that is on its way to it, or whose file this is.
    pub fn find(path: &Path) -> Result<Self> {
        let mut place = Self::of(path)?;
        let files = [
            &place.record,
            &place.evaluation,
            &place.printed,
            &place.measures,
        ];
        place.written = files.map(|file| modified(file.as_deref()?));
        Ok(place)
    }

    fn of(path: &Path) -> Result<Self> {
        if path.is_file() {
            return Ok(of_file(path));
        }
        let on_its_way = on_its_way(path);
        if !path.is_dir() {
            let metrics = on_its_way.ok_or_else(|| Error::NotThere {
                path: path.to_owned(),
            })?;
            return Ok(of_metrics(metrics));
        }
        let mut place = of_folder(path)?;
        if let Some(newer) = on_its_way.filter(|it| is_newer(it, path)) {
            // The result that is there is of an earlier run.
            place = of_metrics(newer);
        }
        if place.metrics.is_none() && place.evaluation.is_none() && place.printed.is_none() {
            return Err(missing(path));
        }
        Ok(place)
    }
}

fn of_file(path: &Path) -> Place {
    let is_json = path.extension().is_some_and(|it| it == "json");
    match is_json {
        true => Place {
            printed: Some(path.to_owned()),
            ..Place::default()
        },
        false => of_metrics(path.to_owned()),
    }
}

fn of_metrics(metrics: PathBuf) -> Place {
    Place {
        record: Some(metrics.with_file_name(RECORD)).filter(|it| it.is_file()),
        metrics: Some(metrics),
        ..Place::default()
    }
}

fn of_folder(folder: &Path) -> Result<Place> {
    let file = |name: &str| Some(folder.join(name)).filter(|it| it.is_file());
    let mut place = Place {
        metrics: file(METRICS),
        record: file(RECORD),
        printed: file(RERANKING),
        is_result: MODEL.iter().any(|name| folder.join(name).is_file()),
        ..Place::default()
    };
    if let Some(summary) = file(SUMMARY) {
        let is_quickstart = json::<Value>(&summary)?.get("measures").is_some();
        match is_quickstart {
            true => place.measures = Some(summary),
            false => place.evaluation = Some(summary),
        }
    }
    Ok(place)
}

/// The metrics of a run that is to become this folder: among its snapshots, or in the hidden folder of a quickstart.
fn on_its_way(out: &Path) -> Option<PathBuf> {
    let mut snapshots = out.as_os_str().to_owned();
    snapshots.push(".snapshots");
    let among_snapshots = Some(Path::new(&snapshots).join(METRICS)).filter(|it| it.is_file());
    among_snapshots.or_else(|| hidden(out))
}

/// The metrics of the newest hidden folder beside `out` that is named for it.
fn hidden(out: &Path) -> Option<PathBuf> {
    let prefix = format!(".{}.", out.file_name()?.to_string_lossy());
    let parent = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let entries = fs::read_dir(parent).ok()?.filter_map(Result::ok);
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path().join(METRICS))
        .filter(|metrics| metrics.is_file())
        .max_by_key(|metrics| modified(metrics))
}

/// Whether metrics on their way were written after the result that is there.
fn is_newer(metrics: &Path, folder: &Path) -> bool {
    let result = [RECORD, METRICS].map(|name| modified(&folder.join(name)));
    modified(metrics) > result.into_iter().max().flatten()
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

fn missing(folder: &Path) -> Error {
    let record: Option<Value> = json(&folder.join(RECORD)).ok();
    let metrics = record
        .as_ref()
        .and_then(|it| it["options"]["metrics"].as_str());
    match metrics {
        Some(metrics) => Error::MetricsElsewhere {
            path: folder.to_owned(),
            metrics: metrics.to_owned(),
        },
        None => Error::NoRun {
            path: folder.to_owned(),
        },
    }
}
