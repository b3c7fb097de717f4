//! Runs as they lie on the disk: of training, of evaluation, what is printed of rerankings and reward models, and quickstarts.
//!
//! [`Runs`] reads what was added since the last time, so that it can follow a run that goes on.

mod event;
mod metrics;
mod place;
mod printed;
mod settings;
mod training;
pub(crate) mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use eurus_eval::reranking::RerankingCurve;
use eurus_eval::runs::Summary;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};
use metrics::MetricsFile;
use place::Place;
pub use printed::{Printed, ProcessReward, RewardModelResult};
pub use settings::Settings;
pub use training::{Judged, Remark, Sample, Step, TrainingKind, TrainingRun};

/// Runs, in the order in which they were given.
#[derive(Debug)]
pub struct Runs {
    folders: Vec<RunFolder>,
}

/// What is in one place that was given.
#[derive(Debug, Default)]
pub struct RunFolder {
    /// What was given.
    path: PathBuf,
    name: String,
    place: Place,
    metrics: Option<MetricsFile>,
    settings: Option<Settings>,
    evaluation: Option<Box<Summary>>,
    printed: Option<Printed>,
    measures: BTreeMap<String, f64>,
    notes: Vec<String>,
}

impl Runs {
    /// The runs in these folders or files, read as they are now.
    ///
    /// # Errors
    ///
    /// A path without a run, a file that cannot be read, and one that is not what it should be.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        let names = names(paths);
        let folder = |(path, name): (&PathBuf, String)| RunFolder {
            path: path.clone(),
            name,
            ..RunFolder::default()
        };
        let mut runs = Self {
            folders: paths.iter().zip(names).map(folder).collect(),
        };
        runs.update()?;
        Ok(runs)
    }

    /// Reads what has changed. Returns whether anything has.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn update(&mut self) -> Result<bool> {
        let mut changed = false;
        for folder in &mut self.folders {
            changed |= folder.update()?;
        }
        Ok(changed)
    }

    /// What is in each place that was given.
    pub fn folders(&self) -> &[RunFolder] {
        &self.folders
    }

    /// All runs of training with names that tell them apart.
    pub fn training(&self) -> Vec<(String, &TrainingRun)> {
        let one = self.folders.len() == 1;
        let of_folder = |folder: &'_ RunFolder, run: &TrainingRun| match &run.stage {
            Some(stage) if one => stage.clone(),
            Some(stage) => format!("{}: {stage}", folder.name),
            None => folder.name.clone(),
        };
        let folders = self.folders.iter();
        folders
            .flat_map(|folder| {
                let runs = folder.training().iter();
                runs.map(move |run| (of_folder(folder, run), run))
            })
            .collect()
    }

    /// What readers should bear in mind: files that are cut, missing or of another version.
    pub fn notes(&self) -> Vec<String> {
        self.folders.iter().flat_map(RunFolder::notes).collect()
    }

    /// Whether every run has come to its end, as far as the files tell.
    pub fn are_complete(&self) -> bool {
        self.folders.iter().all(RunFolder::is_complete)
    }
}

impl RunFolder {
    /// A name that tells it from the others.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs of training: one, or the stages of a quickstart.
    pub fn training(&self) -> &[TrainingRun] {
        self.metrics.as_ref().map_or(&[], |it| &it.runs)
    }

    /// What the training was made with, if it is told.
    pub fn settings(&self) -> Option<&Settings> {
        self.settings.as_ref()
    }

    /// What an evaluation comes to.
    pub fn evaluation(&self) -> Option<&Summary> {
        self.evaluation.as_deref()
    }

    /// What choosing among samples comes to.
    pub fn reranking(&self) -> Option<&RerankingCurve> {
        match &self.printed {
            Some(Printed::Reranking(curve)) => Some(curve),
            _ => None,
        }
    }

    /// What a reward model comes to on a benchmark.
    pub fn reward_model(&self) -> Option<&RewardModelResult> {
        match &self.printed {
            Some(Printed::RewardModel(result)) => Some(result),
            _ => None,
        }
    }

    /// How well rewards of turns tell right turns from wrong ones.
    pub fn process_rewards(&self) -> &[ProcessReward] {
        match &self.printed {
            Some(Printed::Process(rewards)) => rewards,
            _ => &[],
        }
    }

    /// The numbers of a quickstart by name.
    pub fn measures(&self) -> &BTreeMap<String, f64> {
        &self.measures
    }

    fn notes(&self) -> Vec<String> {
        let of_metrics = self.metrics.iter().flat_map(MetricsFile::notes);
        self.notes.iter().cloned().chain(of_metrics).collect()
    }

    /// A result is whole when it has its name; metrics of a run that has none yet may grow.
    fn is_complete(&self) -> bool {
        self.place.metrics.is_none() || self.place.measures.is_some() || self.place.is_result
    }

    fn update(&mut self) -> Result<bool> {
        let place = Place::find(&self.path)?;
        let mut changed = place != self.place;
        if changed {
            self.read_files(&place)?;
            self.place = place;
        }
        if let Some(metrics) = &mut self.metrics {
            changed |= metrics.update()?;
            self.check_events()?;
        }
        Ok(changed)
    }

    /// Reads everything but the metrics, which may be long and grow.
    fn read_files(&mut self, place: &Place) -> Result<()> {
        let known = self.metrics.take();
        // A quickstart's folder gets another name in the end, with the same file in it: it is read again.
        let known = known.filter(|it| Some(it.path()) == place.metrics.as_deref());
        self.metrics = known.or_else(|| place.metrics.clone().map(MetricsFile::new));
        self.notes.clear();
        self.settings = None;
        if let Some(record) = &place.record
            && place.metrics.is_some()
        {
            match json::<Value>(record).map(words::plain_value) {
                Ok(value) => {
                    let settings = Settings::of(&value);
                    self.notes.extend(settings.version_note(record));
                    self.settings = Some(settings);
                }
                Err(error) => self
                    .notes
                    .push(format!("{error}. Its settings are left out.")),
            }
        }
        let evaluation = place.evaluation.as_deref();
        self.evaluation = evaluation.map(read_evaluation).transpose()?.map(Box::new);
        let printed = place.printed.as_deref();
        self.printed = printed.map(Printed::read).transpose()?;
        self.measures = match &place.measures {
            Some(summary) => read_measures(summary)?,
            None => BTreeMap::new(),
        };
        Ok(())
    }

    /// A file with lines none of which is an event is none of metrics.
    fn check_events(&self) -> Result<()> {
        let Some(metrics) = &self.metrics else {
            return Ok(());
        };
        if metrics.has_events() || metrics.lines() == 0 {
            return Ok(());
        }
        let other = self.settings.as_ref().and_then(Settings::other_version);
        Err(Error::NoEvents {
            path: metrics.path().to_owned(),
            lines: metrics.lines(),
            version: other.map(str::to_owned),
        })
    }
}

fn read_evaluation(path: &Path) -> Result<Summary> {
    let value: Value = words::plain_value(json(path)?);
    let version = value["run"]["eurus"].as_str().map(str::to_owned);
    serde_json::from_value(value).map_err(|error| Error::OtherVersion {
        path: path.to_owned(),
        problem: error.to_string(),
        version,
    })
}

/// The measures of a quickstart; those that are no numbers are left out.
fn read_measures(path: &Path) -> Result<BTreeMap<String, f64>> {
    let value: Value = words::plain_value(json(path)?);
    let measures = value["measures"].as_object().into_iter().flatten();
    let measures = measures.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)));
    Ok(measures.collect())
}

/// A JSON file.
fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|error| Error::Malformed {
        path: path.to_owned(),
        problem: error.to_string(),
    })
}

/// The last part of each path, that of JSON without its ending, or all of it where two end alike.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let last = |path: &Path| {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let is_metrics = path.file_name().is_some_and(|it| it == "metrics.jsonl");
        let named = match is_metrics {
            true => path.parent().unwrap_or(&path),
            false => &path,
        };
        let is_printed = named.extension().is_some_and(|it| it == "json") && named.is_file();
        let name = match is_printed {
            true => named.file_stem(),
            false => named.file_name(),
        };
        let name = name.map(|it| it.to_string_lossy().into_owned());
        name.unwrap_or_else(|| path.display().to_string())
    };
    let short: Vec<String> = paths.iter().map(|path| last(path)).collect();
    let is_alone = |name: &String| short.iter().filter(|it| *it == name).count() == 1;
    let whole = paths.iter().map(|path| path.display().to_string());
    short
        .iter()
        .zip(whole)
        .map(|(short, whole)| words::plain(if is_alone(short) { short } else { &whole }))
        .collect()
}
