//! The tables of a run file.

use answer_equality::Tolerance;
use chat_model::Sampling;
use code_interpreter::Limits;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use ultrainteract::Schema;

use crate::Fallback;

/// `[actors]`: who acts, by the names of endpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actors {
    /// Draws the actions of every turn.
    pub cheap: String,
    /// The most that it draws at a turn. Default 20.
    #[serde(default = "twenty")]
    pub samples: usize,
    /// How many at a time, until there are a correct and an incorrect action. Default 5.
    #[serde(default = "five")]
    pub round: usize,
    /// Asked one after the other where nothing is correct. Default none.
    #[serde(default)]
    pub stronger: Vec<String>,
    /// What each of them draws. Default 5.
    #[serde(default = "five")]
    pub stronger_samples: usize,
    /// One of them is asked where nothing is incorrect. Default none.
    #[serde(default)]
    pub incorrect: Vec<String>,
    /// What it draws. Default 5.
    #[serde(default = "five")]
    pub incorrect_samples: usize,
    /// Works annotated solutions into actions. Default none.
    #[serde(default)]
    pub teacher: Option<String>,
    /// Problems that it solves at once get no tree. Default none.
    #[serde(default)]
    pub selector: Option<String>,
    /// Writes the critiques. Default none: a rule compares with the answer.
    #[serde(default)]
    pub critic: Option<String>,
    /// Whether actors get a system message that says how to answer, from the template `actor`. Default true; false for a model
    /// that was trained on the conversation alone, and then `schemas` must be empty.
    #[serde(default = "yes")]
    pub told: bool,
    /// What each action draws one of. Default both; an empty list leaves it to the actor.
    #[serde(default = "both")]
    pub schemas: Vec<Schema>,
}

fn twenty() -> usize {
    20
}

fn five() -> usize {
    5
}

fn yes() -> bool {
    true
}

fn both() -> Vec<Schema> {
    vec![Schema::ChainOfThought, Schema::ModularProgramming]
}

impl Actors {
    /// The endpoints that have a part, and the part.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [("cheap", self.cheap.as_str())]
            .into_iter()
            .chain(self.stronger.iter().map(|name| ("stronger", name.as_str())))
            .chain(
                self.incorrect
                    .iter()
                    .map(|name| ("incorrect", name.as_str())),
            )
            .chain(self.teacher.as_deref().map(|name| ("teacher", name)))
            .chain(self.selector.as_deref().map(|name| ("selector", name)))
            .chain(self.critic.as_deref().map(|name| ("critic", name)))
    }
}

/// `[sampling]`: how actions are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampler {
    /// Softness of the distribution. Default 1.
    pub temperature: f32,
    /// Sample from the smallest set of tokens whose probabilities sum to this. Default 1.
    pub top_p: f32,
    /// Longest action, in tokens. Default 1024.
    pub max_tokens: usize,
    /// Texts that end an action. Default none.
    pub stop: Vec<String>,
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 1.0,
            max_tokens: 1024,
            stop: Vec::new(),
        }
    }
}

impl Sampler {
    /// The same, as models take it.
    pub fn sampling(&self) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            max_tokens: self.max_tokens,
            stop: self.stop.clone(),
            ..Sampling::default()
        }
    }
}

/// `[critic]`: how critiques are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Critic {
    /// Softness of the distribution. Default 0.
    pub temperature: f32,
    /// Longest critique, in tokens. Default 256.
    pub max_tokens: usize,
}

impl Default for Critic {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            max_tokens: 256,
        }
    }
}

/// `[trees]`: the rule by which they grow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trees {
    /// The most turns. Default 5.
    pub max_turns: usize,
    /// When annotated solutions help. Default `every_turn`, as the paper has it.
    pub fallback: Fallback,
    /// How often the teacher may try. Default 2.
    pub elicitations: usize,
}

impl Default for Trees {
    fn default() -> Self {
        Self {
            max_turns: 5,
            fallback: Fallback::EveryTurn,
            elicitations: 2,
        }
    }
}

/// `[sandbox]`: what stands between the code of actions and the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sandbox {
    /// The weakest level of isolation to run under. Default `full`.
    pub require: String,
    /// The interpreter. Default the first `python3` on `PATH`.
    pub python: Option<PathBuf>,
    /// Whether installed packages can be imported. Default false: the standard library alone.
    pub packages: bool,
    /// Modules to import once, so that each run has them at no cost. Default none.
    pub preload: Vec<String>,
    /// Leaves out the two lines that IPython puts before a traceback. Default false.
    pub short_tracebacks: bool,
    /// How many interpreters there are, 2 at least. Default twice the cores.
    pub interpreters: Option<usize>,
    /// Limit on each block of code, in seconds by the clock and of the processor. Default that of [`Limits`].
    pub seconds: Option<f64>,
    /// Limit on its memory, in MiB. Default that of [`Limits`].
    pub memory_mib: Option<u64>,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            require: "full".into(),
            python: None,
            packages: false,
            preload: Vec::new(),
            short_tracebacks: false,
            interpreters: None,
            seconds: None,
            memory_mib: None,
        }
    }
}

impl Sandbox {
    /// The limits of each block.
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        if let Some(seconds) = self.seconds {
            limits.wall = Duration::try_from_secs_f64(seconds).unwrap_or(limits.wall);
            limits.cpu = limits.wall;
        }
        if let Some(mib) = self.memory_mib {
            limits.memory_bytes = mib.saturating_mul(1 << 20);
        }
        limits
    }
}

/// `[judging]`: when an answer is right.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Judging {
    /// Largest difference of a number from the truth. Default none: numbers are compared exactly, except for what double
    /// precision leaves.
    pub absolute: Option<f64>,
    /// Largest difference, as a share of the truth. Default none.
    pub relative: Option<f64>,
    /// Whether the answer may be rounded to as many decimals as the truth has. Default false.
    pub rounded: bool,
}

impl Judging {
    /// The same, as answers are compared.
    pub fn tolerance(&self) -> Tolerance {
        Tolerance {
            absolute: self.absolute,
            relative: self.relative,
            rounded: self.rounded,
            ..Tolerance::default()
        }
    }
}

/// `[run]`: how the work is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Run {
    /// How many trees are built at the same time. Default 64.
    pub trees_in_flight: usize,
    /// For how long a job is a worker's own without a sign of life, in seconds; less than 1 counts as 1. Default 60.
    pub lease_seconds: f64,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            trees_in_flight: 64,
            lease_seconds: 60.0,
        }
    }
}

impl Run {
    /// The lease.
    pub fn lease(&self) -> Duration {
        Duration::try_from_secs_f64(self.lease_seconds.max(1.0)).unwrap_or(Duration::from_secs(60))
    }
}
