//! `eurus serve`: a checkpoint over HTTP.

use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;
use eurus::models::LocalChatModel;
use eurus::models::generate::{DecodeWeights, Generator};
use eurus::serve::{RewardServed, ServeConfig, Served, Server};

use crate::device;
use crate::interrupt::{self, Interrupted, Phase};
use crate::invocation;
use crate::job::print;
use crate::model_folder::{self, ModelFolder};
use crate::options::{DeviceName, at_least_one};
use crate::setup;
use crate::usage::UsageError;

pub const EXAMPLES: &str = "\
A language model answers at /v1/chat/completions and /v1/completions, as OpenAI's servers do, a reward model at /get_reward, as
OpenRLHF's does; both at /v1/models, /health and /metrics. Requests that wait advance together. Ctrl-C lets those that have begun
end and refuses others; a second one ends the program at once.

Examples:
  eurus serve --model runs/kto
  eurus serve --model runs/rm --port 5000
  EURUS_KEY=... eurus serve --model runs/kto --host 0.0.0.0 --api-key-env EURUS_KEY
  eurus eval run --task svamp --data SVAMP.json --model http://127.0.0.1:8080/v1 --out runs/eval";

/// `eurus serve`.
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    model: Model,

    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    limits: Limits,
}

/// What is served.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
struct Model {
    /// Checkpoint folder or name of a model of the hub; a reward model is recognized by its head
    #[arg(long, value_name = "MODEL")]
    model: String,

    /// The model's name for those who ask, who may also say `default` [default: the last part of --model]
    #[arg(long, value_name = "NAME")]
    served_name: Option<String>,

    /// How many answers are written at once [default: 1024; fewer take less memory]
    #[arg(long, value_name = "N")]
    max_rows: Option<usize>,

    /// How weights are kept while answers are written. Exact ones are as in the files; bf16 takes 2 bytes a parameter and int8 1,
    /// and what is drawn, and its log-probabilities, are those of the rounded model
    #[arg(long, value_name = "TYPE", default_value_t)]
    weights: DecodeWeights,

    /// A template in place of the model's own: a file, or the name of one that comes along
    #[arg(long, value_name = "NAME|FILE")]
    chat_template: Option<String>,

    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
}

/// Where it is served, and for whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
struct Place {
    /// Address to listen at; 0.0.0.0 is every one of this machine
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: String,

    /// Port to listen at; 0 takes one that is free
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    port: u16,

    /// The variable of the environment that has the key which requests must have [default: none is asked for]
    #[arg(long, value_name = "VARIABLE")]
    api_key_env: Option<String>,
}

/// What requests may ask for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct Limits {
    /// Longest answer, in tokens
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = at_least_one)]
    max_answer_tokens: usize,

    /// Requests that wait for a row; one more is told to come again (429)
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least_one)]
    max_waiting: usize,

    /// Largest request, in bytes
    #[arg(long, value_name = "N", default_value_t = 4 << 20, value_parser = at_least_one)]
    max_body_bytes: usize,
}

impl Serve {
    pub fn run(&self) -> Result<()> {
        let config = self.config()?;
        // Before the model, which takes longer to load.
        let server = Server::bind(&self.place.host, self.place.port)?;
        let found = model_folder::find(Path::new(&self.model.model), "--model")?;
        let (served, endpoints) = self.model.load(&config.name, &found)?;
        let address = server.address();
        if !address.ip().is_loopback() && config.api_key.is_none() {
            tell!(
                "warning: whoever reaches {address} can ask, since no key is asked for; give one with --api-key-env"
            );
        }
        print(&format!(
            "serving {} at http://{address}{endpoints}; Ctrl-C ends it",
            config.name
        ));
        interrupt::enter(Phase::Serving);
        server.run(served, config, interrupt::answers_stop())?;
        tell!("ended; serve again with:\n  {}", invocation::again());
        Err(Interrupted::now().into())
    }

    fn config(&self) -> Result<ServeConfig> {
        let model = &self.model;
        let last = Path::new(&model.model).file_name();
        let last = last.map(|it| it.to_string_lossy().into_owned());
        let name = model.served_name.clone().or(last);
        let api_key = match &self.place.api_key_env {
            None => None,
            Some(variable) => Some(
                std::env::var(variable)
                    .ok()
                    .filter(|key| !key.is_empty())
                    .with_context(|| {
                        format!("environment variable `{variable}` (--api-key-env) is not set, or is empty or not plain text; export the key under that name")
                    })?,
            ),
        };
        Ok(ServeConfig {
            api_key,
            max_body_bytes: self.limits.max_body_bytes,
            max_answer_tokens: self.limits.max_answer_tokens,
            max_waiting: self.limits.max_waiting,
            ..ServeConfig::new(name.unwrap_or_else(|| model.model.clone()))
        })
    }
}

impl Model {
    /// Loads it; returns also where it is asked.
    fn load(&self, name: &str, found: &ModelFolder) -> Result<(Served, &'static str)> {
        let device = device::open(self.device, 0)?;
        let checkpoint = found.checkpoint();
        let tokenizer = setup::tokenizer(&found.folder, self.chat_template.as_deref())?;
        let (_, head) = checkpoint.check_reward_start()?;
        if head.is_some() {
            self.check_for_reward_model()?;
            let (model, config) = checkpoint.reward_model(&device)?;
            let served = RewardServed {
                model,
                tokenizer,
                context: config.context_length(),
            };
            return Ok((Served::Reward(Box::new(served)), "/get_reward"));
        }
        let (decoder, _) = checkpoint.decoder(&device)?;
        let ends = checkpoint.eos_token_ids()?.all();
        let mut generator = Generator::with_weights(decoder, self.weights, ends)?;
        if let Some(rows) = self.max_rows {
            generator = generator.with_max_rows(rows);
        }
        let model = LocalChatModel::from_generator(name, generator, tokenizer);
        Ok((Served::Chat(Box::new(model)), "/v1"))
    }

    fn check_for_reward_model(&self) -> Result<()> {
        let idle = [
            ("--weights", self.weights != DecodeWeights::Exact),
            ("--max-rows", self.max_rows.is_some()),
        ];
        match idle.iter().find(|(_, given)| *given) {
            Some((option, _)) => bail!(UsageError::new(format!(
                "{option} has no effect with a reward model, which writes no answers; leave it out"
            ))),
            None => Ok(()),
        }
    }
}
