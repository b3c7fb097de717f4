//! The tokens that end a text, as `config.json` and `generation_config.json` list them.

use std::path::Path;

use serde_json::{Map, Value};

use crate::{Error, Result};

/// The file that generation reads before `config.json`; not every checkpoint has it.
pub(super) const GENERATION_CONFIG: &str = "generation_config.json";

const FIELD: &str = "eos_token_id";

/// The tokens that end a text, by the two files that list them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EosTokenIds {
    /// Those of `config.json`.
    pub config: Vec<u32>,
    /// Those of `generation_config.json`; `None` where there is no such file, and `config.json` counts.
    pub generation_config: Option<Vec<u32>>,
}

impl EosTokenIds {
    /// All of them, each once.
    pub fn all(&self) -> Vec<u32> {
        let mut all = self.config.clone();
        for &id in self.generation_config.iter().flatten() {
            if !all.contains(&id) {
                all.push(id);
            }
        }
        all
    }

    /// Whether both files list a token, so that every program stops at it.
    pub fn stop_at(&self, id: u32) -> bool {
        let in_generation = self.generation_config.as_ref();
        self.config.contains(&id) && in_generation.is_none_or(|ids| ids.contains(&id))
    }
}

/// Those of a folder; none where a file does not list any.
pub(super) fn of_folder(folder: &Path) -> Result<EosTokenIds> {
    let config = read(&folder.join("config.json"))?.unwrap_or_default();
    let generation = read(&folder.join(GENERATION_CONFIG))?;
    Ok(EosTokenIds {
        config: of_fields(&config),
        generation_config: generation.as_ref().map(of_fields),
    })
}

/// Adds a token to those that end a text; an id alone becomes a list, with the new one last.
pub(super) fn add(fields: &mut Map<String, Value>, id: u32) {
    let mut ids = of_fields(fields);
    if ids.contains(&id) {
        return;
    }
    ids.push(id);
    let ids = match ids[..] {
        [only] => only.into(),
        _ => ids.into(),
    };
    fields.insert(FIELD.into(), ids);
}

/// Adds a token to those that a file lists, if there is such a file.
pub(super) fn add_to_file(path: &Path, id: u32) -> Result<()> {
    let Some(mut fields) = read(path)? else {
        return Ok(());
    };
    if of_fields(&fields).contains(&id) {
        return Ok(());
    }
    add(&mut fields, id);
    let text = format!("{:#}\n", Value::Object(fields));
    std::fs::write(path, text).map_err(Error::io(path, "writing"))
}

fn of_fields(fields: &Map<String, Value>) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match fields.get(FIELD) {
        Some(Value::Array(ids)) => ids.iter().filter_map(id).collect(),
        Some(value) => id(value).into_iter().collect(),
        None => Vec::new(),
    }
}

fn read(path: &Path) -> Result<Option<Map<String, Value>>> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(Error::io(path, "reading"))?;
    let fields = serde_json::from_str(&text).map_err(|source| Error::Json {
        path: path.into(),
        source,
    })?;
    Ok(Some(fields))
}
