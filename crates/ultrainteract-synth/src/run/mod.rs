//! A run that nothing can make start over: jobs and answers are in a [store](crate::store).
//!
//! ```no_run
//! use std::time::Duration;
//! use chat_model::{OpenAiClient, OpenAiConfig};
//! use code_interpreter::{Limits, Python};
//! use ultrainteract_synth::run::{self, Recorded, RunOptions};
//! use ultrainteract_synth::store::{Job, Settings, Store};
//! use ultrainteract_synth::{PythonEnvironment, RuleCritic, SynthConfig, Team, TreeBuilder};
//! # fn problems() -> Vec<ultrainteract_synth::Problem> { Vec::new() }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::open("synth.db")?;
//! let config = SynthConfig::default();
//! let jobs = problems().into_iter().map(|problem| Job::new(problem.id.clone(), &problem));
//! store.begin(&Settings::new(&config)?, jobs)?;
//!
//! let client = OpenAiClient::new(OpenAiConfig::new("http://127.0.0.1:8080/v1", "small"))?;
//! let actor = Recorded::new("small", client, &store, "worker-1");
//! let environment = PythonEnvironment::start(&Python::find()?, Limits::default(), 2)?;
//! let builder = TreeBuilder::new(config, Team::new(&actor), &environment, &RuleCritic)?;
//! let report = run::run(&builder, &store, &RunOptions::new("worker-1"), &|_event| {})?;
//! println!("{} trees", report.finished);
//! # Ok(())
//! # }
//! ```

mod fate;
mod jobs;
mod leases;
mod recorded;

pub use jobs::{Account, Ended, Report, RunOptions, run, stats};
pub use recorded::Recorded;
