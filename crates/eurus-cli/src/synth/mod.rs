//! `eurus synth`: preference trees from a user's own problems.
//!
//! `problems` makes problems of published data sets, `run` builds trees in a store, `status`, `retry` and `export` look at one,
//! `doctor` tells what stands between model-written code and this machine. `models` makes the actors of a run file.

mod doctor;
mod estimate;
mod export;
mod input;
mod models;
mod problems;
mod retry;
mod run;
mod status;
mod workshop;

use anyhow::Result;
use clap::{Args, Subcommand};
use eurus::synth::store::Store;

pub use run::BudgetSpent;

pub const EXAMPLES: &str = "\
A problem is a line of JSON: id, task (Coding, Math_CoT, Math_PoT, Logic), instruction, and one of
  \"answer\": \"42\"                                  a final answer
  \"choices\": [\"red\", \"blue\"], \"answer\": \"B\"       a choice
  \"tests\": [{\"input\": \"1 2\", \"output\": \"3\"}]      a program that reads and writes
  \"asserts\": \"assert f(1) == 2\", \"entry_point\": \"f\"   a function
and, where there are any, solutions (a list) and dataset.

synth.toml says who acts:
  seed = 1
  budget = 3.0
  [actors]
  cheap = \"small\"            # up to 20 samples a turn, 5 at a time
  stronger = [\"big\"]         # asked where nothing was correct
  teacher = \"big\"            # works annotated solutions into actions
  critic = \"big\"             # without it a rule compares
  [endpoints.small]
  checkpoint = \"runs/sft\"
  [endpoints.big]
  base_url = \"http://127.0.0.1:8080/v1\"
  model = \"big-instruct\"
  api_key_env = \"KEY\"
  prices = { prompt_per_million = 0.1, completion_per_million = 0.4 }

Examples:
  eurus synth doctor
  eurus synth problems --from gsm8k train.jsonl --out problems.jsonl
  eurus synth run --config synth.toml --data problems.jsonl --store synth.db --dry-run
  eurus synth run --config synth.toml --data problems.jsonl --store synth.db
  eurus synth status --store synth.db
  eurus synth export --store synth.db --kind pairs --out pairs.jsonl

`eurus synth COMMAND --help` has more.";

/// The group of commands.
#[derive(Debug, Args)]
pub struct Synth {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find out by trying how well this machine holds model-written code
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::Doctor),
    /// Make problems of published data sets, or of any CSV or JSONL
    #[command(after_help = problems::EXAMPLES)]
    Problems(problems::Problems),
    /// Build trees; the same command goes on where a run ended
    #[command(after_help = run::EXAMPLES)]
    Run(run::Run),
    /// Tell how far a run is, what it costs and what failed
    #[command(after_help = status::EXAMPLES)]
    Status(status::Status),
    /// Let problems that failed be tried again
    #[command(after_help = retry::EXAMPLES)]
    Retry(retry::Retry),
    /// Write the trees of a store, or the pairs or correct actions of them
    #[command(after_help = export::EXAMPLES)]
    Export(export::Export),
}

impl Synth {
    pub fn run(&self) -> Result<()> {
        match &self.command {
            Command::Doctor(command) => command.run(),
            Command::Problems(command) => command.run(),
            Command::Run(command) => command.run(),
            Command::Status(command) => command.run(),
            Command::Retry(command) => command.run(),
            Command::Export(command) => command.run(),
        }
    }
}

/// Where a run is kept.
#[derive(Debug, Args)]
struct StoreAt {
    /// The run's store: a file, or postgres://USER:PASSWORD@HOST/DATABASE for several machines
    #[arg(long, value_name = "STORE", default_value = "synth.db")]
    store: String,
}

impl StoreAt {
    /// The store, which must be there: a slip in its name shall not make an empty one.
    fn open_existing(&self) -> Result<Store> {
        let is_file = !self.store.contains("://");
        if is_file && !std::path::Path::new(&self.store).exists() {
            anyhow::bail!(
                "{}: there is no store (--store); `eurus synth run` makes one",
                self.store
            );
        }
        Ok(Store::open(&self.store)?)
    }
}
