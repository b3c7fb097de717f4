//! The models of a run file: clients of servers, and checkpoints in this process.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use eurus::chat::{ChatModel, OpenAiClient, Prices, Together};
use eurus::models::generate::DecodeWeights;
use eurus::synth::Team;
use eurus::synth::run::Recorded;
use eurus::synth::run_file::{ComputeDevice, Endpoint, RunFile};
use eurus::synth::store::Store;
use serde_json::json;

use crate::interrupt;
use crate::options::DeviceName;
use crate::{local_model, model_folder};

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
                model: Box::new(client.with_stop(interrupt::answers_stop())),
                identity: identity.to_string(),
            }
        }
        Endpoint::Checkpoint(local) => {
            let found = model_folder::find(&local.checkpoint, "checkpoint")?;
            Model {
                prices: None,
                is_local: true,
                identity:
                    json!({ "endpoint": identity, "weights": local_model::fingerprint(&found)? })
                        .to_string(),
                model: Box::new(Together::new(local_model::load(
                    name,
                    &found,
                    local.rows,
                    DecodeWeights::Exact,
                    device(local.device),
                )?)),
            }
        }
    })
}

/// A run file's name of a device.
fn device(device: ComputeDevice) -> DeviceName {
    match device {
        ComputeDevice::Cpu => DeviceName::Cpu,
        ComputeDevice::Cuda => DeviceName::Cuda,
        ComputeDevice::Wgpu => DeviceName::Wgpu,
        ComputeDevice::Tch => DeviceName::Tch,
    }
}
