//! The model that answers: a checkpoint here, or a server.

use anyhow::Result;
use clap::Args;
use eurus::chat::{CallEvent, ChatModel, OpenAiClient, OpenAiConfig};
use eurus::forest::ChatTokenizer;
use eurus::models::generate::DecodeWeights;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::options::DeviceName;
use crate::{interrupt, local_model, model_folder};

/// Which model, and how it is reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelAt {
    /// Checkpoint folder, name of a model of the hub, or http(s) address of an OpenAI-compatible server (its root, as
    /// http://127.0.0.1:8080/v1)
    #[arg(long, value_name = "MODEL")]
    pub model: String,

    /// The model's name at its server
    #[arg(long, value_name = "NAME")]
    pub served_name: Option<String>,

    /// The variable of the environment that has the server's key
    #[arg(long, value_name = "VARIABLE")]
    pub api_key_env: Option<String>,

    /// How many answers a server is asked for at once
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub concurrency: usize,

    /// How many answers a checkpoint writes at once [default: 1024; fewer take less memory]
    #[arg(long, value_name = "N")]
    pub max_rows: Option<usize>,

    /// How a checkpoint keeps its weights while it writes. Exact ones are as in its files; bf16 takes 2 bytes a parameter and
    /// int8 1, and what is drawn, and its log-probabilities, are those of the rounded model
    #[arg(long, value_name = "TYPE", default_value_t)]
    pub weights: DecodeWeights,

    /// Where a checkpoint computes
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    pub device: DeviceName,
}

/// A model, and what its answers depend on.
pub struct Opened {
    pub model: Box<dyn ChatModel>,
    pub identity: Value,
    /// Of a checkpoint.
    pub tokenizer: Option<ChatTokenizer>,
}

/// Whether an option names a server.
pub fn is_address(model: &str) -> bool {
    model.starts_with("http://") || model.starts_with("https://")
}

impl ModelAt {
    /// Loads it, or makes its client.
    pub fn open(&self) -> Result<Opened> {
        if !is_address(&self.model) {
            let found = model_folder::find(Path::new(&self.model), "--model")?;
            let (rows, weights) = (self.max_rows, self.weights);
            let model = local_model::load(&self.model, &found, rows, weights, self.device)?;
            let mut identity = json!({"weights": local_model::fingerprint(&found)?});
            if self.weights != DecodeWeights::Exact {
                identity["kept_as"] = json!(self.weights.to_string());
            }
            if let Some(device) = self.device.recorded() {
                identity["device"] = json!(device);
            }
            return Ok(Opened {
                model: Box::new(model.with_stop(interrupt::answers_stop())),
                identity,
                tokenizer: Some(ChatTokenizer::from_folder(&found.folder)?),
            });
        }
        let name = self.served_name.as_deref().unwrap_or("default");
        let mut config = OpenAiConfig::new(&self.model, name);
        config.api_key_env = self.api_key_env.clone();
        config.concurrency = self.concurrency.max(1);
        config.accept_other_model = self.served_name.is_none();
        let waits = AtomicBool::new(false);
        let retries = config.retry.retries;
        let client = OpenAiClient::new(config)?
            .with_stop(interrupt::answers_stop())
            .with_observer(move |event| tell_wait(event, &waits, retries));
        Ok(Opened {
            identity: json!({"server": client.identity()}),
            tokenizer: None,
            model: Box::new(client),
        })
    }
}

/// Says what is waited for when a call fails that is made again, once until the server has answered.
fn tell_wait(event: &CallEvent<'_>, waits: &AtomicBool, retries: usize) {
    match event {
        CallEvent::Answered { .. } => waits.store(false, Ordering::Relaxed),
        CallEvent::Failed {
            error,
            again_in: Some(pause),
        } if !waits.swap(true, Ordering::Relaxed) => tell!(
            "waiting for the server: {error}. It is asked again in {:.0} s, and {retries} times in all before this counts as a failure; Ctrl-C ends the wait",
            pause.as_secs_f64().ceil()
        ),
        _ => {}
    }
}
