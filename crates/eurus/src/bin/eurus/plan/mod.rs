//! `eurus plan`: what a run reads, costs and needs, without loading weights or writing anything.
//!
//! The rows go the way they go before training, and the forests are those that training packs. [`work`] counts what
//! they cost, [`estimate`] makes memory and time of that, [`report`] shows it.

mod estimate;
mod report;
mod work;

use anyhow::Result;
use clap::{Args, Command};
use eurus::forest::PackedForest;
use eurus::losses::Needs;
use eurus::train::data::ResponseTree;
use eurus::train::plan::{self, PlannedStep};
use eurus::train::{PairedTree, Ranks};

use crate::adapters::Adapters;
use crate::input::{self, Rows};
use crate::prefer::Prefer;
use crate::reward::Reward;
use crate::rows::RowReport;
use crate::setup::{Setup, UsageError};
use crate::sft::Sft;
use crate::text::TextReport;
use crate::{Training, job};

use estimate::{Memory, Time};
use report::{Report, Steps};
use work::{Costs, Objective, Work};

pub const EXAMPLES: &str = "\
Put `plan` before the command that would train, with the same options; --out may be left out. The tokens, steps and \
forests are those of the run; memory and time are estimates. Judging on --eval is not planned.

Examples:
  eurus plan sft    --model SmolLM2-135M-Instruct --data sft.jsonl
  eurus plan prefer --model runs/sft --data pairs.jsonl --algorithm kto --token-budget 2048
  eurus plan reward --model runs/sft --data pairs.jsonl --json";

#[derive(Debug, Args)]
pub struct Plan {
    #[command(subcommand)]
    run: Training,

    /// Print the plan as one JSON object
    #[arg(long, global = true)]
    json: bool,
}

/// Options of what a run writes, and of who runs it.
const OF_RESULT: [&str; 12] = [
    "out",
    "overwrite",
    "weight_type",
    "max_shard_bytes",
    "metrics",
    "tensorboard",
    "snapshot_every",
    "snapshots",
    "snapshots_keep",
    "resume",
    "mpi",
    "devices",
];

/// The command of a run as one of `plan`: taken with all its options, shown without those of a result.
pub fn without_result(run: Command) -> Command {
    run.mut_arg("out", |out| {
        out.required(false).default_value("not-written")
    })
    .mut_args(|arg| {
        let hidden = OF_RESULT.contains(&arg.get_id().as_str());
        arg.hide(hidden)
    })
}

impl Plan {
    pub fn run(&mut self) -> Result<()> {
        self.run.find_model()?;
        let report = match &self.run {
            Training::Sft(run) => of_sft(run)?,
            Training::Prefer(run) => of_prefer(run)?,
            Training::Reward(run) => of_reward(run)?,
        };
        job::print(&match self.json {
            true => serde_json::to_string_pretty(&report)?,
            false => report.table(),
        });
        Ok(())
    }
}

fn of_sft(run: &Sft) -> Result<Report> {
    let setup = Setup::open(&run.files, &run.text, &run.steps, &Ranks::default())?;
    let rows = input::sft(&run.files.data, &setup)?;
    let steps = plan::sft_steps(&rows.trees, &setup.settings)?;
    let load = Load::of_steps(&setup, steps)?;
    let command = PlannedCommand {
        name: "sft",
        objective: Objective::LanguageModel,
        adapters: &run.adapters,
        trees: rows.trees.len(),
        example: "responses",
        examples: rows.trees.len(),
    };
    command.report(&setup, load, rows.rows, &rows.report)
}

fn of_prefer(run: &Prefer) -> Result<Report> {
    if run.unpaired {
        let needs = run
            .loss
            .unpaired()?
            .init()
            .map_err(UsageError::new)?
            .needs();
        let setup = Setup::open(&run.files, &run.text, &run.steps, &Ranks::default())?;
        let rows = input::unpaired(&run.files.data, &setup)?;
        return of_responses(run, needs, &setup, rows);
    }
    if run.scored {
        let needs = run.loss.scored()?.init().map_err(UsageError::new)?.needs();
        let setup = Setup::open(&run.files, &run.text, &run.steps, &Ranks::default())?;
        let rows = input::scored(&run.files.data, &setup)?;
        return of_responses(run, needs, &setup, rows);
    }
    let needs = run.loss.paired()?.init().map_err(UsageError::new)?.needs();
    let setup = Setup::open(&run.files, &run.text, &run.steps, &Ranks::default())?;
    let pairs = input::pairs(&run.files.data, &setup)?;
    of_responses(run, needs, &setup, pairs.into())
}

fn of_responses<T: ResponseTree>(
    run: &Prefer,
    needs: Needs,
    setup: &Setup,
    mut rows: Rows<T>,
) -> Result<Report> {
    if needs.kl {
        rows.add_mismatched(setup)?;
    }
    let steps = plan::response_steps(&rows.trees, &setup.settings)?;
    let mut load = Load::of_steps(setup, steps)?;
    if needs.reference {
        for forest in plan::reference_forests(&rows.trees, &setup.settings)? {
            load.add_reference(&forest?, setup);
        }
    }
    let command = PlannedCommand {
        name: "prefer",
        objective: Objective::LanguageModel,
        adapters: &run.adapters,
        trees: rows.trees.len(),
        example: T::GROUP[1],
        examples: rows.len(),
    };
    command.report(setup, load, rows.rows, &rows.report)
}

fn of_reward(run: &Reward) -> Result<Report> {
    let setup = Setup::open(&run.files, &run.text, &run.steps, &Ranks::default())?;
    let pairs: Rows<PairedTree> = input::pairs(&run.files.data, &setup)?.into();
    let steps = plan::response_steps(&pairs.trees, &setup.settings)?;
    let load = Load::of_steps(&setup, steps)?;
    let command = PlannedCommand {
        name: "reward",
        objective: Objective::Reward,
        adapters: &run.adapters,
        trees: pairs.trees.len(),
        example: PairedTree::GROUP[1],
        examples: pairs.len(),
    };
    command.report(&setup, load, pairs.rows, &pairs.report)
}

/// What a run puts through its model.
struct Load {
    steps: Steps,
    /// With gradients.
    trained: Work,
    /// Without gradients: the reference, and mismatched completions.
    scored: Work,
    /// The forest with the most tokens of those with gradients.
    largest: Work,
}

impl Load {
    fn of_steps(
        setup: &Setup,
        steps: impl Iterator<Item = eurus::train::Result<PlannedStep>>,
    ) -> Result<Self> {
        let mut load = Self {
            steps: Steps::new(setup.settings.token_budget),
            trained: Work::default(),
            scored: Work::default(),
            largest: Work::default(),
        };
        let window = setup.config.sliding_window;
        for step in steps {
            let step = step?;
            load.steps.add(&step);
            for forest in &step.forests {
                let work = Work::of(forest, window);
                load.trained = load.trained + work;
                if work.tokens > load.largest.tokens {
                    load.largest = work;
                }
            }
            for forest in &step.mismatched {
                load.scored = load.scored + Work::of(forest, window);
            }
        }
        Ok(load)
    }

    fn add_reference(&mut self, forest: &PackedForest, setup: &Setup) {
        self.steps.reference_tokens += forest.len();
        self.scored = self.scored + Work::of(forest, setup.config.sliding_window);
    }
}

/// What the planned commands differ in.
struct PlannedCommand<'a> {
    name: &'static str,
    objective: Objective,
    adapters: &'a Adapters,
    trees: usize,
    /// What the examples are called.
    example: &'static str,
    examples: usize,
}

impl PlannedCommand<'_> {
    fn report(
        self,
        setup: &Setup,
        load: Load,
        rows: RowReport,
        text: &TextReport,
    ) -> Result<Report> {
        let adapters = self.adapters.config();
        let costs = Costs {
            config: &setup.config,
            adapters: adapters.as_ref(),
            objective: self.objective,
            recompute: setup.settings.recompute_activations,
            precision: setup.settings.precision,
        };
        let chunk = setup.settings.log_prob_chunk;
        let memory = Memory::estimate(&costs, load.largest, chunk);
        let flops = costs.training(load.trained) + costs.forward(load.scored);
        let time = Time::estimate(flops, &setup.device, &setup.config)?;
        Ok(Report {
            command: self.name,
            rows,
            over_long: text.lengths,
            trees: self.trees,
            example: self.example,
            examples: self.examples,
            run: load.steps,
            memory,
            time,
        })
    }
}
