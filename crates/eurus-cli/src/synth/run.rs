//! `eurus synth run`: trees from problems.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use eurus::interpreter::protect_this_process;
use eurus::synth::run::{Ended, Report, RunOptions, run};
use eurus::synth::run_file::RunFile;
use eurus::synth::store::{Job, Settings, Store};
use eurus::synth::{
    CorpusSearch, Critic, Error, Event, ModelCritic, Prompts, RuleCritic, TreeBuilder,
    failing_solutions,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::StoreAt;
use super::estimate::{estimate, money};
use super::input::{Given, ProblemOptions};
use super::models::Models;
use super::workshop::{Level, start};
use crate::interrupt::{self, Interrupted, Phase};
use crate::invocation;
use crate::job::print;

pub const EXAMPLES: &str = "\
What was answered is kept in the store before it is used, and what is finished is finished: the same command goes on after \
Ctrl-C, a kill, a spent budget or a full disk, and asks nothing twice. Several workers may run on one store, on several \
machines with PostgreSQL.

Before the first call the problems are read, the annotated solutions are tried, and code that tries to get out of the sandbox \
is run; what is wrong is told at once.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the budget is spent, 130 interrupted with Ctrl-C.

Examples:
  What it will cost:
    eurus synth run --config synth.toml --data problems.jsonl --dry-run

  Build the trees, at most for 3.00 in all (`budget = 3.0` in synth.toml):
    eurus synth run --config synth.toml --data problems.jsonl --store synth.db

  The same problems with other prompts, taking over what was answered to equal requests:
    eurus synth run --config other.toml --data problems.jsonl --store synth.db --fork other.db";

const STYLE: &str =
    "{prefix:.bold} {bar:24.cyan/dim} {pos}/{len} {per_sec} [{elapsed}, left {eta}] {msg}";

/// `eurus synth run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The run file: who acts, by which rule, for how much
    #[arg(long, value_name = "FILE", default_value = "synth.toml")]
    config: PathBuf,

    #[command(flatten)]
    problems: ProblemOptions,

    #[command(flatten)]
    store: StoreAt,

    /// Seed of everything that is drawn [default: that of the run file]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Tell calls, tokens and money, and begin nothing
    #[arg(long)]
    dry_run: bool,

    /// What stands between the actions' code and this machine
    #[arg(long, value_enum, default_value_t = Level::Required)]
    sandbox: Level,

    /// Begin a store here that takes over the answers of --store, for other settings
    #[arg(long, value_name = "NEW")]
    fork: Option<String>,

    /// A name that no other worker of the store has [default: host and process]
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
}

/// The budget is spent: what there is to say has been said.
#[derive(Debug)]
pub struct BudgetSpent;

impl std::fmt::Display for BudgetSpent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the budget is spent")
    }
}

impl std::error::Error for BudgetSpent {}

impl Run {
    pub fn run(&self) -> Result<()> {
        let mut file = RunFile::read(&self.config)?;
        file.seed = self.seed.unwrap_or(file.seed);
        let prompts = file.load_prompts()?;
        let mut given = self.problems.read()?;
        if self.dry_run {
            self.problems.write_rejects(&given)?;
            tell_estimate(&file, &given);
            return Ok(());
        }
        // Keys are in its environment.
        protect_this_process().context("this process cannot be protected")?;
        let models = Models::of(&file)?;
        let environment =
            start(&file.sandbox, self.sandbox)?.with_tolerance(file.judging.tolerance());
        let environment = match &file.corpus {
            Some(folder) => environment.with_tool(CorpusSearch::of_folder(folder)?),
            None => environment,
        };
        let level = environment.pool().safeguards().protection;
        tell!(
            "code of actions runs under: {}",
            environment.pool().safeguards()
        );
        let failing = failing_solutions(&environment, &given.problems)?;
        self.problems.take_out(&mut given, failing)?;
        self.problems.write_rejects(&given)?;
        anyhow::ensure!(
            !given.problems.is_empty(),
            "no problem is left to build a tree for"
        );

        let store = self.open_store()?;
        let settings = Settings::new(&file.settings(&prompts))?;
        let jobs = given
            .problems
            .iter()
            .map(|problem| Job::new(problem.id.clone(), problem));
        let begun = store.begin(&settings, jobs).map_err(|error| match error {
            Error::StoreSettings { .. } => {
                anyhow!("{error} (--fork NEW begins one that takes over what was answered)")
            }
            other => other.into(),
        })?;
        if begun.resumed {
            tell!(
                "{} goes on: {} problems were there, {} are new",
                store.place(),
                begun.known,
                begun.added
            );
        }
        let stop = interrupt::answers_stop();
        interrupt::enter(Phase::Answers(store.place()));
        let worker = self.worker.clone().unwrap_or_else(worker_name);
        let recorded = models.recorded(&store, &worker, file.budget, &stop);
        let stamp = json!({
            "sandbox": level,
            "prompts": prompts.fingerprints(),
            "worker": worker,
            "eurus": env!("CARGO_PKG_VERSION"),
        });
        let critic = self.critic(&file, &recorded, &prompts)?;
        let mut builder =
            TreeBuilder::new(file.config(), recorded.team(&file)?, &environment, &*critic)?
                .with_stop(&stop)
                .with_prompts(prompts);
        if !file.actors.told {
            builder = builder.without_system_message();
        }
        let mut options = RunOptions::new(worker);
        options.lease = file.run.lease();
        options.stop = Some(&stop);
        options.stamp = stamp;
        for model in recorded.all() {
            options = options.watching(model);
        }
        let report = build(&builder, &store, &options)?;
        self.end(&store, report)
    }

    fn open_store(&self) -> Result<Store> {
        match &self.fork {
            None => Ok(Store::open(&self.store.store)?),
            Some(new) => Ok(self.store.open_existing()?.fork(new)?),
        }
    }

    fn critic<'r>(
        &self,
        file: &RunFile,
        recorded: &'r super::models::RecordedModels<'_>,
        prompts: &Prompts,
    ) -> Result<Box<dyn Critic + 'r>> {
        let Some(name) = &file.actors.critic else {
            return Ok(Box::new(RuleCritic));
        };
        let mut sampling = file.sampling.sampling();
        sampling.temperature = file.critic.temperature;
        sampling.max_tokens = file.critic.max_tokens;
        sampling.seed = file.seed;
        let critic = ModelCritic::new(recorded.get(name)?)
            .with_prompts(prompts.clone())
            .with_sampling(sampling);
        Ok(Box::new(critic))
    }

    /// Says what came of it.
    fn end(&self, store: &Store, report: Report) -> Result<()> {
        interrupt::enter(Phase::Elsewhere);
        let status = super::status::Report::of(store)?;
        print(status.to_string().trim_end());
        let go_on = invocation::again();
        match report.ended {
            Ended::Done => {
                if report.parked > 0 {
                    tell!(
                        "`eurus synth retry` lets the problems that were given up be tried again"
                    );
                }
                tell!(
                    "next: eurus synth export --store {} --kind pairs --out pairs.jsonl",
                    invocation::quoted(self.place())
                );
                Ok(())
            }
            Ended::Stopped => {
                tell!("interrupted; what was answered is kept. Go on with:\n  {go_on}");
                Err(Interrupted::now().into())
            }
            Ended::BudgetSpent(error) => {
                tell!(
                    "{error}\nwhat was answered is kept. Raise `budget` in {} and go on with:\n  {go_on}",
                    self.config.display()
                );
                Err(BudgetSpent.into())
            }
        }
    }

    fn place(&self) -> &str {
        self.fork.as_deref().unwrap_or(&self.store.store)
    }
}

fn tell_estimate(file: &RunFile, given: &Given) {
    let parts = estimate(file, &given.problems);
    print(&format!(
        "{} problems, at most {} turns each:",
        given.problems.len(),
        file.trees.max_turns
    ));
    for part in &parts {
        print(&part.to_string());
    }
    let (least, most) = money(&parts);
    print(&format!(
        "all together {least:.2} to {most:.2} of money{}",
        file.budget.map_or(String::new(), |budget| format!(
            "; the budget is {budget:.2}"
        ))
    ));
    print(
        "The lower numbers hold when the first round of every turn has a correct and an incorrect action of usual length, the \
         higher ones when nobody is ever right and everything is as long as it may be. A run of --limit 50 tells more.",
    );
}

fn build(builder: &TreeBuilder<'_>, store: &Store, options: &RunOptions<'_>) -> Result<Report> {
    let jobs = store.status()?.jobs;
    let bar = ProgressBar::new(jobs.waiting + jobs.delayed + jobs.leased + jobs.expired);
    if let Ok(style) = ProgressStyle::with_template(STYLE) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.set_prefix("trees");
    let (turns, samples) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let last_failure = Mutex::new(());
    let report = run(builder, store, options, &|event| match event {
        Event::Sampled { samples: drawn, .. } => {
            let drawn = samples.fetch_add(drawn, Ordering::Relaxed) + drawn;
            bar.set_message(format!(
                "{} turns, {drawn} actions",
                turns.load(Ordering::Relaxed)
            ));
        }
        Event::TurnFinished { .. } => {
            turns.fetch_add(1, Ordering::Relaxed);
        }
        Event::TreeFinished { .. } | Event::ProblemTooEasy { .. } => bar.inc(1),
        Event::ProblemFailed { problem, error } => {
            bar.inc(1);
            // One line at a time.
            let _guard = last_failure.lock();
            bar.suspend(|| tell!("given up: {problem}: {error}"));
        }
        _ => {}
    });
    bar.finish_and_clear();
    Ok(report?)
}

/// The name of this process among all of a store.
fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let started = started.map_or(0, |it| it.as_millis());
    format!("{host}-{}-{started}", std::process::id())
}
