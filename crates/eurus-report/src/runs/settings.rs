//! `run.json` of a run of training: what it was made with.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// Options that say where a run lies, and not what it is.
const PLACES: [&str; 8] = [
    "out",
    "overwrite",
    "metrics",
    "tensorboard",
    "snapshots",
    "snapshots_keep",
    "snapshot_every",
    "resume",
];

/// What a run was made with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The model that it started from.
    pub model: Option<String>,
    /// The options of its command by name.
    pub options: BTreeMap<String, String>,
    /// The version of the program.
    pub version: Option<String>,
}

impl Settings {
    /// What a record tells, as far as it is known.
    pub(super) fn of(record: &Value) -> Self {
        let mut options = BTreeMap::new();
        if let Some(given) = record["options"].as_object() {
            let given = given
                .iter()
                .filter(|(name, _)| !PLACES.contains(&name.as_str()));
            options.extend(given.map(|(name, value)| (name.replace('_', "-"), shown(value))));
        }
        Self {
            model: record["model"].as_str().map(str::to_owned),
            options,
            version: record["program"]["version"].as_str().map(str::to_owned),
        }
    }

    /// The version that wrote it, if it is not this one.
    pub(super) fn other_version(&self) -> Option<&str> {
        self.version.as_deref().filter(|it| *it != crate::VERSION)
    }

    pub(super) fn version_note(&self, record: &Path) -> Option<String> {
        let path = record.display();
        if self.version.is_none() {
            return Some(format!(
                "{path} does not tell which version of eurus wrote it; what it has in another form is left out."
            ));
        }
        let other = self.other_version()?;
        Some(format!(
            "{path} is of version {other} of eurus and this is {}; what that has in another form is left out.",
            crate::VERSION
        ))
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(shown).collect();
            values.join(", ")
        }
        other => other.to_string(),
    }
}
