//! A whole folder or none: everything is written to a temporary folder beside the target, which is then renamed.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::WeightType;
use super::eos::{self, GENERATION_CONFIG};
use super::files::is_plain_name;
use super::parameters::Parameter;
use super::shards;
use crate::{Error, Result};

/// Files that belong to a checkpoint and that weights do not change.
pub const CARRIED: [&str; 9] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    GENERATION_CONFIG,
    "vocab.json",
    "merges.txt",
];

/// How weights are put into files.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub stored: WeightType,
    pub max_shard_bytes: u64,
}

/// What comes along from another folder.
#[derive(Debug, Clone, Copy)]
pub struct Carried<'a> {
    pub from: Option<&'a Path>,
    /// A token that ends a text, for `generation_config.json`.
    pub eos_token_id: Option<u32>,
}

/// Writes `parameters` and `config` to `target`.
pub fn folder(
    parameters: &[Parameter],
    mut config: Map<String, Value>,
    layout: Layout,
    target: &Path,
    carried: Carried<'_>,
) -> Result<()> {
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(parent).map_err(Error::io(parent, "creating the folder"))?;
    // Beside the target, since a rename stays within one file system.
    let partial = tempfile::Builder::new()
        .prefix(".checkpoint-")
        .tempdir_in(parent)
        .map_err(Error::io(parent, "creating a temporary folder"))?;

    shards::write(parameters, layout, partial.path())?;
    if !carry_code(&config, carried.from, partial.path())? {
        config.remove("auto_map");
    }
    let path = partial.path().join("config.json");
    let text = format!("{:#}\n", Value::Object(config));
    std::fs::write(&path, text).map_err(Error::io(&path, "writing"))?;
    if let Some(source) = carried.from {
        for name in CARRIED {
            let from = source.join(name);
            if from.is_file() {
                std::fs::copy(&from, partial.path().join(name))
                    .map_err(Error::io(&from, "copying"))?;
            }
        }
    }
    if let Some(id) = carried.eos_token_id {
        eos::add_to_file(&partial.path().join(GENERATION_CONFIG), id)?;
    }
    make_readable(partial.path())?;
    replace(partial, parent, target)
}

/// Copies the code files that `auto_map` of the model and of the tokenizer name, and says whether all of the model's are
/// there: a name without its file would keep others from loading the folder. Code is never run here.
fn carry_code(config: &Map<String, Value>, from: Option<&Path>, to: &Path) -> Result<bool> {
    let of_model = config.get("auto_map").map(code_files).unwrap_or_default();
    let of_tokenizer = from.map(|from| from.join("tokenizer_config.json"));
    let of_tokenizer = of_tokenizer
        .and_then(|path| std::fs::read(path).ok())
        .and_then(|text| serde_json::from_slice::<Value>(&text).ok())
        .map(|fields| code_files(&fields["auto_map"]))
        .unwrap_or_default();
    let mut complete = true;
    for name in of_model.union(&of_tokenizer) {
        let file = from.map(|from| from.join(name));
        match file.filter(|file| file.is_file()) {
            Some(file) => {
                std::fs::copy(&file, to.join(name)).map_err(Error::io(&file, "copying"))?;
            }
            None => complete &= !of_model.contains(name),
        }
    }
    Ok(complete)
}

/// The files of classes named as in `modeling_own.OwnModel`, one or, for tokenizers, a list of a slow and a fast one.
fn code_files(auto_map: &Value) -> BTreeSet<String> {
    let classes = auto_map.as_object().into_iter().flat_map(Map::values);
    let names = classes.flat_map(|class| match class {
        Value::Array(classes) => classes.iter().filter_map(Value::as_str).collect(),
        class => Vec::from_iter(class.as_str()),
    });
    names
        // The module of another repository, `owner/name--module.Class`, is not in this folder.
        .filter(|class| !class.contains("--"))
        .filter_map(|class| class.split('.').next())
        .map(|module| format!("{module}.py"))
        .filter(|file| is_plain_name(file))
        .collect()
}

/// A temporary folder is its owner's alone; a checkpoint is to be as readable as any folder.
fn make_readable(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let sibling = folder.join(".permissions");
        std::fs::create_dir(&sibling).map_err(Error::io(&sibling, "creating the folder"))?;
        let usual = std::fs::metadata(&sibling).map_err(Error::io(&sibling, "reading"))?;
        std::fs::remove_dir(&sibling).map_err(Error::io(&sibling, "removing"))?;
        let mode = usual.permissions().mode();
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode))
            .map_err(Error::io(folder, "setting the permissions"))?;
    }
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Renames the temporary folder to its name; a folder already there is moved aside first and removed last.
fn replace(partial: tempfile::TempDir, parent: &Path, target: &Path) -> Result<()> {
    let old = if target.exists() {
        let aside = tempfile::Builder::new()
            .prefix(".replaced-")
            .tempdir_in(parent)
            .map_err(Error::io(parent, "creating a temporary folder"))?;
        std::fs::rename(target, aside.path().join("old"))
            .map_err(Error::io(target, "moving the old folder aside"))?;
        Some(aside)
    } else {
        None
    };
    if let Err(problem) = std::fs::rename(partial.path(), target) {
        if let Some(aside) = &old {
            // The old folder must outlive the failure; if it cannot have its name again, it stays where it is.
            if std::fs::rename(aside.path().join("old"), target).is_err() {
                let _ = old.map(tempfile::TempDir::keep);
            }
        }
        return Err(Error::io(target, "renaming into place")(problem));
    }
    // The folder has its name now; its temporary guard must not remove anything.
    let _ = partial.keep();
    drop(old);
    Ok(())
}
