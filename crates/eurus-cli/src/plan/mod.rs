//! `eurus plan`: what a run reads, costs and needs, without loading weights or writing anything.
//!
//! The rows go the way they go before training, and the forests are those that training packs. [`Work`] counts what
//! they cost, [`Memory`] and [`Time`] are made of that, [`report`] shows it.

mod report;
mod time;

pub use time::{Time, matmul_flops_per_second};

use anyhow::Result;
use clap::{Args, Command};
use eurus::forest::rows::TrainingRows;
use eurus::forest::{LabelKind, PackedForest, TrainingTree};
use eurus::losses::Needs;
use eurus::models::DecoderConfig;
use eurus::train::Ranks;
use eurus::train::plan::{self, Costs, Machine, Memory, Objective, PlannedStep, Work};

use crate::adapters::Adapters;
use crate::input::{self, Wanted};
use crate::judging::{Judging, Samples};
use crate::other_model::OtherModel;
use crate::prefer::Prefer;
use crate::reward::Reward;
use crate::setup::Setup;
use crate::sft::Sft;
use crate::{Training, job};

use report::{Report, Steps};

pub const EXAMPLES: &str = "\
Put `plan` before the command that would train, with the same options; --out may be left out. The tokens, steps and \
forests are those of the run; memory and time are estimates. Of judging on \
--eval the memory of --eval-samples is planned, not the time.

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
const OF_RESULT: [&str; 13] = [
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
    "extend",
    "mpi",
    "devices",
];

/// The command of a run as one of `plan`: taken with all its options, shown without those of a result.
pub fn without_result(run: Command) -> Command {
    let (name, choice) = (
        run.get_name().to_owned(),
        match run.get_name() {
            "prefer" => " --algorithm kto",
            _ => "",
        },
    );
    run.after_help(format!(
        "What the run itself takes is taken here, too; `eurus help {name}` shows the rows that it reads.\n\nExample:\n  eurus plan {name} --model runs/sft --data data.jsonl{choice}"
    ))
    .mut_arg("out", |out| {
        out.required(false).default_value("not-written")
    })
    .mut_args(|arg| {
        let hidden = OF_RESULT.contains(&arg.get_id().as_str());
        arg.hide(hidden)
    })
}

impl Plan {
    /// The run that is planned.
    pub fn training(&self) -> &Training {
        &self.run
    }

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
    let read = |files: &[String]| input::rows(files, &run.text.rows, &run.wanted(), &setup);
    let rows = read(&run.files.data)?;
    let nothing = Needs::default();
    let objective = Objective::LanguageModel;
    let answers = answers(&run.judging, &run.samples, read, &setup)?;
    let planned = report("sft", objective, &run.adapters, nothing, None, &setup, rows)?;
    Ok(planned.with_answers(&setup, &answers))
}

fn of_prefer(run: &Prefer) -> Result<Report> {
    let (kind, needs) = run.learns_from()?;
    let setup = Setup::open(&run.files, &run.text, &run.steps, &Ranks::default())?;
    let reference = run.reference_found.as_ref();
    let reference = reference
        .map(|it| OtherModel::open(it, &setup))
        .transpose()?;
    let read = |files: &[String]| input::rows(files, &run.text.rows, &Wanted::new(kind), &setup);
    let rows = read(&run.files.data)?;
    if let Some(reference) = &reference {
        reference.check(&rows)?;
    }
    let answers = answers(&run.judging, &run.samples, read, &setup)?;
    let objective = Objective::LanguageModel;
    let reference = reference.as_ref().map(|it| &it.config);
    let planned = report(
        "prefer",
        objective,
        &run.adapters,
        needs,
        reference,
        &setup,
        rows,
    )?;
    Ok(planned.with_answers(&setup, &answers))
}

/// Tokens of the prompts that are answered at each evaluation, and the most of each answer.
fn answers(
    judging: &Judging,
    samples: &Samples,
    read: impl FnOnce(&[String]) -> Result<TrainingRows>,
    setup: &Setup,
) -> Result<Vec<(usize, usize)>> {
    let Some(files) = judging.eval.as_deref().filter(|_| samples.eval_samples > 0) else {
        return Ok(Vec::new());
    };
    let rows = read(files)?;
    Ok(samples.lengths(rows.trees.iter(), setup.config.context_length()))
}

fn of_reward(run: &Reward) -> Result<Report> {
    let setup = Setup::open(&run.files, &run.text, &run.steps, &Ranks::default())?;
    let rows = input::rows(&run.files.data, &run.text.rows, &run.wanted(), &setup)?;
    run.check_rank_only(&rows)?;
    let nothing = Needs::default();
    let objective = Objective::Reward;
    report(
        "reward",
        objective,
        &run.adapters,
        nothing,
        None,
        &setup,
        rows,
    )
}

fn report(
    command: &'static str,
    objective: Objective,
    adapters: &Adapters,
    needs: Needs,
    // The reference, if it is another model.
    reference: Option<&DecoderConfig>,
    setup: &Setup,
    mut rows: TrainingRows,
) -> Result<Report> {
    if needs.kl {
        input::add_mismatched_responses(&mut rows, setup)?;
    }
    let mut load = Load::of_steps(setup, plan::steps(&rows.trees, &setup.settings)?)?;
    if needs.reference {
        for forest in plan::reference_forests(&rows.trees, &setup.settings)? {
            load.add_reference(&forest?, setup);
        }
    }
    let adapters = adapters.config();
    let costs = Costs::new(&setup.config, &setup.settings, adapters.as_ref(), objective)
        .on(Machine::of(&setup.device));
    let mut memory = Memory::estimate(&costs, load.largest, setup.settings.log_prob_chunk);
    let of_reference = Costs {
        config: reference.unwrap_or(&setup.config),
        // The adapted policy without its adapters.
        adapters: None,
        ..costs
    };
    if reference.is_some() {
        memory.add_reference(&of_reference, load.largest);
    } else if needs.reference {
        memory.add_own_reference(&costs, load.largest);
    }
    let flops = costs.training(load.trained)
        + costs.forward(load.scored)
        + of_reference.forward(load.reference);
    let time = Time::estimate(flops, &setup.device, &setup.config)?;
    let kind = rows
        .trees
        .first()
        .map_or(LabelKind::Pair, TrainingTree::kind);
    Ok(Report {
        command,
        trees: rows.trees.len(),
        example: kind.nouns()[1],
        examples: rows.groups(),
        over_long: rows.report.over_long,
        rows: rows.report,
        run: load.steps,
        memory,
        time,
    })
}

impl Report {
    /// Adds the memory of answers that an evaluation writes.
    fn with_answers(mut self, setup: &Setup, lengths: &[(usize, usize)]) -> Self {
        self.memory
            .add_evaluation(&setup.config, setup.settings.precision, lengths);
        self
    }
}

/// The load of a run on its model: steps and work.
struct Load {
    steps: Steps,
    /// With gradients.
    trained: Work,
    /// Without gradients: mismatched completions.
    scored: Work,
    /// Under the reference.
    reference: Work,
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
            reference: Work::default(),
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
        self.reference = self.reference + Work::of(forest, setup.config.sliding_window);
    }
}
