//! What the experiments share: their options, what each seed starts from, and tables over seeds.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use burn::tensor::Device;
use clap::Args;
use code_interpreter::{Limits, Python};
use eurus_eval::metrics::over_seeds;
use eurus_eval::{Table, terminal};
use eurus_models::{Decoder, LocalChatModel};
use eurus_train::{ReferenceLogProbs, TrainingConfig};
use token_forest::TrainingTree;
use ultrainteract_synth::word_problems::WordProblem;
use ultrainteract_synth::{Problem, PythonEnvironment};

use crate::Scale;
use crate::corpus::{self, Corpus};
use crate::policy::{self, Draws};
use crate::preference;
use crate::run_folder::RunFolder;
use crate::trees::{self, Trees};

/// The options of every experiment.
#[derive(Args, Debug)]
pub struct Options {
    /// Seed of everything: problems, weights, sampling, order. The same seed gives the same numbers.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// How many seeds to run, one after the other from the first on; the table has their means with standard errors.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,

    /// Folder for the data and metrics of each seed; replaced if it is one of this program's.
    #[arg(long, default_value = "target/experiments")]
    pub out: PathBuf,

    /// Evaluate on the development problems: settings are chosen by them, so that the held-out ones stay unseen.
    #[arg(long)]
    pub development: bool,

    /// A small run of a minute or two that touches every part; its numbers mean little.
    #[arg(long)]
    pub quick: bool,
}

/// What an experiment starts from under one seed: a fine-tuned policy and the trees that it grew.
pub struct Start {
    /// The seed.
    pub seed: u64,
    /// How large everything is.
    pub scale: Scale,
    /// Problems and tokenizer.
    pub corpus: Corpus,
    /// The fine-tuned policy.
    pub sft: Decoder,
    /// Its trees.
    pub trees: Trees,
    /// Their pairs of sampled actions, with a mismatched completion each.
    pub paired: Vec<TrainingTree>,
    /// What all is judged on.
    pub unseen: Vec<WordProblem>,
    /// Where metrics go.
    pub folder: RunFolder,
}

impl Start {
    fn new(
        seed: u64,
        options: &Options,
        out: &Path,
        environment: &PythonEnvironment,
    ) -> Result<Self> {
        let scale = if options.quick {
            Scale::quick()
        } else {
            Scale::full()
        };
        let mut folder = RunFolder::create(out)?;
        let corpus = corpus::make(seed, &scale, environment, &folder)?;
        let sft = policy::fine_tune(seed, &scale, &corpus, &mut folder, &Device::flex())?;
        let actor = LocalChatModel::new("sft", &sft, corpus.tokenizer.clone());
        let problems = problems_of(&corpus.tree_problems);
        let trees = trees::build(seed, &scale, &actor, &problems, environment, &mut folder)?;
        let mut paired = trees::sampled_pairs(&trees.trees, &corpus.tokenizer)?;
        token_forest::add_mismatched(&mut paired, seed)?;
        let unseen = if options.development {
            corpus.development.clone()
        } else {
            corpus.held_out.clone()
        };
        Ok(Self {
            seed,
            scale,
            corpus,
            sft,
            trees,
            paired,
            unseen,
            folder,
        })
    }

    /// Log-probs of trees under the fine-tuned policy.
    ///
    /// # Errors
    ///
    /// As for [`ReferenceLogProbs::compute`].
    pub fn reference(
        &self,
        trees: &[TrainingTree],
        settings: &TrainingConfig,
    ) -> Result<ReferenceLogProbs> {
        preference::reference(&self.sft, trees, settings)
    }

    /// Greedy pass@1 of a policy on the unseen problems.
    ///
    /// # Errors
    ///
    /// When a prompt does not fit or Python cannot be run.
    pub fn pass_at_1(&self, policy: &Decoder, environment: &PythonEnvironment) -> Result<f64> {
        let problems = problems_of(&self.unseen);
        let draws = Draws::greedy(None);
        let tokenizer = &self.corpus.tokenizer;
        let answered = policy::solve(policy, tokenizer, &problems, &draws, environment)?;
        let right = answered.iter().flatten().filter(|it| it.is_correct());
        Ok(right.count() as f64 / problems.len() as f64)
    }
}

/// The problems alone.
pub fn problems_of(words: &[WordProblem]) -> Vec<Problem> {
    words.iter().map(|word| word.problem.clone()).collect()
}

/// Runs an experiment for every seed and prints its table.
///
/// # Errors
///
/// When there is no Python, or what `experiment` returns.
pub fn run(
    name: &str,
    options: &Options,
    caption: &str,
    note: &str,
    mut experiment: impl FnMut(&mut Start, &PythonEnvironment, &mut Measures) -> Result<()>,
) -> Result<()> {
    let started = Instant::now();
    // What the machine must have is asked for before anything is computed.
    let python = Python::find().context("the trees need a Python interpreter")?;
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let environment = PythonEnvironment::start(&python, Limits::default(), workers)?;
    let mut measures = Measures::default();
    for seed in options.seed..options.seed.saturating_add(options.seeds) {
        println!("Seed {seed}");
        let out = options.out.join(name).join(format!("seed-{seed}"));
        let mut start = Start::new(seed, options, &out, &environment)?;
        experiment(&mut start, &environment, &mut measures)?;
        start.folder.finish()?;
    }
    let table = measures.table(caption, note)?;
    println!("\n{}", terminal::render(&table));
    println!("Done in {:.0} s.", started.elapsed().as_secs_f64());
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
    /// Any other number.
    Number,
}

/// What was measured under each seed, by row and column.
#[derive(Debug, Default)]
pub struct Measures {
    columns: Vec<(&'static str, Unit)>,
    rows: Vec<(String, Vec<Vec<f64>>)>,
}

impl Measures {
    /// Adds a value of one more seed.
    pub fn add(&mut self, row: &str, column: &'static str, unit: Unit, value: f64) {
        let place = match self.columns.iter().position(|it| it.0 == column) {
            Some(place) => place,
            None => {
                self.columns.push((column, unit));
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

    /// Means over seeds with their standard errors. A difference to another row is taken under each seed, so its error is the
    /// paired one.
    ///
    /// # Errors
    ///
    /// When a value is not finite.
    pub fn table(&self, caption: &str, note: &str) -> Result<Table> {
        let headers = self.columns.iter().map(|it| it.0);
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
