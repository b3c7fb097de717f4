//! What the experiments share: their options, the run over seeds, and tables of what was measured.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use chat_model::Sampling;
use clap::Args;
use eurus_eval::metrics::over_seeds;
use eurus_eval::{Table, terminal};
use eurus_models::Decoder;
use ultrainteract_synth::{Critic, Environment, Fallback, Problem, PythonEnvironment, SynthConfig};

use crate::corpus;
use crate::policy::{self, Draws};
use crate::problems;
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
    let draws = Draws::greedy(&start.scale);
    let answered = policy::solve(policy, &start.tokenizer, problems, &draws, environment)?;
    let right = answered.iter().flatten().filter(|it| it.is_correct());
    Ok(right.count() as f64 / problems.len().max(1) as f64)
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

    fn start(
        &self,
        seed: u64,
        folder: RunFolder,
        environment: &PythonEnvironment,
    ) -> Result<Start> {
        if let (Some(model), Some(problems)) = (&self.own.model, &self.own.problems) {
            let scale = self.own.scale();
            let problems = problems::shuffled(problems, &self.own.ask, seed)?;
            let start = Start::of_checkpoint(seed, scale, model, problems, folder)?;
            return Ok(start.grow(environment)?.0);
        }
        let corpus = corpus::make(seed, &self.all.run.scale(), environment, &folder)?;
        if let Some(from) = &self.from {
            let own = from.join(format!("seed-{seed}"));
            let run = if own.is_dir() { &own } else { from };
            return Start::of_run(seed, &self.all.run, &corpus, run, folder);
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
    for seed in options.run.seeds() {
        println!("Seed {seed}");
        let out = options.out.join(name).join(format!("seed-{seed}"));
        let folder = RunFolder::create(&out)?;
        let folder = experiment(seed, folder, &environment, &mut measures)?;
        folder.finish()?;
    }
    let path = options.out.join(name).join("summary.json");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    serde_json::to_writer_pretty(file, &measures.by_name())?;
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

/// What was measured under each seed, by row and column.
#[derive(Debug, Default)]
pub struct Measures {
    columns: Vec<(String, Unit)>,
    rows: Vec<(String, Vec<Vec<f64>>)>,
}

impl Measures {
    /// Adds a value of one more seed.
    pub fn add(&mut self, row: &str, column: &str, unit: Unit, value: f64) {
        let place = match self.columns.iter().position(|it| it.0 == column) {
            Some(place) => place,
            None => {
                self.columns.push((column.to_owned(), unit));
                self.columns.len() - 1
            }
        };
        let cells = match self.rows.iter().position(|it| it.0 == row) {
            Some(place) => &mut self.rows[place].1,
            None => {
                self.rows.push((row.to_owned(), Vec::new()));
                let last = self.rows.len() - 1;
                &mut self.rows[last].1
            }
        };
        if cells.len() <= place {
            cells.resize(place + 1, Vec::new());
        }
        cells[place].push(value);
    }

    /// The values of every seed by row and column.
    fn by_name(&self) -> BTreeMap<&str, BTreeMap<&str, &[f64]>> {
        let mut rows = BTreeMap::new();
        for (row, cells) in &self.rows {
            let columns = self.columns.iter().zip(cells);
            let measured = columns.filter(|(_, values)| !values.is_empty());
            let by_column = measured.map(|((column, _), values)| (column.as_str(), &values[..]));
            rows.insert(row.as_str(), by_column.collect());
        }
        rows
    }

    /// Means over seeds with their standard errors. A difference to another row is taken under each seed, so its error is the
    /// paired one.
    ///
    /// # Errors
    ///
    /// When a value is not finite.
    pub fn table(&self, caption: &str, note: &str) -> Result<Table> {
        let headers = self.columns.iter().map(|it| it.0.as_str());
        let mut table = Table::new(caption).headers(std::iter::once("").chain(headers));
        for (name, cells) in &self.rows {
            let mut row = vec![name.clone()];
            for (place, (_, unit)) in self.columns.iter().enumerate() {
                let values = cells.get(place).map_or(&[][..], Vec::as_slice);
                row.push(match (values, unit) {
                    ([], _) => "–".to_owned(),
                    (values, Unit::Share) => {
                        let mean = over_seeds(values)?;
                        match mean.standard_error {
                            Some(error) => {
                                format!("{:.1} ± {:.1} %", 100.0 * mean.mean, 100.0 * error)
                            }
                            None => format!("{:.1} %", 100.0 * mean.mean),
                        }
                    }
                    (values, Unit::Points) => over_seeds(values)?.in_points(),
                    (values, Unit::Count) => format!("{:.0}", over_seeds(values)?.mean),
                    (values, Unit::Reward) => {
                        let mean = over_seeds(values)?;
                        match mean.standard_error {
                            Some(error) => format!("{:+.2} ± {error:.2}", mean.mean),
                            None => format!("{:+.2}", mean.mean),
                        }
                    }
                    (values, Unit::Number) => over_seeds(values)?.to_string(),
                });
            }
            table = table.row(row);
        }
        Ok(table.note(note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_means_over_seeds_and_gaps_where_nothing_was_measured() {
        let mut measures = Measures::default();
        for (a, b) in [(0.5, 0.25), (0.7, 0.35)] {
            measures.add("a", "solved", Unit::Share, a);
            measures.add("b", "solved", Unit::Share, b);
            measures.add("b", "over a", Unit::Points, b - a);
        }
        let table = measures.table("caption", "note").unwrap();
        let text = terminal::render(&table);
        assert!(text.contains("60.0 ± 10.0 %"), "{text}");
        assert!(text.contains("−30.0 ± 5.0"), "{text}");
        assert!(text.contains('–'), "{text}");
    }
}
