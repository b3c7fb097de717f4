//! Recipes: read, completed by what they extend, and made small.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use toml::{Table, Value};
use ultrainteract::nearest::{nearest, with_nearest};

use crate::built_in::{OTHERS, RECIPES};
use crate::check::check;
use crate::keys::kind_of;
use crate::values::{is_within, leaves, merge, remove, set};
use crate::{Error, RecipeFile, Result};

/// The end of the name of a small twin.
const SMALL: &str = "-small";
/// What is said of a recipe and is no value of it.
const ABOUT: [&str; 4] = ["name", "title", "about", "version"];
/// What makes a recipe and is not in it any more when it is made.
const MAKES: [&str; 4] = ["extends", "without", "sources", "small"];

/// A whole recipe: what it extends is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    file: RecipeFile,
    /// The same without [`MAKES`].
    table: Table,
}

impl Recipe {
    /// Names of the paper's recipes, without their small twins.
    pub fn names() -> Vec<&'static str> {
        RECIPES.iter().map(|(name, _)| *name).collect()
    }

    /// Names of the built-in recipes that are none of the paper's.
    pub fn other_names() -> Vec<&'static str> {
        OTHERS.iter().map(|(name, _)| *name).collect()
    }

    /// A built-in recipe; with `-small` at the end of its name, its small twin.
    ///
    /// # Errors
    ///
    /// When there is none of the name: with the nearest that there is.
    pub fn built_in(name: &str) -> Result<Self> {
        let mut whole = RECIPES.iter().chain(OTHERS);
        if let Some((name, text)) = whole.find(|(known, _)| *known == name) {
            return Self::parsed(text, name);
        }
        let large = name.strip_suffix(SMALL);
        if let Some((large, text)) = RECIPES.iter().find(|(known, _)| Some(*known) == large)
            && let Some(small) = Self::parsed(text, large)?.small()?
        {
            return Ok(small);
        }
        let small: Vec<String> = Self::names()
            .iter()
            .map(|it| format!("{it}{SMALL}"))
            .collect();
        let known = [Self::names(), Self::other_names()].concat();
        let all: Vec<&str> = known
            .iter()
            .copied()
            .chain(small.iter().map(String::as_str))
            .collect();
        Err(Error::UnknownRecipe {
            name: name.to_owned(),
            meant: match nearest(name, &all) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", known.join(", ")),
            },
        })
    }

    /// All recipes of the paper, without their small twins.
    ///
    /// # Errors
    ///
    /// None, if the tests of this crate pass.
    pub fn all() -> Result<Vec<Self>> {
        Self::names().into_iter().map(Self::built_in).collect()
    }

    /// Reads a recipe file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no TOML, has a key that there is not or a value of another type (with the line, and the nearest
    /// key), or contradicts itself.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parsed(&text, &path.display().to_string())
    }

    /// Parses the text of a recipe file.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn parse(text: &str) -> Result<Self> {
        Self::parsed(text, "the recipe")
    }

    fn parsed(text: &str, origin: &str) -> Result<Self> {
        let fault = |problem| Error::Recipe {
            origin: origin.to_owned(),
            problem,
        };
        let located = |error: toml::de::Error| fault(with_nearest(&error.to_string()));
        // Each file is strict by itself: there its lines are known.
        let own: RecipeFile = toml::from_str(text).map_err(located)?;
        let table: Table = toml::from_str(text).map_err(located)?;
        let recipe = match &own.extends {
            None => Self::of(table, own.sources, own.small),
            Some(base) => Self::built_in(base)?.extended(table, own),
        };
        let recipe = recipe.map_err(fault)?;
        if let Err(problem) = recipe.small_problem() {
            return Err(fault(problem));
        }
        Ok(recipe)
    }

    /// A recipe of values, checked.
    fn of(
        mut table: Table,
        sources: BTreeMap<String, String>,
        small: BTreeMap<String, Value>,
    ) -> Result<Self, String> {
        for key in MAKES {
            table.remove(key);
        }
        let file: RecipeFile = Value::Table(table.clone())
            .try_into()
            .map_err(|error: toml::de::Error| with_nearest(&error.to_string()))?;
        let file = RecipeFile {
            sources,
            small,
            ..file
        };
        let recipe = Self { file, table };
        check(&recipe)?;
        Ok(recipe)
    }

    /// What a file that extends this recipe makes of it.
    fn extended(self, own: Table, file: RecipeFile) -> Result<Self, String> {
        let mut table = self.table;
        for key in ABOUT {
            table.remove(key);
        }
        for key in &file.without {
            if !remove(&mut table, key) {
                return Err(format!(
                    "`without` names `{key}`, which `{}` does not have",
                    self.file.name
                ));
            }
        }
        let left = |key: &str| !file.without.iter().any(|gone| is_within(key, gone));
        // Where a value comes from is not where the one comes from that it replaces.
        let replaced: Vec<String> = leaves(&own).into_iter().map(|(key, _)| key).collect();
        let mut sources = self.file.sources;
        sources.retain(|key, _| left(key) && !replaced.contains(key));
        sources.extend(file.sources);
        let mut small = self.file.small;
        small.retain(|key, _| left(key));
        small.extend(file.small);
        merge(&mut table, own);
        Self::of(table, sources, small)
    }

    /// What it is called on command lines.
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// What people call it.
    pub fn title(&self) -> &str {
        self.file.title.as_ref().unwrap_or(&self.file.name)
    }

    /// All that the recipe says, with what it extends.
    pub fn file(&self) -> &RecipeFile {
        &self.file
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// All values by their keys with dots, without what is said of the recipe: name, title, about, version.
    pub fn values(&self) -> Vec<(String, &Value)> {
        let mut values = leaves(&self.table);
        values.retain(|(key, _)| !ABOUT.contains(&key.as_str()));
        values
    }

    /// Where a value comes from, if the recipe says so.
    pub fn source(&self, key: &str) -> Option<&str> {
        self.file.sources.get(key).map(String::as_str)
    }

    /// Whether a value is said to be of the paper, not ours.
    pub fn is_confirmed(&self, key: &str) -> bool {
        self.source(key)
            .is_some_and(|source| !source.starts_with("ours:"))
    }

    /// The small twin, which differs in sizes, data and steps alone; none if the recipe has none.
    ///
    /// # Errors
    ///
    /// None for a recipe that was read, which is checked with its twin.
    pub fn small(&self) -> Result<Option<Self>> {
        self.made_small().map_err(|problem| Error::Recipe {
            origin: self.file.name.clone(),
            problem,
        })
    }

    fn small_problem(&self) -> Result<(), String> {
        let made = self.made_small();
        made.map(drop)
            .map_err(|problem| format!("[small]: {problem}"))
    }

    fn made_small(&self) -> Result<Option<Self>, String> {
        if self.file.small.is_empty() {
            return Ok(None);
        }
        let (mut table, mut sources) = (self.table.clone(), self.file.sources.clone());
        if self.file.small.contains_key("model.base") {
            // It is the shape of the other model.
            remove(&mut table, "model.shape");
            sources.retain(|key, _| !is_within(key, "model.shape"));
        }
        for (key, value) in &self.file.small {
            kind_of(key)?;
            if !is_size(key) {
                return Err(format!(
                    "`{key}` is no size, data or step; a small twin is the recipe in all else"
                ));
            }
            set(&mut table, key, value.clone())?;
            sources.insert(key.clone(), "ours: a size of the small twin".to_owned());
        }
        for (key, end) in [("name", SMALL), ("title", ", small")] {
            if let Some(Value::String(text)) = table.get_mut(key) {
                text.push_str(end);
            }
        }
        Self::of(table, sources, BTreeMap::new()).map(Some)
    }

    /// The recipe with another value, given as `sft.learning_rate=1e-5`. What it may be is what the key takes: lists are given
    /// with commas.
    ///
    /// # Errors
    ///
    /// When there is no such key (with the nearest), the value is none of its kind, or the recipe contradicts itself then.
    pub fn with_override(&self, given: &str) -> Result<Self> {
        self.overridden(given).map_err(|problem| Error::Override {
            given: given.to_owned(),
            problem,
        })
    }

    fn overridden(&self, given: &str) -> Result<Self, String> {
        let Some((key, text)) = given.split_once('=') else {
            return Err("an override is KEY=VALUE, such as `sft.learning_rate=1e-5`".to_owned());
        };
        let (key, text) = (key.trim(), text.trim());
        let kind = kind_of(key)?;
        if MAKES.iter().any(|makes| is_within(key, makes)) {
            return Err(format!("`{key}` makes a recipe; it cannot be overridden"));
        }
        let value = crate::overrides::value(kind, text)?;
        let mut table = self.table.clone();
        set(&mut table, key, value)?;
        let mut sources = self.file.sources.clone();
        if !ABOUT.contains(&key) {
            sources.insert(key.to_owned(), "ours: overridden".to_owned());
        }
        Self::of(table, sources, self.file.small.clone())
    }
}

/// Whether a small twin may have another value: sizes, data and steps.
fn is_size(key: &str) -> bool {
    let parts: Vec<&str> = key.split('.').collect();
    match parts[..] {
        ["model", ..] | ["practice", _] => true,
        ["data", _, "sources", _, key] => [
            "take",
            "files",
            "origin",
            "published_rows",
            "published_problems",
            "tokens_per_problem",
        ]
        .contains(&key),
        ["sft" | "preference" | "reward", key] => [
            "max_steps",
            "trees_per_step",
            "forests_per_step",
            "token_budget",
            "max_path_tokens",
            "snapshot_every",
        ]
        .contains(&key),
        ["eval", key] => ["limit", "samples", "max_rows"].contains(&key),
        _ => false,
    }
}
