//! The models of a run file: clients of servers, and checkpoints in this process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use eurus::burn::tensor::Device;
use eurus::chat::{ChatModel, OpenAiClient, Prices, Together};
use eurus::forest::ChatTokenizer;
use eurus::models::lora::AdapterFolder;
use eurus::models::{Checkpoint, LocalChatModel};
use eurus::synth::Team;
use eurus::synth::run::Recorded;
use eurus::synth::run_file::{Checkpoint as Local, Endpoint, RunFile};
use eurus::synth::store::Store;
use serde_json::json;

use crate::interrupt;
use crate::model_folder::{self, ModelFolder};

/// Every model that has a part in the run, by the name of its endpoint.
pub struct Models {
    models: BTreeMap<String, Model>,
}

struct Model {
    model: Box<dyn ChatModel>,
    identity: String,
    prices: Option<Prices>,
    is_local: bool,
}

/// The same, with all that they answer kept in a store.
pub struct RecordedModels<'s>(BTreeMap<String, Recorded<'s, &'s dyn ChatModel>>);

impl Models {
    /// Makes them. Keys are read from the environment, and checkpoints from their folders.
    pub fn of(file: &RunFile) -> Result<Self> {
        let wanted: Vec<&str> = file.actors.named().map(|(_, name)| name).collect();
        let mut models = BTreeMap::new();
        for (name, endpoint) in &file.endpoints {
            if wanted.contains(&name.as_str()) {
                let model = model(name, endpoint).with_context(|| format!("[endpoints.{name}]"))?;
                models.insert(name.clone(), model);
            }
        }
        Ok(Self { models })
    }

    /// Has everything that they answer kept.
    pub fn recorded<'s>(
        &'s self,
        store: &'s Store,
        worker: &str,
        budget: Option<f64>,
        stop: &'s AtomicBool,
    ) -> RecordedModels<'s> {
        let recorded = self.models.iter().map(|(name, it)| {
            let mut recorded = Recorded::new(name, &*it.model as &dyn ChatModel, store, worker)
                .with_identity(&it.identity)
                .with_stop(stop);
            if it.is_local {
                recorded = recorded.arriving_together();
            }
            if let Some(prices) = it.prices {
                recorded = recorded.with_budget(prices, budget);
            }
            (name.clone(), recorded)
        });
        RecordedModels(recorded.collect())
    }
}

impl<'s> RecordedModels<'s> {
    /// The model of an endpoint that the run file has been checked to have.
    pub fn get(&self, name: &str) -> Result<&Recorded<'s, &'s dyn ChatModel>> {
        self.0
            .get(name)
            .with_context(|| format!("there is no [endpoints.{name}]"))
    }

    pub fn all(&self) -> impl Iterator<Item = &Recorded<'s, &'s dyn ChatModel>> {
        self.0.values()
    }

    /// The models with their parts.
    pub fn team(&self, file: &RunFile) -> Result<Team<'_>> {
        let of = |name: &String| -> Result<&dyn ChatModel> { Ok(self.get(name)?) };
        let actors = &file.actors;
        Ok(Team {
            actor: of(&actors.cheap)?,
            stronger: actors.stronger.iter().map(of).collect::<Result<_>>()?,
            incorrect: actors.incorrect.iter().map(of).collect::<Result<_>>()?,
            teacher: actors.teacher.as_ref().map(of).transpose()?,
            selector: actors.selector.as_ref().map(of).transpose()?,
        })
    }
}

fn model(name: &str, endpoint: &Endpoint) -> Result<Model> {
    let identity = endpoint.identity();
    Ok(match endpoint {
        Endpoint::Server(config) => {
            let client = OpenAiClient::new((**config).clone())?;
            Model {
                prices: config.prices,
                is_local: false,
                model: Box::new(client.with_stop(interrupt::trees_stop())),
                identity: identity.to_string(),
            }
        }
        Endpoint::Checkpoint(local) => {
            let found = model_folder::find(&local.checkpoint, "checkpoint")?;
            let folders: Vec<&Path> = [Some(&found.folder), found.adapter.as_ref()]
                .into_iter()
                .flatten()
                .map(PathBuf::as_path)
                .collect();
            Model {
                prices: None,
                is_local: true,
                identity: json!({ "endpoint": identity, "weights": fingerprint(&folders)? })
                    .to_string(),
                model: Box::new(Together::new(load(name, local, &found)?)),
            }
        }
    })
}

fn load(name: &str, local: &Local, found: &ModelFolder) -> Result<LocalChatModel> {
    let mut checkpoint = Checkpoint::new(&found.folder);
    if let Some(adapter) = &found.adapter {
        checkpoint = checkpoint.with_adapter(AdapterFolder::new(adapter));
    }
    let (decoder, _) = checkpoint.decoder(&Device::flex())?;
    let tokenizer = ChatTokenizer::from_folder(&found.folder)?;
    let ends = checkpoint.eos_token_ids()?.all();
    let mut model = LocalChatModel::new(name, &decoder, tokenizer).with_stop_tokens(ends);
    if let Some(rows) = local.rows {
        model = model.with_max_rows(rows);
    }
    Ok(model)
}

/// A check sum of the files that decide what a checkpoint answers.
fn fingerprint(folders: &[&Path]) -> Result<String> {
    const DECIDE: [&str; 4] = ["safetensors", "json", "jinja", "model"];
    let mut paths = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let extension = path.extension().and_then(|it| it.to_str());
            if extension.is_some_and(|it| DECIDE.contains(&it)) {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let mut sum = 0;
    let mut buffer = vec![0; 1 << 20];
    for path in &paths {
        let mut file = File::open(path).with_context(|| path.display().to_string())?;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            sum = crc32c::crc32c_append(sum, &buffer[..read]);
        }
    }
    Ok(format!("{sum:08x}"))
}
