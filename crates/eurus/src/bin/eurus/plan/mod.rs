//! `eurus plan`: what a run reads, costs and needs, without loading weights or writing anything.
//!
//! The rows go the way they go before training, and the forests are those that training packs. [`work`] counts what
//! they cost, [`memory`] and [`time`] estimate from that, [`report`] shows it.

mod memory;
mod report;
mod time;
mod work;

use anyhow::Result;
use clap::{Args, Subcommand};
use eurus::models::lora::LoraConfig;
use eurus::train::plan::{self, PlannedStep};
use eurus::train::{Optimization, PairedTree};

use crate::adapters::Adapters;
use crate::options::{DeviceName, Files};
use crate::prefer::Prefer;
use crate::reward::Reward;
use crate::rows::RowReport;
use crate::setup::{Setup, UsageError};
use crate::sft::Sft;
use crate::text::TextReport;
use crate::{input, job};

use memory::Memory;
use report::{Data, Forests, Report};
use time::{MatmulRate, Time};
use work::{Costs, Objective, Work};

pub const EXAMPLES: &str = "\
Put `plan` before the command that would train, with the same options; those that say where a result goes may be left \
out and are not looked at.

Examples:
  eurus plan sft    --model SmolLM2-135M-Instruct --data sft.jsonl
  eurus plan prefer --model runs/sft --data pairs.jsonl --algorithm kto --token-budget 2048
  eurus plan reward --model runs/sft --data pairs.jsonl --json";

#[derive(Debug, Args)]
pub struct Plan {
    #[command(subcommand)]
    run: PlannedRun,

    /// Print the plan as one JSON object
    #[arg(long, global = true)]
    json: bool,
}

/// The run that is planned, with the options of its command.
#[derive(Debug, Subcommand)]
enum PlannedRun {
    /// Plan `eurus sft`.
    #[command(
        mut_arg("learning_rate", |arg| arg.required(false).default_value("2e-5")),
        mut_arg("out", |arg| arg.required(false).default_value("not-written").hide(true)),
    )]
    Sft(Sft),
    /// Plan `eurus prefer`.
    #[command(
        mut_arg("learning_rate", |arg| arg.required(false).default_value("5e-7")),
        mut_arg("out", |arg| arg.required(false).default_value("not-written").hide(true)),
    )]
    Prefer(Prefer),
    /// Plan `eurus reward`.
    #[command(
        mut_arg("learning_rate", |arg| arg.required(false).default_value("1e-5")),
        mut_arg("out", |arg| arg.required(false).default_value("not-written").hide(true)),
    )]
    Reward(Reward),
}

impl Plan {
    /// The files of the run that is planned.
    pub fn files(&mut self) -> &mut Files {
        match &mut self.run {
            PlannedRun::Sft(run) => &mut run.files,
            PlannedRun::Prefer(run) => &mut run.files,
            PlannedRun::Reward(run) => &mut run.files,
        }
    }

    pub fn run(&self) -> Result<()> {
        let report = match &self.run {
            PlannedRun::Sft(run) => of_sft(run)?,
            PlannedRun::Prefer(run) => of_prefer(run)?,
            PlannedRun::Reward(run) => of_reward(run)?,
        };
        job::print(&match self.json {
            true => serde_json::to_string_pretty(&report)?,
            false => report.table(),
        });
        Ok(())
    }
}

fn of_sft(run: &Sft) -> Result<Report> {
    let setup = Setup::open(&run.files, &run.text, &run.steps)?;
    let rows = input::sft(&run.files.data, &setup)?;
    eprintln!("{}", rows.describe());
    let settings = &setup.settings;
    let once = once(settings);
    let data = Data::new(
        rows.trees.len(),
        rows.trees.len(),
        plan::sft_steps(&rows.trees, &once)?,
    )?;
    let steps = Steps::new(&setup, plan::sft_steps(&rows.trees, settings)?)?;
    let run = PlannedTraining {
        command: "sft",
        objective: Objective::LanguageModel,
        adapters: &run.adapters,
        device: run.steps.device,
        data,
        steps,
        scored_before: Work::default(),
    };
    run.report(&setup, &rows.rows, &rows.report)
}

fn of_prefer(run: &Prefer) -> Result<Report> {
    let loss = run.loss.config().init().map_err(UsageError::new)?;
    let setup = Setup::open(&run.files, &run.text, &run.steps)?;
    let mut pairs = input::pairs(&run.files.data, &setup)?;
    eprintln!("{}", pairs.describe());
    if loss.needs().kl {
        pairs.add_mismatched(&setup)?;
    }
    let (data, steps) = of_pairs(&pairs.trees, &setup)?;
    // The reference scores every tree once, in forests that are packed as those of a step.
    let scored_before = match loss.needs().reference {
        true => {
            let once = once(&setup.settings);
            let all = Steps::new(&setup, plan::pair_steps(&pairs.trees, &once)?)?;
            all.trained + all.scored
        }
        false => Work::default(),
    };
    let run = PlannedTraining {
        command: "prefer",
        objective: Objective::LanguageModel,
        adapters: &run.adapters,
        device: run.steps.device,
        data,
        steps,
        scored_before,
    };
    run.report(&setup, &pairs.rows, &pairs.report)
}

fn of_reward(run: &Reward) -> Result<Report> {
    let setup = Setup::open(&run.files, &run.text, &run.steps)?;
    let pairs = input::pairs(&run.files.data, &setup)?;
    eprintln!("{}", pairs.describe());
    let (data, steps) = of_pairs(&pairs.trees, &setup)?;
    let run = PlannedTraining {
        command: "reward",
        objective: Objective::Reward,
        adapters: &run.adapters,
        device: run.steps.device,
        data,
        steps,
        scored_before: Work::default(),
    };
    run.report(&setup, &pairs.rows, &pairs.report)
}

fn of_pairs(trees: &[PairedTree], setup: &Setup) -> Result<(Data, Steps)> {
    let once = once(&setup.settings);
    let pairs = trees.iter().map(|tree| tree.pairs.len()).sum();
    let data = Data::new(trees.len(), pairs, plan::pair_steps(trees, &once)?)?;
    let steps = Steps::new(setup, plan::pair_steps(trees, &setup.settings)?)?;
    Ok((data, steps))
}

/// The settings of one pass over all trees.
fn once(settings: &Optimization) -> Optimization {
    Optimization {
        epochs: 1,
        max_steps: None,
        ..settings.clone()
    }
}

/// The sums over all steps of a run.
struct Steps {
    forests: Forests,
    trained: Work,
    /// What is computed without gradients during the steps.
    scored: Work,
    /// The forest with the most tokens.
    largest: Work,
    /// Whether the gradients of several forests are added in some step.
    several_forests: bool,
}

impl Steps {
    fn new(
        setup: &Setup,
        steps: impl Iterator<Item = eurus::train::Result<PlannedStep>>,
    ) -> Result<Self> {
        let mut sums = Self {
            forests: Forests::new(setup.settings.token_budget),
            trained: Work::default(),
            scored: Work::default(),
            largest: Work::default(),
            several_forests: false,
        };
        let window = setup.config.sliding_window;
        for step in steps {
            let step = step?;
            sums.forests.add(&step);
            sums.several_forests |= step.forests.len() > 1;
            for forest in &step.forests {
                let work = Work::of(forest, window);
                sums.trained = sums.trained + work;
                if work.tokens > sums.largest.tokens {
                    sums.largest = work;
                }
            }
            for forest in &step.mismatched {
                sums.scored = sums.scored + Work::of(forest, window);
            }
        }
        Ok(sums)
    }
}

/// All that a plan is made of.
struct PlannedTraining<'a> {
    command: &'static str,
    objective: Objective,
    adapters: &'a Adapters,
    device: DeviceName,
    data: Data,
    steps: Steps,
    /// What is computed without gradients before the first step.
    scored_before: Work,
}

impl PlannedTraining<'_> {
    fn report(self, setup: &Setup, rows: &RowReport, text: &TextReport) -> Result<Report> {
        let adapters: Option<LoraConfig> = self.adapters.config();
        let costs = Costs {
            config: &setup.config,
            adapters: adapters.as_ref(),
            objective: self.objective,
            recompute: setup.settings.recompute_activations,
        };
        let steps = self.steps;
        let memory = Memory::estimate(
            &costs,
            &setup.settings,
            steps.largest,
            steps.several_forests,
        );
        let flops = costs.training(steps.trained)
            + costs.forward(steps.scored)
            + costs.forward(self.scored_before);
        let rate = MatmulRate::measure(&setup.device, &setup.config)?;
        let time = Time::estimate(flops, rate, self.device);
        let rows = serde_json::to_value(rows)?;
        Ok(Report {
            command: self.command,
            rows,
            over_long: text.lengths.into(),
            data: self.data,
            run: steps.forests,
            memory,
            time,
        })
    }
}
