//! What is kept of a step that was run: by it a runner knows whether the step has to be run again, and why.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::plan::{Input, Step};
use crate::{Error, Result, digest};

/// Raised when records can no longer be read as before.
const FORMAT: u32 = 1;

/// How far a step has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It was begun. Its result may be there in part.
    Begun,
    /// Its result is whole.
    Done,
}

/// What a step was run with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    format: u32,
    /// The version of the program.
    program: String,
    state: State,
    /// The command.
    words: Vec<String>,
    /// Digests of what it depends on, by its name.
    inputs: BTreeMap<String, String>,
}

/// Where files of a step lie beside its result.
fn beside(step: &Step, end: &str) -> PathBuf {
    let mut path = step.output.clone().into_os_string();
    path.push(end);
    path.into()
}

impl Step {
    /// The file that keeps what the step was run with.
    pub fn record_file(&self) -> PathBuf {
        beside(self, ".step.json")
    }

    /// The file that keeps the recipe that the step was run with.
    pub fn recipe_file(&self) -> PathBuf {
        beside(self, ".recipe.toml")
    }

    /// The folder in which a command of training keeps its snapshots.
    pub fn snapshots(&self) -> PathBuf {
        beside(self, ".snapshots")
    }
}

/// What has to be done for a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: it is what it would become.
    Skip,
    /// It has never been run.
    Begin,
    /// It was broken off, and nothing has changed since: the same command goes on.
    GoOn,
    /// What it was run with is no longer so. What there is of it is to be put aside first.
    Again(Vec<Change>),
}

/// Something that is not as it was when a step was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Another version of the program.
    Program {
        /// The version that ran it.
        was: String,
    },
    /// The words of the command.
    Words {
        /// Those that were there and are not any more.
        gone: Vec<String>,
        /// Those that were not there.
        new: Vec<String>,
    },
    /// Something that it depends on.
    Input(String),
    /// Its result is not there any more.
    ResultGone,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Program { was } => write!(f, "it was made by version {was}"),
            Change::Words { gone, new } if new.is_empty() => {
                write!(f, "`{}` is no longer said", gone.join(" "))
            }
            Change::Words { gone, new } if gone.is_empty() => {
                write!(f, "`{}` is new", new.join(" "))
            }
            Change::Words { gone, new } => {
                write!(f, "`{}` instead of `{}`", new.join(" "), gone.join(" "))
            }
            Change::Input(name) => write!(f, "{name} changed"),
            Change::ResultGone => f.write_str("its result is gone"),
        }
    }
}

impl Record {
    /// What a step would be run with now.
    ///
    /// # Errors
    ///
    /// When what it depends on cannot be read.
    pub fn of(step: &Step, steps: &[Step], program: &str) -> Result<Self> {
        let mut inputs = BTreeMap::new();
        for input in &step.inputs {
            let (name, path) = match input {
                Input::Step(name) => {
                    let before = steps.iter().find(|it| it.name == *name);
                    (
                        format!("the result of {name}"),
                        before.map(|it| it.output.clone()),
                    )
                }
                Input::Model(base) => {
                    let folder = PathBuf::from(base);
                    (
                        format!("the model {base}"),
                        Some(folder).filter(|it| it.exists()),
                    )
                }
                Input::Files(path) => (path.display().to_string(), Some(path.clone())),
            };
            let digest = match &path {
                Some(path) => digest_of(path)?,
                // A model of the hub is known by its name and revision.
                None => String::new(),
            };
            inputs.insert(name, digest);
        }
        Ok(Self {
            format: FORMAT,
            program: program.to_owned(),
            state: State::Begun,
            words: step.work.words().to_vec(),
            inputs,
        })
    }

    /// What has to be done for a step that would be run with this now.
    ///
    /// # Errors
    ///
    /// When the record of the step cannot be read, is of a later version, or there is a result without one, which is not ours to
    /// put aside.
    pub fn decide(&self, step: &Step) -> Result<Decision> {
        let path = step.record_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return match step.output.exists() {
                    false => Ok(Decision::Begin),
                    true => Err(Error::Foreign {
                        path: step.output.clone(),
                        step: step.name.clone(),
                    }),
                };
            }
            Err(source) => return Err(Error::Read { path, source }),
        };
        let was = Self::parse(&text, &path)?;
        let changes = self.changes(&was);
        Ok(match was.state {
            _ if !changes.is_empty() => Decision::Again(changes),
            State::Begun => Decision::GoOn,
            State::Done if step.output.exists() => Decision::Skip,
            State::Done => Decision::Again(vec![Change::ResultGone]),
        })
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
            #[serde(default)]
            program: String,
        }
        let fault = |problem: String| Error::Record {
            path: path.to_owned(),
            problem,
        };
        let format: Format =
            serde_json::from_str(text).map_err(|error| fault(error.to_string()))?;
        if format.format != FORMAT {
            return Err(fault(format!(
                "it is of version {} of the program, in a format that this one does not know",
                format.program
            )));
        }
        serde_json::from_str(text).map_err(|error| fault(error.to_string()))
    }

    fn changes(&self, was: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.program != was.program {
            changes.push(Change::Program {
                was: was.program.clone(),
            });
        }
        if self.words != was.words {
            let (now, before) = (options(&self.words), options(&was.words));
            let without = |all: &[String], known: &[String]| -> Vec<String> {
                let missing = all.iter().filter(|it| !known.contains(it));
                missing.cloned().collect()
            };
            changes.push(Change::Words {
                gone: without(&before, &now),
                new: without(&now, &before),
            });
        }
        let names = self.inputs.keys().chain(was.inputs.keys());
        let changed: std::collections::BTreeSet<&String> = names
            .filter(|name| self.inputs.get(*name) != was.inputs.get(*name))
            .collect();
        changes.extend(changed.into_iter().cloned().map(Change::Input));
        changes
    }

    /// Writes down that the step is begun with this.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn begin(&mut self, step: &Step) -> Result<()> {
        self.state = State::Begun;
        self.write(step)
    }

    /// Writes down that the step's result is whole.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn finish(&mut self, step: &Step) -> Result<()> {
        self.state = State::Done;
        self.write(step)
    }

    fn write(&self, step: &Step) -> Result<()> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        write_whole(&step.record_file(), &text)
    }
}

/// Options with their values, and what stands before them, so that changes are told as they would be typed.
fn options(words: &[String]) -> Vec<String> {
    let mut options: Vec<String> = Vec::new();
    for word in words {
        match options.last_mut() {
            Some(last) if !word.starts_with("--") && last.starts_with("--") => {
                last.push(' ');
                last.push_str(word);
            }
            _ => options.push(word.clone()),
        }
    }
    options
}

/// The digest of files that a pattern names, or of what lies at a path.
fn digest_of(path: &Path) -> Result<String> {
    let of = if path.exists() {
        digest::of_path(path)
    } else {
        let files = ultrainteract::input::expand([path.to_string_lossy()]).map_err(|error| {
            Error::Missing {
                problem: error.to_string(),
            }
        })?;
        digest::of_files(&files)
    };
    of.map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

/// Writes a file that is there whole or as it was.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<()> {
    let fault = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(fault)?;
    let mut file = tempfile::Builder::new()
        .prefix(".eurus-")
        .tempfile_in(folder)
        .map_err(fault)?;
    file.write_all(text.as_bytes()).map_err(fault)?;
    file.as_file().sync_all().map_err(fault)?;
    file.persist(path).map_err(|error| fault(error.error))?;
    Ok(())
}

/// Writes the recipe beside the result of a step.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write_recipe(recipe: &crate::Recipe, step: &Step) -> Result<()> {
    write_whole(&step.recipe_file(), &recipe.resolved())
}

/// Puts aside what there is of a step, so that it can be begun anew: nothing is removed. What was moved, and where to.
///
/// # Errors
///
/// When something cannot be moved.
pub fn put_aside(step: &Step) -> Result<Option<PathBuf>> {
    let aside = |path: &Path, number: usize| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".before-{number}"));
        PathBuf::from(name)
    };
    let parts = [
        step.output.clone(),
        step.snapshots(),
        // That of `eurus data mix`.
        beside(step, ".manifest.json"),
        step.recipe_file(),
        step.record_file(),
    ];
    let is_free = |number: &usize| parts.iter().all(|path| !aside(path, *number).exists());
    let number = (1..).find(is_free).unwrap_or(1);
    // The record goes last: until then the step is known to be ours.
    for path in parts.iter().filter(|path| path.exists()) {
        fs::rename(path, aside(path, number)).map_err(|source| Error::Write {
            path: path.clone(),
            source,
        })?;
    }
    let moved = aside(&step.output, number);
    Ok(moved.exists().then_some(moved))
}
