//! What the experiments share: their options, the run over seeds, and tables of what was measured.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use chat_model::Sampling;
use clap::Args;
use eurus_eval::metrics::{Estimate, over_seeds};
use eurus_eval::{Table, terminal};
use eurus_models::Decoder;
use ultrainteract_synth::{Critic, Environment, Fallback, Problem, PythonEnvironment, SynthConfig};

use crate::corpus;
use crate::policy;
use crate::problems::{self, Split};
use crate::run_folder::RunFolder;
use crate::start::{OwnOptions, RunOptions, Start, python_environment};
use crate::trees::{self, Trees};

/// The options of every experiment.
#[derive(Args, Debug)]
pub struct Options {
    /// Seeds, sizes and which problems all is judged on.
    #[command(flatten)]
    pub run: RunOptions,

    /// Folder for the data and metrics of each seed; replaced if it is one of this program's.
    #[arg(long, default_value = "target/experiments")]
    out: PathBuf,
}

/// The options of experiments that start from a policy and its trees.
#[derive(Args, Debug)]
pub struct StartOptions {
    #[command(flatten)]
    all: Options,

    #[command(flatten)]
    own: OwnOptions,

    /// Take the fine-tuned policy and the trees of a run of the quickstart with the same seed, in place of making them
    /// anew: its --out, with or without a folder for each seed.
    #[arg(long, value_name = "DIR", conflicts_with = "model")]
    from: Option<PathBuf>,
}

/// Greedy pass@1 of a policy on the unseen problems.
///
/// # Errors
///
/// When a prompt does not fit or Python cannot be run.
pub fn pass_at_1(start: &Start, policy: &Decoder, environment: &PythonEnvironment) -> Result<f64> {
    solved(start, policy, &start.unseen, environment)
}

/// Share of the problems that a policy's greedy answers solve.
///
/// # Errors
///
/// When a prompt does not fit or Python cannot be run.
pub fn solved(
    start: &Start,
    policy: &Decoder,
    problems: &[Problem],
    environment: &PythonEnvironment,
) -> Result<f64> {
    policy::solved(
        policy,
        &start.tokenizer,
        problems,
        &start.scale,
        environment,
    )
}

/// Trees of one greedy action a turn for the unseen problems: how a policy goes on after what the environment and the
/// critic say.
///
/// # Errors
///
/// When a prompt does not fit or Python cannot be run.
pub fn greedy_turns(
    start: &Start,
    policy: &Decoder,
    environment: &dyn Environment,
    critic: &dyn Critic,
) -> Result<Trees> {
    let settings = trees::settings(start.seed, &start.scale);
    let config = SynthConfig {
        samples_per_turn: 1,
        samples_per_round: None,
        sampling: Sampling {
            temperature: 0.0,
            ..settings.sampling.clone()
        },
        fallback: Fallback::Never,
        ..settings
    };
    trees::build(
        config,
        &start.actor(policy),
        &start.unseen,
        environment,
        critic,
        None,
    )
}

/// Runs an experiment for every seed, from a policy and its trees, and prints its table.
///
/// # Errors
///
/// When there is no Python, or what `experiment` returns.
pub fn run(
    name: &str,
    options: &StartOptions,
    caption: &str,
    note: &str,
    mut experiment: impl FnMut(&mut Start, &PythonEnvironment, &mut Measures) -> Result<()>,
) -> Result<()> {
    // Before hours are spent on the first seeds.
    for seed in options.all.run.seeds() {
        if let Some(run) = options.run_of(seed) {
            let trees = run.join(trees::TREES);
            ensure!(
                trees.is_file(),
                "--from has no run of seed {seed}: there is no {}",
                trees.display()
            );
        }
    }
    for_every_seed(
        name,
        &options.all,
        caption,
        note,
        |seed, folder, environment, measures| {
            let mut start = options.start(seed, folder, environment)?;
            experiment(&mut start, environment, measures)?;
            Ok(start.folder)
        },
    )
}

impl StartOptions {
    /// Whether the problems are the miniature's, and not of one's own.
    pub fn is_miniature(&self) -> bool {
        self.own.model.is_none()
    }

    /// Whether development problems are judged on.
    pub fn is_development(&self) -> bool {
        self.all.run.development
    }

    /// The run of the quickstart to start from.
    fn run_of(&self, seed: u64) -> Option<PathBuf> {
        let from = self.from.as_ref()?;
        let own = from.join(format!("seed-{seed}"));
        Some(if own.is_dir() { own } else { from.clone() })
    }

    fn start(
        &self,
        seed: u64,
        folder: RunFolder,
        environment: &PythonEnvironment,
    ) -> Result<Start> {
        if let (Some(model), Some(problems)) = (&self.own.model, &self.own.problems) {
            let scale = self.own.scale();
            let Split { unseen, others } =
                problems::split(problems, &self.own.ask, scale.held_out_problems, seed)?;
            let start = Start::of_checkpoint(seed, scale, model, others, unseen, folder)?;
            return Ok(start.grow(environment)?.0);
        }
        let corpus = corpus::make(seed, &self.all.run.scale(), environment, &folder)?;
        if let Some(run) = self.run_of(seed) {
            return Start::of_run(seed, &self.all.run, &corpus, &run, folder);
        }
        let (start, _) = Start::of_corpus(seed, &self.all.run, &corpus, folder, environment)?;
        Ok(start)
    }
}

/// Runs an experiment for every seed, in a folder of its own, and prints its table.
///
/// # Errors
///
/// When there is no Python, or what `experiment` returns.
pub fn for_every_seed(
    name: &str,
    options: &Options,
    caption: &str,
    note: &str,
    mut experiment: impl FnMut(u64, RunFolder, &PythonEnvironment, &mut Measures) -> Result<RunFolder>,
) -> Result<()> {
    let started = Instant::now();
    // What the machine must have is asked for before anything is computed.
    let environment = python_environment()?;
    let mut measures = Measures::default();
    let path = options.out.join(name).join("summary.json");
    for seed in options.run.seeds() {
        println!("Seed {seed}");
        let out = options.out.join(name).join(format!("seed-{seed}"));
        let folder = RunFolder::create(&out)?;
        measures.seed = seed;
        let folder = experiment(seed, folder, &environment, &mut measures)?;
        folder.finish()?;
        // After every seed: one that fails keeps those before it.
        let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        serde_json::to_writer_pretty(file, &measures.by_name())?;
    }
    let table = measures.table(caption, note)?;
    println!("\n{}", terminal::render(&table));
    println!(
        "Done in {:.0} s. What each seed gave is in {}",
        started.elapsed().as_secs_f64(),
        path.display()
    );
    Ok(())
}

/// How a measure is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A share, in percent.
    Share,
    /// A difference of shares, in points.
    Points,
    /// Something counted.
    Count,
    /// A reward.
    Reward,
    /// Any other number.
    Number,
}

/// What each seed gave.
type OfSeeds = BTreeMap<u64, f64>;

/// What was measured under each seed, by row and column.
#[derive(Debug, Default)]
pub struct Measures {
    /// Of what is added now.
    seed: u64,
    columns: Vec<(String, Unit)>,
    /// Values by seed, by row and column, both by their places.
    rows: Vec<(String, BTreeMap<usize, OfSeeds>)>,
}

impl Measures {
    /// Adds what the seed of now gave. A second value takes the place of the first.
    pub fn add(&mut self, row: &str, column: &str, unit: Unit, value: f64) {
        let place = match self.columns.iter().position(|it| it.0 == column) {
            Some(place) => place,
            None => {
                self.columns.push((column.to_owned(), unit));
                self.columns.len() - 1
            }
        };
        let seed = self.seed;
        match self.rows.iter_mut().find(|it| it.0 == row) {
            Some((_, cells)) => cells.entry(place).or_default().insert(seed, value),
            None => {
                let cells = BTreeMap::from([(place, BTreeMap::from([(seed, value)]))]);
                self.rows.push((row.to_owned(), cells));
                None
            }
        };
    }

    /// The values by row, column and seed.
    fn by_name(&self) -> BTreeMap<&str, BTreeMap<&str, &OfSeeds>> {
        let mut rows = BTreeMap::new();
        for (row, cells) in &self.rows {
            let cells = cells.iter();
            let by_column = cells.map(|(&place, values)| (self.columns[place].0.as_str(), values));
            rows.insert(row.as_str(), by_column.collect());
        }
        rows
    }

    /// Means over seeds with their standard errors; a cell that fewer seeds have says how many. A difference to another row is taken
    /// under each seed, so its error is the paired one.
    ///
    /// # Errors
    ///
    /// When a value is not finite.
    pub fn table(&self, caption: &str, note: &str) -> Result<Table> {
        let headers = self.columns.iter().map(|it| it.0.as_str());
        let mut table = Table::new(caption).headers(std::iter::once("").chain(headers));
        let cells = self.rows.iter().flat_map(|(_, cells)| cells.values());
        let seeds = cells.map(OfSeeds::len).max().unwrap_or_default();
        for (name, cells) in &self.rows {
            let mut row = vec![name.clone()];
            for (place, (_, unit)) in self.columns.iter().enumerate() {
                row.push(match cells.get(&place) {
                    None => "–".to_owned(),
                    Some(values) => {
                        let few = match values.len() < seeds {
                            true => format!(" ({} of {seeds})", values.len()),
                            false => String::new(),
                        };
                        let values: Vec<f64> = values.values().copied().collect();
                        unit.write(over_seeds(&values)?) + &few
                    }
                });
            }
            table = table.row(row);
        }
        Ok(table.note(note))
    }
}

impl Unit {
    fn write(self, mean: Estimate) -> String {
        let with_error = |mean_of: &dyn Fn(f64) -> String, error_of: &dyn Fn(f64) -> String| {
            let error = mean
                .standard_error
                .map(|error| format!(" ± {}", error_of(error)));
            mean_of(mean.mean) + &error.unwrap_or_default()
        };
        match self {
            Self::Share => {
                let percent = |share: f64| format!("{:.1}", 100.0 * share);
                with_error(&percent, &percent) + " %"
            }
            Self::Points => mean.in_points(),
            Self::Count => format!("{:.0}", mean.mean),
            Self::Reward => with_error(&|mean| format!("{mean:+.2}"), &|error| {
                format!("{error:.2}")
            }),
            Self::Number => mean.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_means_over_seeds_and_gaps_where_nothing_was_measured() {
        let mut measures = Measures::default();
        for (seed, a, b) in [(1, 0.5, 0.25), (2, 0.7, 0.35)] {
            measures.seed = seed;
            measures.add("a", "solved", Unit::Share, a);
            measures.add("b", "solved", Unit::Share, b);
            measures.add("b", "over a", Unit::Points, b - a);
        }
        let table = measures.table("caption", "note").unwrap();
        let text = terminal::render(&table);
        assert!(text.contains("60.0 ± 10.0 %"), "{text}");
        assert!(text.contains("−30.0 ± 5.0"), "{text}");
        assert!(text.contains('–'), "{text}");
        measures.seed = 3;
        measures.add("a", "solved", Unit::Share, 0.6);
        let text = terminal::render(&measures.table("caption", "note").unwrap());
        assert!(text.contains("30.0 ± 5.0 % (2 of 3)"), "{text}");
    }
}
