//! A whole folder or none: everything is written to a temporary folder beside the target, which is then renamed.

use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor};
use safetensors::tensor::{Dtype, View};
use serde_json::{Map, Value};

use super::PathStack;
use crate::{Error, Result};

/// Files that belong to a checkpoint and that weights do not change.
const CARRIED: [&str; 9] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
    "vocab.json",
    "merges.txt",
];

/// One parameter, read back from the device.
struct Stored {
    name: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for &Stored {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        (&self.bytes).into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

#[derive(Default)]
struct Collector {
    path: PathStack,
    stored: Vec<Stored>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        let data = tensor.into_data().convert_dtype(DType::F32);
        self.stored.push(Stored {
            name: self.path.name(),
            shape,
            bytes: data.as_bytes().to_vec(),
        });
    }
}

/// Writes `module` and `config` to `target`.
pub fn folder<M: Module>(
    module: &M,
    config: Map<String, Value>,
    target: &Path,
    tokenizer_from: Option<&Path>,
) -> Result<()> {
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(parent).map_err(Error::io(parent, "creating the folder"))?;
    let partial = tempfile::Builder::new()
        .prefix(".checkpoint-")
        .tempdir_in(parent)
        .map_err(Error::io(parent, "creating a temporary folder"))?;

    let mut collector = Collector::default();
    module.visit(&mut collector);
    let weights = partial.path().join("model.safetensors");
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let views = collector
        .stored
        .iter()
        .map(|stored| (stored.name.as_str(), stored));
    safetensors::serialize_to_file(views, Some(metadata), &weights).map_err(|error| Error::Io {
        path: weights.clone(),
        action: "writing",
        source: std::io::Error::other(error),
    })?;

    let path = partial.path().join("config.json");
    let text = format!("{:#}\n", Value::Object(config));
    std::fs::write(&path, text).map_err(Error::io(&path, "writing"))?;
    // The weights were written for their owner alone; they are to be as readable as their configuration.
    let readable = std::fs::metadata(&path).map_err(Error::io(&path, "reading"))?;
    std::fs::set_permissions(&weights, readable.permissions())
        .map_err(Error::io(&weights, "setting the permissions"))?;

    if let Some(source) = tokenizer_from {
        for name in CARRIED {
            let from = source.join(name);
            if from.is_file() {
                std::fs::copy(&from, partial.path().join(name))
                    .map_err(Error::io(&from, "copying"))?;
            }
        }
    }
    replace(partial, parent, target)
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
