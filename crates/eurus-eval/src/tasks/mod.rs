//! Benchmarks as data: where their items come from, what a model is asked, and when an answer is right.
//!
//! A task is a [file](TaskFile) of TOML. Those of the paper are built in; data sets are files that the user has, in the form
//! in which they are published.
//!
//! ```
//! use eurus_eval::tasks::Task;
//!
//! let svamp = Task::built_in("svamp")?;
//! assert_eq!(svamp.settings(), ["cot", "pot"]);
//! let error = Task::built_in("swamp").unwrap_err();
//! assert!(error.to_string().contains("did you mean `svamp`?"));
//! # Ok::<(), eurus_eval::Error>(())
//! ```

mod built_in;
mod file;
mod grading;
mod items;
mod nearest;
mod place;
mod reader;
mod rows;
mod templates;

use std::fs;
use std::path::{Path, PathBuf};

use chat_model::Sampling;
use sha2::{Digest, Sha256};

pub use file::{
    Bos, Data, Decoding, Format, Join, MessageTemplate, Nested, Prompt, Published, Role, Setting,
    Shots, TaskFile,
};
pub use grading::{Grader, Pythons};
pub use items::{BadItem, Item, Items};
pub use place::DataPlace;

use place::Files;
use reader::Reader;
use templates::{Templates, add_templates, environment};

use ultrainteract::nearest::with_nearest;

use crate::graders::generic::Extraction;
use crate::{Error, Result};

/// A benchmark, in one of its settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    file: TaskFile,
    setting: Option<String>,
    folder: Option<PathBuf>,
    sha256: String,
}

impl Task {
    /// A built-in task, in its first setting.
    ///
    /// # Errors
    ///
    /// When there is none of the name: with the nearest that there is.
    pub fn built_in(name: &str) -> Result<Self> {
        let Some((name, text)) = built_in::TASKS.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = built_in::TASKS.iter().map(|(name, _)| *name).collect();
            return Err(Error::UnknownTask {
                name: name.to_owned(),
                meant: nearest::meant(name, &known),
            });
        };
        Self::parsed(text, None).map_err(|problem| task_file(name, problem))
    }

    /// All built-in tasks.
    ///
    /// # Errors
    ///
    /// None, if the tests of this crate pass.
    pub fn all() -> Result<Vec<Self>> {
        let names = built_in::TASKS.iter().map(|(name, _)| *name);
        names.map(Self::built_in).collect()
    }

    /// Reads a task file. Its data are looked for in its folder, unless they are elsewhere.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no TOML, has a key that there is not, or names a field that its data do not have: with the
    /// place, and the nearest name that there is.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let named = |problem| task_file(&path.display().to_string(), problem);
        let text =
            fs::read_to_string(path).map_err(|error| named(format!("cannot be read: {error}")))?;
        let folder = path.parent().map(Path::to_owned);
        Self::parsed(&text, folder).map_err(named)
    }

    /// Parses the text of a task file.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn parse(text: &str) -> Result<Self> {
        Self::parsed(text, None).map_err(|problem| task_file("the task file", problem))
    }

    fn parsed(text: &str, folder: Option<PathBuf>) -> std::result::Result<Self, String> {
        let file: TaskFile =
            toml::from_str(text).map_err(|error| with_nearest(&error.to_string()))?;
        let setting = file.settings.keys().next().cloned();
        let task = Self {
            file,
            setting,
            folder,
            sha256: hex(&Sha256::digest(text)),
        };
        task.check()?;
        Ok(task)
    }

    fn check(&self) -> std::result::Result<(), String> {
        let name = &self.file.name;
        let may_stand = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        if name.is_empty() || !name.chars().all(may_stand) {
            return Err(format!(
                "`name` is `{name}`; lower-case letters, digits, `-` and `_` are wanted"
            ));
        }
        if self.file.data.fields.is_empty() {
            return Err("`data.fields` is empty; name the fields that each row has".to_owned());
        }
        match self.file.settings.is_empty() {
            true => self.check_setting(),
            false => self.settings().into_iter().try_for_each(|setting| {
                let task = Self {
                    setting: Some(setting.to_owned()),
                    ..self.clone()
                };
                let checked = task.check_setting();
                checked.map_err(|problem| format!("[settings.{setting}]: {problem}"))
            }),
        }
    }

    fn check_setting(&self) -> std::result::Result<(), String> {
        let prompt = self.prompt();
        match (&prompt.raw, prompt.messages.is_empty()) {
            (None, true) => {
                return Err(
                    "there is no prompt; give `prompt.messages`, or `prompt.raw`".to_owned(),
                );
            }
            (Some(_), false) => {
                return Err(
                    "there are `prompt.messages` and `prompt.raw`; leave one out".to_owned(),
                );
            }
            _ => {}
        }
        let mut environment = environment();
        add_templates(&mut environment, prompt)?;
        Templates::new(&environment, &self.file, prompt, self.sampling())?;
        let sampling = self.sampling();
        sampling
            .check()
            .map_err(|fault| format!("[decoding]: {fault}"))?;
        self.grader().check(self.extraction())
    }

    /// The same task in another setting.
    ///
    /// # Errors
    ///
    /// When it has no such setting: with those that it has.
    pub fn with_setting(&self, setting: &str) -> Result<Self> {
        let known = self.settings();
        if !known.contains(&setting) {
            return Err(Error::UnknownSetting {
                task: self.file.name.clone(),
                setting: setting.to_owned(),
                meant: nearest::meant(setting, &known),
            });
        }
        Ok(Self {
            setting: Some(setting.to_owned()),
            ..self.clone()
        })
    }

    /// The settings in which the task is run, of which the better one is reported. None for a task without.
    pub fn settings(&self) -> Vec<&str> {
        self.file.settings.keys().map(String::as_str).collect()
    }

    /// The setting that this is.
    pub fn setting(&self) -> Option<&str> {
        self.setting.as_deref()
    }

    /// What it is called on command lines.
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// What people call it.
    pub fn title(&self) -> &str {
        self.file.title.as_ref().unwrap_or(&self.file.name)
    }

    /// All that the task file says.
    pub fn file(&self) -> &TaskFile {
        &self.file
    }

    /// The folder of the task file; none for one that is built in.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The SHA-256 of the task file, in hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    fn overrides(&self) -> Option<&Setting> {
        self.file.settings.get(self.setting.as_ref()?)
    }

    /// What the model is sent, in this setting.
    pub fn prompt(&self) -> &Prompt {
        const NONE: &Prompt = &Prompt {
            shots: None,
            messages: Vec::new(),
            raw: None,
            answer_prefix: None,
            stops: Vec::new(),
            later_turns: None,
            bos: Bos::Template,
        };
        let own = self.overrides().and_then(|setting| setting.prompt.as_ref());
        own.or(self.file.prompt.as_ref()).unwrap_or(NONE)
    }

    /// How answers are drawn, in this setting.
    pub fn decoding(&self) -> &Decoding {
        let own = self
            .overrides()
            .and_then(|setting| setting.decoding.as_ref());
        own.unwrap_or(&self.file.decoding)
    }

    /// The part of an answer that is graded, in this setting.
    pub fn extraction(&self) -> Option<&Extraction> {
        let own = self
            .overrides()
            .and_then(|setting| setting.extraction.as_ref());
        own.or(self.file.extraction.as_ref())
    }

    /// When an answer is right, in this setting.
    pub fn grader(&self) -> &Grader {
        const DEFAULT: &Grader = &Grader::Exact { ignore_case: false };
        let own = self.overrides().and_then(|setting| setting.grader.as_ref());
        own.or(self.file.grader.as_ref()).unwrap_or(DEFAULT)
    }

    /// How answers are drawn, without the stops, which are a row's.
    fn sampling(&self) -> Sampling {
        let decoding = self.decoding();
        Sampling {
            temperature: decoding.temperature,
            top_p: decoding.top_p,
            max_tokens: decoding.max_tokens,
            ..Sampling::default()
        }
    }

    /// The data that the task wants: the file, its fields, and where it is published.
    pub fn wanted_data(&self) -> String {
        let data = &self.file.data;
        let parts = data
            .parts
            .iter()
            .map(|parts| format!(" (or a folder with {parts})"));
        let besides = data.shots.iter().chain(data.texts.values());
        let mut wanted = format!("{}{}", data.file, parts.collect::<String>());
        for beside in besides {
            wanted.push_str(&format!(", {beside}"));
        }
        wanted.push_str(&format!(", with the fields {}", data.fields.join(", ")));
        if let Some(place) = &data.published_at {
            wanted.push_str(&format!("; published at {place}"));
        }
        wanted
    }

    /// Reads the data. Rows that are no items are counted in [`Items::bad`].
    ///
    /// # Errors
    ///
    /// When a file is missing or cannot be read, or when not one row is an item.
    pub fn load(&self, place: &DataPlace) -> Result<Items> {
        let files = Files::open(self, &place.path)?;
        let mut environment = environment();
        let fault = |problem| task_file(&self.file.name, problem);
        add_templates(&mut environment, self.prompt()).map_err(fault)?;
        let sampling = self.sampling();
        let templates = Templates::new(&environment, &self.file, self.prompt(), sampling);
        let reader = Reader {
            data: &self.file.data,
            files: &files,
            templates: templates.map_err(fault)?,
            rules: place.rules,
        };
        let (items, bad) = reader.items()?;
        if items.is_empty() {
            return Err(Error::DataFile {
                path: files.origin,
                problem: match bad.first() {
                    Some(first) => format!(
                        "no row is an item of the task `{}`; {first}",
                        self.file.name
                    ),
                    None => "there is no row in it".to_owned(),
                },
            });
        }
        Ok(Items {
            items,
            bad,
            sha256: files.sha256(),
            origin: files.origin,
            published: self.file.data.items,
        })
    }
}

fn task_file(file: &str, problem: String) -> Error {
    Error::TaskFile {
        file: file.to_owned(),
        problem,
    }
}

/// Bytes in hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
