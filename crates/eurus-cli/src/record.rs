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

/// The name of the file, beside a result and among its snapshots.
pub const FILE: &str = "run.json";

/// The detail of a run's identity that says when its template's clock stands still.
const TEMPLATE_TIME: &str = "template_time";

/// Everything that a result was made with, as it is written.
pub struct Record(Value);

/// SHA-256 of the files that a run reads, by their names.
pub struct FileHashes {
    /// The weights of the model folder.
    pub weights: BTreeMap<String, String>,
    /// Data and held-out data.
    pub data: BTreeMap<String, String>,
}

impl FileHashes {
    /// Hashes the weights in a model folder, and files of rows.
    pub fn of(model: &Path, data: &[PathBuf]) -> Result<Self> {
        let entries = std::fs::read_dir(model)
            .with_context(|| format!("{}: cannot list the model folder", model.display()))?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let weights = paths.filter(|path| path.extension().is_some_and(|it| it == "safetensors"));
        let hash = |name: String, path: &Path| {
            let hash = digest::of_file(path);
            Ok((
                name,
                hash.with_context(|| format!("{}: cannot read", path.display()))?,
            ))
        };
        let name_of = |path: &Path| {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into()
        };
        let data = data.iter().filter(|path| path.is_file());
        Ok(Self {
            weights: weights
                .map(|path| hash(name_of(&path), &path))
                .collect::<Result<_>>()?,
            data: data
                .map(|path| hash(path.display().to_string(), path))
                .collect::<Result<_>>()?,
        })
    }
}

/// What the numbers of a run depend on and its trainer is not told.
pub fn details(
    snapshots: Snapshots,
    weights: &BTreeMap<String, String>,
    config: &impl std::fmt::Debug,
    tokenizer: &ChatTokenizer,
    adapters: Option<&LoraConfig>,
) -> Snapshots {
    let adapters = adapters.map(|it| {
        json!({
            "rank": it.rank,
            "alpha": it.alpha,
            "dropout": it.dropout,
            "targets": it.targets,
            "rank_stabilized": it.rank_stabilized,
        })
    });
    let template = tokenizer.template();
    let snapshots = snapshots
        .with_detail("weight_files", json!(weights))
        .with_detail("model_config", digest::of_bytes(format!("{config:?}")))
        .with_detail(
            "tokenizer",
            digest::of_bytes(tokenizer.files().fingerprint()),
        )
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
