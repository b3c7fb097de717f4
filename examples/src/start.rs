//! What every program here starts from: a seed, a fine-tuned policy and the trees that it grew.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use burn::tensor::Device;
use clap::Args;
use code_interpreter::{Limits, Python};
use eurus_models::{Decoder, LocalChatModel};
use token_forest::TrainingTree;
use ultrainteract_synth::word_problems::WordProblem;
use ultrainteract_synth::{Problem, PythonEnvironment};

use crate::Scale;
use crate::corpus::{self, Corpus};
use crate::evaluation;
use crate::policy;
use crate::run_folder::RunFolder;
use crate::trees::{self, Trees};

/// Which runs, and on what.
#[derive(Args, Debug)]
pub struct RunOptions {
    /// Seed of everything: problems, weights, sampling, order. The same seed gives the same numbers.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// How many seeds to run, one after the other from the first on; at the end, means over them with standard errors.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,

    /// Evaluate on the development problems: settings are chosen by them, so that the held-out ones stay unseen.
    #[arg(long)]
    pub development: bool,

    /// A small run of a minute or two that touches every part. Reward models learn to choose, policies hardly.
    #[arg(long)]
    pub quick: bool,
}

impl RunOptions {
    /// The seeds to run.
    pub fn seeds(&self) -> Range<u64> {
        self.seed..self.seed.saturating_add(self.seeds)
    }

    /// What all is judged on: "held-out" or "development" problems.
    pub fn unseen(&self) -> &'static str {
        if self.development {
            "development"
        } else {
            "held-out"
        }
    }
}

/// The environment of all trees and answers, on all cores.
///
/// # Errors
///
/// When there is no Python, or it does not start.
pub fn python_environment() -> Result<PythonEnvironment> {
    let python = Python::find().context("the trees need a Python interpreter")?;
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    Ok(PythonEnvironment::start(
        &python,
        Limits::default(),
        workers,
    )?)
}

/// What a run starts from.
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
    /// Where data and metrics go.
    pub folder: RunFolder,
}

impl Start {
    /// Draws the problems of a seed, fine-tunes a policy and lets it grow trees.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made, or a stage fails.
    pub fn new(
        seed: u64,
        options: &RunOptions,
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
        println!(
            "{:>18}  {} to imitate, {} for trees, {} held out, {} tokens in the vocabulary",
            "Problems",
            corpus.worked,
            corpus.tree_problems.len(),
            corpus.held_out.len(),
            corpus.tokenizer.vocab_size()
        );
        let sft = policy::fine_tune(seed, &scale, &corpus, &mut folder, &Device::flex())?;
        let actor = LocalChatModel::new("sft", &sft, corpus.tokenizer.clone());
        let problems = problems_of(&corpus.tree_problems);
        let trees = trees::build(seed, &scale, &actor, &problems, environment, &mut folder)?;
        // KTO's KL estimate wants a mismatched completion per pair; DPO and NCA do not look at them.
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

    /// Pairs of fresh first answers of the policy to the problems of the trees, of which a tree has one pair only.
    ///
    /// # Errors
    ///
    /// When a prompt does not fit or Python cannot be run.
    pub fn first_answers(
        &self,
        samples: usize,
        environment: &PythonEnvironment,
    ) -> Result<Vec<TrainingTree>> {
        let problems = problems_of(&self.corpus.tree_problems);
        evaluation::sample(
            self.seed,
            &self.sft,
            &self.corpus.tokenizer,
            &problems,
            samples,
            environment,
        )?
        .pairs(&problems)
    }
}

/// The problems alone.
pub fn problems_of(words: &[WordProblem]) -> Vec<Problem> {
    words.iter().map(|word| word.problem.clone()).collect()
}
