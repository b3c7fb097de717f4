//! `run.json`: everything that a result was made with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use eurus::forest::ChatTokenizer;
use eurus::kernels::width::VectorWidth;
use eurus::models::lora::LoraConfig;
use eurus::train::{RunIdentity, Snapshots, digest};
use serde_json::{Value, json};

use crate::invocation;
use crate::model_folder::ModelFolder;

/// The name of the file, beside a result and among its snapshots.
pub const FILE: &str = "run.json";

/// The detail of a run's identity that says when its template's clock stands still.
const TEMPLATE_TIME: &str = "template_time";

/// Everything that a result was made with, as it is written.
pub struct Record(Value);

/// SHA-256 of the files that a run reads, by their names.
#[derive(Default)]
pub struct FileHashes {
    /// The weights of the model, and of an adapter that is merged into it.
    pub model: BTreeMap<String, String>,
    /// Those of the reference, if it is another model.
    pub reference: Option<BTreeMap<String, String>>,
    /// Data and held-out data.
    pub data: BTreeMap<String, String>,
}

impl FileHashes {
    /// Hashes the weights of the models, and files of rows.
    pub fn of(
        model: &ModelFolder,
        reference: Option<&ModelFolder>,
        data: &[PathBuf],
    ) -> Result<Self> {
        let data = data.iter().filter(|path| path.is_file());
        Ok(Self {
            model: of_model(model)?,
            reference: reference.map(of_model).transpose()?,
            data: data
                .map(|path| Ok((path.display().to_string(), of_file(path)?)))
                .collect::<Result<_>>()?,
        })
    }
}

/// Hashes the weights in a model folder, and the files of an adapter.
fn of_model(model: &ModelFolder) -> Result<BTreeMap<String, String>> {
    let mut hashes = BTreeMap::new();
    let folders = [
        ("", Some(&model.folder)),
        ("adapter/", model.adapter.as_ref()),
    ];
    for (inside, folder) in folders {
        let Some(folder) = folder else { continue };
        let entries = std::fs::read_dir(folder)
            .with_context(|| format!("{}: cannot list the model folder", folder.display()))?;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".safetensors") || name == "adapter_config.json" {
                hashes.insert(format!("{inside}{name}"), of_file(&path)?);
            }
        }
    }
    Ok(hashes)
}

fn of_file(path: &Path) -> Result<String> {
    digest::of_file(path).with_context(|| format!("{}: cannot read", path.display()))
}

/// What the numbers of a run depend on and its trainer is not told.
pub fn details(
    snapshots: Snapshots,
    (weights, reference): (BTreeMap<String, String>, Option<BTreeMap<String, String>>),
    config: &impl std::fmt::Debug,
    tokenizer: &ChatTokenizer,
    adapters: Option<&LoraConfig>,
) -> Snapshots {
    let adapters = adapters.map(|it| {
        let modules = it.modules_to_save.iter();
        let modules_to_save: Vec<_> = modules.map(|module| module.name()).collect();
        json!({
            "rank": it.rank,
            "alpha": it.alpha,
            "dropout": it.dropout,
            "targets": it.targets,
            "rank_stabilized": it.rank_stabilized,
            "modules_to_save": modules_to_save,
        })
    });
    let template = tokenizer.template();
    let stand_in = tokenizer.stand_in().map(|it| it.built_in.name());
    let snapshots = snapshots
        .with_detail("weight_files", json!(weights))
        .with_detail("reference_files", json!(reference))
        .with_detail("model_config", digest::of_bytes(format!("{config:?}")))
        .with_detail(
            "tokenizer",
            digest::of_bytes(tokenizer.files().fingerprint()),
        )
        .with_detail("stand_in_template", json!(stand_in))
        .with_detail("adapters", json!(adapters));
    match template.uses_time() {
        true => snapshots.with_detail(TEMPLATE_TIME, template.time()),
        false => snapshots,
    }
}

/// The time of the template of the run that is gone on with, if it is kept.
pub fn template_time(snapshots: &Snapshots) -> Result<Option<i64>> {
    let of_snapshot = snapshots.newest()?;
    let time = of_snapshot.and_then(|(_, run)| run.detail(TEMPLATE_TIME)?.as_i64());
    // A run that had no snapshot yet has reference log-probs perhaps.
    let of_record = || {
        let text = std::fs::read(snapshots.folder.join(FILE)).ok()?;
        let record: Value = serde_json::from_slice(&text).ok()?;
        record["identity"]["details"][TEMPLATE_TIME].as_i64()
    };
    Ok(time.or_else(of_record))
}

impl Record {
    pub fn new(model: &Path, identity: &RunIdentity, data: &BTreeMap<String, String>) -> Self {
        // Through text, where a number of 32 bits has no more digits than it was given.
        let identity = serde_json::to_string(identity).unwrap_or_default();
        let identity: Value = serde_json::from_str(&identity).unwrap_or_default();
        Self(json!({
            "program": {
                "name": env!("CARGO_BIN_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
                // What the last digits depend on.
                "vectors": VectorWidth::in_use().to_string(),
                "threads": rayon::current_num_threads(),
            },
            "command": invocation::words(),
            "options": invocation::options(),
            "model": model.display().to_string(),
            "identity": identity,
            "data": data,
        }))
    }

    /// Writes it to a folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        std::fs::write(&path, format!("{:#}\n", self.0))
            .with_context(|| format!("{}: cannot write what the run is made with", path.display()))
    }
}
