//! The files of a run.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::harness;
use super::page::{SettingFiles, markdown, page};
use super::record::RunRecord;
use super::summary::Summary;
use super::verdicts::ItemVerdict;
use crate::error::{Error, Result};
use crate::files::{read_json, read_lines, write_json, write_lines, write_text};
use crate::reranking::RerankingCurve;
use crate::samples::{Sample, first_difference};
use crate::tasks::Item;

/// A folder with the answers of a model to a task, and what is said of them.
///
/// | file | what is in it |
/// | --- | --- |
/// | `run.json` | all that the answers depend on |
/// | `SETTING/items.jsonl` | what was asked, and what is right |
/// | `SETTING/answers.jsonl` | a line for each answer |
/// | `SETTING/unanswered.json` | items without an answer, and why |
/// | `SETTING/verdicts.jsonl` | a line for each answer |
/// | `summary.json`, `summary.md`, `report.html` | what it comes to |
/// | `rerank.json`, `rerank.html` | what choosing among several samples comes to |
/// | `times.jsonl` | when and how long: the only file that differs from run to run |
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
}

/// One setting of a run, read.
#[derive(Debug, Clone)]
pub struct SettingRun {
    /// Its name.
    pub name: String,
    /// What was asked.
    pub items: Vec<Item>,
    /// What was answered.
    pub answers: Vec<Sample>,
    /// Items without an answer, and why.
    pub unanswered: HashMap<String, String>,
}

impl RunFolder {
    /// Makes a folder for a run, or goes on with one that was made for the same.
    ///
    /// # Errors
    ///
    /// [`Error::OtherSettings`] for a folder of another run, and when the folder cannot be written.
    pub fn create(path: impl Into<PathBuf>, record: &RunRecord) -> Result<Self> {
        let folder = Self { path: path.into() };
        let file = folder.path.join("run.json");
        let wanted = to_json(record, &file)?;
        if file.exists() {
            let had: Value = read_json(&file)?;
            if let Some((field, had, wanted)) = first_difference(&had, &wanted) {
                return Err(Error::OtherSettings {
                    path: file,
                    field,
                    had,
                    wanted,
                });
            }
        }
        for setting in &record.settings {
            let path = folder.setting(&setting.name);
            fs::create_dir_all(&path).map_err(|source| Error::Write { path, source })?;
        }
        write_json(&file, &wanted)?;
        Ok(folder)
    }

    /// The folder of a run that was made.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the run is.
    ///
    /// # Errors
    ///
    /// When there is no run here.
    pub fn record(&self) -> Result<RunRecord> {
        read_json(&self.path.join("run.json"))
    }

    /// The folder of a setting.
    pub fn setting(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The file of a setting's answers.
    pub fn answers(&self, setting: &str) -> PathBuf {
        self.setting(setting).join("answers.jsonl")
    }

    /// Writes down what is asked in a setting.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write_items(&self, setting: &str, items: &[Item]) -> Result<()> {
        write_lines(&self.setting(setting).join("items.jsonl"), items)
    }

    /// Writes down which items have no answer, and why.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write_unanswered(&self, setting: &str, reasons: &HashMap<String, String>) -> Result<()> {
        // In order, so that the file is the same every time.
        let ordered: std::collections::BTreeMap<_, _> = reasons.iter().collect();
        write_json(&self.setting(setting).join("unanswered.json"), &ordered)
    }

    /// A setting's items and answers.
    ///
    /// # Errors
    ///
    /// When a file is missing or cannot be read.
    pub fn read_setting(&self, name: &str) -> Result<SettingRun> {
        let folder = self.setting(name);
        Ok(SettingRun {
            name: name.to_owned(),
            items: read_lines(&folder.join("items.jsonl"))?,
            answers: read_lines(&folder.join("answers.jsonl"))?,
            unanswered: read_json(&folder.join("unanswered.json"))?,
        })
    }

    /// A setting's verdicts.
    ///
    /// # Errors
    ///
    /// When the file is missing or cannot be read.
    pub fn verdicts(&self, setting: &str) -> Result<Vec<ItemVerdict>> {
        read_lines(&self.setting(setting).join("verdicts.jsonl"))
    }

    /// What the run comes to.
    ///
    /// # Errors
    ///
    /// When it has not been graded.
    pub fn summary(&self) -> Result<Summary> {
        read_json(&self.path.join("summary.json"))
    }

    /// Writes the verdicts of all settings and what they come to.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write_results(
        &self,
        summary: &Summary,
        settings: &[(SettingRun, Vec<ItemVerdict>)],
    ) -> Result<()> {
        let files: Vec<SettingFiles<'_>> = settings.iter().map(files).collect();
        for (setting, verdicts) in settings {
            write_lines(
                &self.setting(&setting.name).join("verdicts.jsonl"),
                verdicts,
            )?;
        }
        write_json(&self.path.join("summary.json"), summary)?;
        write_text(&self.path.join("summary.md"), markdown(summary).as_bytes())?;
        page(summary, &files).write(self.path.join("report.html"))
    }

    /// Writes the files of lm-evaluation-harness, with a date in their names.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write_harness(
        &self,
        summary: &Summary,
        settings: &[(SettingRun, Vec<ItemVerdict>)],
        date: &str,
    ) -> Result<()> {
        let path = self.path.join(format!("results_{date}.json"));
        write_json(&path, &harness::results(summary))?;
        for setting in settings {
            let name = harness::task_name(summary, &setting.0.name);
            let path = self.path.join(format!("samples_{name}_{date}.jsonl"));
            write_lines(&path, harness::samples(&files(setting)))?;
        }
        Ok(())
    }

    /// Writes what choosing among the samples comes to, for reports.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write_reranking(&self, curve: &RerankingCurve) -> Result<()> {
        write_json(&self.path.join("rerank.json"), curve)
    }

    /// Adds a line to `times.jsonl`.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn add_times(&self, times: &Value) -> Result<()> {
        use std::io::Write;
        let path = self.path.join("times.jsonl");
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).append(true).open(&path);
        file.and_then(|mut file| writeln!(file, "{times}"))
            .map_err(|source| Error::Write { path, source })
    }
}

fn files((setting, verdicts): &(SettingRun, Vec<ItemVerdict>)) -> SettingFiles<'_> {
    SettingFiles {
        name: &setting.name,
        items: &setting.items,
        answers: &setting.answers,
        verdicts,
    }
}

fn to_json(record: &RunRecord, path: &Path) -> Result<Value> {
    serde_json::to_value(record).map_err(|error| Error::Json {
        path: path.to_owned(),
        problem: error.to_string(),
    })
}
