//! `synth.toml`: who acts, by which rule, for how much.
//!
//! ```
//! use ultrainteract_synth::run_file::RunFile;
//!
//! let file = RunFile::parse(r#"
//!     seed = 1
//!     budget = 3.0
//!
//!     [actors]
//!     cheap = "small"
//!     samples = 20
//!     round = 5
//!     stronger = ["big", "big"]
//!
//!     [endpoints.small]
//!     checkpoint = "runs/sft"
//!
//!     [endpoints.big]
//!     base_url = "http://127.0.0.1:8080/v1"
//!     model = "big-instruct"
//!     api_key_env = "KEY"
//!     prices = { prompt_per_million = 0.1, completion_per_million = 0.4 }
//! "#)?;
//! assert_eq!(file.actors.stronger.len(), 2);
//!
//! // Names that are not there are found before anything is paid for.
//! let error = RunFile::parse("[actors]\ncheap = \"smal\"\n[endpoints.small]\ncheckpoint = \"runs/sft\"").unwrap_err();
//! assert!(error.to_string().contains("did you mean `small`?"), "{error}");
//! # Ok::<(), ultrainteract_synth::Error>(())
//! ```

mod endpoint;
mod tables;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chat_model::Sampling;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Error, Prompts, Result, SynthConfig};
use ultrainteract::nearest::{nearest, with_nearest};

pub use endpoint::{Checkpoint, ComputeDevice, Endpoint};
pub use tables::{Actors, Critic, Judging, Run, Sampler, Sandbox, Trees};

/// A run, as its file describes it. Unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFile {
    /// Seed of everything that is drawn. Default 0.
    #[serde(default)]
    pub seed: u64,
    /// The most that all endpoints may cost together, in the currency of their prices. Default no limit.
    #[serde(default)]
    pub budget: Option<f64>,
    /// A folder with templates that replace the built-in [prompts](Prompts). Default none.
    #[serde(default)]
    pub prompts: Option<PathBuf>,
    /// A folder of texts that the code of actions on logic problems can search in. Default none.
    #[serde(default)]
    pub corpus: Option<PathBuf>,
    /// Who acts, and how often.
    pub actors: Actors,
    /// How actions are drawn.
    #[serde(default)]
    pub sampling: Sampler,
    /// How critiques are drawn.
    #[serde(default)]
    pub critic: Critic,
    /// By which rule trees grow.
    #[serde(default)]
    pub trees: Trees,
    /// What stands between the code of actions and the machine.
    #[serde(default)]
    pub sandbox: Sandbox,
    /// When an answer is right.
    #[serde(default)]
    pub judging: Judging,
    /// How the work is done; nothing here changes a tree.
    #[serde(default)]
    pub run: Run,
    /// The models, by the names that `actors` calls them by.
    pub endpoints: BTreeMap<String, Endpoint>,
}

impl RunFile {
    /// Reads a file. Relative paths in it are taken from its folder.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no TOML, has a key that there is not, or names an endpoint that it does not have: with the
    /// line, and the nearest name that there is.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = fs::read_to_string(path)
            .map_err(|error| run_file_error(path, format!("cannot be read: {error}")))?;
        let mut file = Self::parsed(&text).map_err(|problem| run_file_error(path, problem))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        if let Some(prompts) = &mut file.prompts {
            *prompts = folder.join(&prompts);
        }
        if let Some(corpus) = &mut file.corpus {
            *corpus = folder.join(&corpus);
        }
        for endpoint in file.endpoints.values_mut() {
            endpoint.resolve(folder);
        }
        Ok(file)
    }

    /// Parses the text of a file.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn parse(text: &str) -> Result<Self> {
        Self::parsed(text).map_err(|problem| run_file_error(Path::new("the run file"), problem))
    }

    fn parsed(text: &str) -> std::result::Result<Self, String> {
        let file: Self = toml::from_str(text).map_err(|error| with_nearest(&error.to_string()))?;
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> std::result::Result<(), String> {
        let names: Vec<&str> = self.endpoints.keys().map(String::as_str).collect();
        for (role, endpoint) in self.actors.named() {
            if !self.endpoints.contains_key(endpoint) {
                let meant = match nearest(endpoint, &names) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("there are {}", names.join(", ")),
                };
                return Err(format!(
                    "`actors.{role}` is `{endpoint}`, and there is no [endpoints.{endpoint}]; {meant}"
                ));
            }
        }
        if let Some(budget) = self.budget {
            if !(budget.is_finite() && budget >= 0.0) {
                return Err(format!(
                    "`budget` is {budget}; an amount of money of at least 0 is wanted"
                ));
            }
            for (name, endpoint) in &self.endpoints {
                if endpoint.is_unpriced() {
                    return Err(format!(
                        "there is a `budget`, and [endpoints.{name}] has no `prices` to count against it; give them, 0 for a \
                         model that costs nothing"
                    ));
                }
            }
        }
        if !self.actors.told && !self.actors.schemas.is_empty() {
            return Err("`actors.told` is false, so nobody tells the actors which schema they drew; write `schemas = []`".into());
        }
        for (key, seconds) in [
            ("sandbox.seconds", self.sandbox.seconds.unwrap_or_default()),
            ("run.lease_seconds", self.run.lease_seconds),
        ] {
            if Duration::try_from_secs_f64(seconds).is_err() {
                return Err(format!(
                    "`{key}` is {seconds}; a number of seconds is wanted"
                ));
            }
        }
        let critic = Sampling {
            temperature: self.critic.temperature,
            max_tokens: self.critic.max_tokens,
            ..Sampling::default()
        };
        critic
            .check()
            .map_err(|fault| format!("[critic]: {fault}"))?;
        self.config().validate().map_err(|error| error.to_string())
    }

    /// The settings of the tree builder.
    pub fn config(&self) -> SynthConfig {
        SynthConfig {
            samples_per_turn: self.actors.samples,
            samples_per_round: Some(self.actors.round),
            stronger_samples: self.actors.stronger_samples,
            incorrect_samples: self.actors.incorrect_samples,
            schemas: self.actors.schemas.clone(),
            max_turns: self.trees.max_turns,
            sampling: self.sampling.sampling(),
            seed: self.seed,
            fallback: self.trees.fallback,
            elicitations: self.trees.elicitations,
            trees_in_flight: self.run.trees_in_flight,
        }
    }

    /// The built-in prompts, or those of the folder.
    ///
    /// # Errors
    ///
    /// As [`Prompts::from_folder`].
    pub fn load_prompts(&self) -> Result<Prompts> {
        match &self.prompts {
            Some(folder) => Prompts::from_folder(folder),
            None => Ok(Prompts::default()),
        }
    }

    /// What the trees of a run are drawn and judged by, for the store: not where servers are, what they cost, what holds the code
    /// of actions, or how many trees are built at the same time. No secret is in it.
    pub fn settings(&self, prompts: &Prompts) -> Value {
        let endpoints: BTreeMap<&String, Value> = self
            .endpoints
            .iter()
            .map(|(name, endpoint)| (name, endpoint.identity()))
            .collect();
        json!({
            "seed": self.seed,
            "actors": self.actors,
            "sampling": self.sampling,
            "critic": self.critic,
            "trees": self.trees,
            "judging": self.judging,
            "short_tracebacks": self.sandbox.short_tracebacks,
            "corpus": self.corpus.is_some(),
            "prompts": prompts.fingerprints(),
            "endpoints": endpoints,
        })
    }
}

fn run_file_error(path: &Path, problem: String) -> Error {
    Error::RunFile {
        path: path.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "[actors]\ncheap = \"a\"\n[endpoints.a]\ncheckpoint = \"m\"\n";

    fn problem(text: &str) -> String {
        RunFile::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_least_file_has_the_papers_rule() {
        let config = RunFile::parse(LEAST).unwrap().config();
        assert_eq!((config.samples_per_turn, config.max_turns), (20, 5));
        assert_eq!(config.fallback, crate::Fallback::EveryTurn);
        assert_eq!(config.schemas.len(), 2);
    }

    #[test]
    fn what_cannot_be_is_named_with_what_is_meant() {
        let said = problem(&LEAST.replace("cheap", "cheep"));
        assert!(
            said.contains("unknown field `cheep`") && said.contains("did you mean `cheap`?"),
            "{said}"
        );
        let said = problem(&LEAST.replace("checkpoint = \"m\"", "chekpoint = \"m\""));
        assert!(said.contains("chekpoint"), "{said}");
        let said = problem(&format!(
            "budget = 1.0\n{}",
            LEAST.replace(
                "checkpoint = \"m\"",
                "base_url = \"http://h/v1\"\nmodel = \"m\""
            )
        ));
        assert!(said.contains("no `prices`"), "{said}");
        let said = problem(&format!("{LEAST}[trees]\nmax_turns = 0\n"));
        assert!(said.contains("max_turns"), "{said}");
        let said = problem(&format!("{LEAST}[sandbox]\nseconds = -1.0\n"));
        assert!(said.contains("`sandbox.seconds` is -1"), "{said}");
        let said = problem(&format!("{LEAST}[critic]\ntemperature = -1.0\n"));
        assert!(
            said.contains("[critic]: sampling: temperature is -1"),
            "{said}"
        );
        let said = problem(&format!("{LEAST}[trees]\nfallback = \"every_turm\"\n"));
        assert!(said.contains("did you mean `every_turn`?"), "{said}");
        assert!(problem("[actors").contains("line 1") || problem("[actors").contains('1'));
    }

    #[test]
    fn settings_are_what_trees_depend_on_and_nothing_else() {
        let file = |text: &str| RunFile::parse(text).unwrap();
        let base = LEAST.replace(
            "checkpoint = \"m\"",
            "base_url = \"http://h:1/v1\"\nmodel = \"m\"",
        );
        let prompts = Prompts::default();
        let settings = |text: &str| file(text).settings(&prompts);
        assert_eq!(settings(&base), settings(&base.replace("h:1", "h:2")));
        assert_eq!(
            settings(&base),
            settings(&format!(
                "{base}api_key_env = \"KEY\"\n[run]\ntrees_in_flight = 3\n"
            ))
        );
        assert_ne!(
            settings(&base),
            settings(&base.replace("model = \"m\"", "model = \"n\""))
        );
        assert_ne!(settings(&base), settings(&format!("seed = 2\n{base}")));
    }

    #[test]
    fn a_checkpoint_on_another_device_is_another_run_and_stores_that_name_none_are_the_cpus() {
        let settings = |text: &str| {
            RunFile::parse(text).map(|it| it.settings(&Prompts::default()).to_string())
        };
        let on = |device: &str| settings(&format!("{LEAST}device = \"{device}\"\n"));
        let least = settings(LEAST).unwrap();
        assert!(!least.contains("device"), "{least}");
        assert_eq!(on("cpu").unwrap(), least);
        for device in ["cuda", "wgpu", "tch"] {
            let other = on(device).unwrap();
            assert!(
                other.contains(&format!(r#""device":"{device}""#)),
                "{other}"
            );
        }
        let said = on("gpu").unwrap_err().to_string();
        assert!(said.contains("`gpu`") && said.contains("`wgpu`"), "{said}");
    }
}
