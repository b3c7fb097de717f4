//! What every program here starts from: a seed, a policy and the pairs of the trees that it grew.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use clap::Args;
use clap::builder::TypedValueParser;
use code_interpreter::{Limits, Python};
use eurus_models::{Checkpoint, Decoder, DecoderConfig, LocalChatModel};
use token_forest::{ChatTokenizer, TrainingTree};
use ultrainteract::PreferenceTree;
use ultrainteract::formats::read_jsonl;
use ultrainteract_synth::word_problems::WordProblem;
use ultrainteract_synth::{Problem, PythonEnvironment, RuleCritic};

use crate::Scale;
use crate::corpus::Corpus;
use crate::evaluation;
use crate::policy;
use crate::problems::{ASK, Given, problems_of};
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

    /// A small run of a minute or two that touches every part, on six kinds of stories. Its reward models learn to choose, its
    /// policies a habit, which is better under most seeds.
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

    /// Those problems.
    pub fn unseen_of<'a>(&self, corpus: &'a Corpus) -> &'a [WordProblem] {
        if self.development {
            &corpus.development
        } else {
            &corpus.held_out
        }
    }

    /// How large everything is.
    pub fn scale(&self) -> Scale {
        if self.quick {
            Scale::quick()
        } else {
            Scale::full()
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
    let python = python.with_short_tracebacks();
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let environment = PythonEnvironment::start(&python, Limits::default(), workers)?;
    println!(
        "{:>18}  {}",
        "Sandbox",
        environment.pool().safeguards().protection
    );
    Ok(environment)
}

/// Parses a number above zero.
pub fn at_least_one() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u64)
        .range(1..)
        .map(|number| usize::try_from(number).unwrap_or(usize::MAX))
}

/// A checkpoint and problems of one's own, in place of the miniature's.
#[derive(Args, Debug)]
pub struct OwnOptions {
    /// A checkpoint of your own to start from: a folder as Hugging Face has it, with a tokenizer that has a chat template.
    #[arg(long, requires = "problems", conflicts_with_all = ["quick", "development"])]
    pub model: Option<PathBuf>,

    /// Its problems: JSONL or a JSON array, compressed or not, with the fields of GSM8K, GSM-Plus, SVAMP or MATH.
    #[arg(long, requires = "model")]
    pub problems: Option<PathBuf>,

    /// What follows each question, or a text with `{question}` in it.
    #[arg(long, requires = "model", default_value = ASK)]
    pub ask: String,

    /// How many of its problems trees are built for.
    #[arg(long, requires = "model", default_value_t = 100, value_parser = at_least_one())]
    pub tree_problems: usize,

    /// How many others it is judged on.
    #[arg(long, requires = "model", default_value_t = 100, value_parser = at_least_one())]
    pub unseen_problems: usize,

    /// Samples of a problem at each turn of its tree.
    #[arg(long, requires = "model", default_value_t = 8, value_parser = at_least_one())]
    pub samples: usize,

    /// Longest action, in tokens.
    #[arg(long, requires = "model", default_value_t = 192, value_parser = at_least_one())]
    pub max_tokens: usize,

    /// Learning rate of the policies.
    #[arg(long, requires = "model", default_value_t = 1e-5)]
    pub learning_rate: f64,
}

impl OwnOptions {
    /// How large everything is.
    pub fn scale(&self) -> Scale {
        Scale {
            tree_problems: self.tree_problems,
            held_out_problems: self.unseen_problems,
            samples_per_turn: self.samples,
            max_action_tokens: self.max_tokens,
            preference_learning_rate: self.learning_rate,
            ..Scale::of_checkpoint()
        }
    }
}

/// What a run starts from.
pub struct Start {
    /// The seed.
    pub seed: u64,
    /// How large everything is.
    pub scale: Scale,
    /// Of the policy.
    pub tokenizer: ChatTokenizer,
    /// The fine-tuned policy, or a checkpoint.
    pub policy: Decoder,
    /// Its shape.
    pub config: DecoderConfig,
    /// What trees are built for.
    pub tree_problems: Vec<Problem>,
    /// What all is judged on.
    pub unseen: Vec<Problem>,
    /// The kind of each problem by its id: its template, or what its data set calls it.
    pub kinds: HashMap<String, String>,
    /// The pairs of sampled actions of the policy's trees.
    pub paired: Vec<TrainingTree>,
    /// Where data and metrics go.
    pub folder: RunFolder,
}

impl Start {
    /// Fine-tunes a fresh policy and lets it grow trees.
    ///
    /// # Errors
    ///
    /// When a stage fails.
    pub fn of_corpus(
        seed: u64,
        options: &RunOptions,
        corpus: &Corpus,
        mut folder: RunFolder,
        environment: &PythonEnvironment,
    ) -> Result<(Self, Trees)> {
        println!(
            "{:>18}  {} to imitate, {} for trees, {} {}, {} tokens in the vocabulary",
            "Problems",
            corpus.worked,
            corpus.tree_problems.len(),
            options.unseen_of(corpus).len(),
            options.unseen(),
            corpus.tokenizer.vocab_size()
        );
        let scale = options.scale();
        let config = policy::config(&scale, &corpus.tokenizer);
        let fresh = Decoder::init(&config, seed, &Device::flex());
        let policy = policy::fine_tune("SFT", seed, &scale, fresh, &corpus.sft, &mut folder)?;
        let start = Self::of_miniature(seed, scale, options, corpus, (policy, config), folder);
        start.grow(environment)
    }

    /// Takes the policy and the trees of a run of the quickstart with the same seed.
    ///
    /// # Errors
    ///
    /// When the folder is none of such a run.
    pub fn of_run(
        seed: u64,
        options: &RunOptions,
        corpus: &Corpus,
        run: &Path,
        folder: RunFolder,
    ) -> Result<Self> {
        let trees = read_jsonl(run.join(trees::TREES))?
            .collect::<ultrainteract::Result<Vec<PreferenceTree>>>()?;
        // In their order; one that failed has no tree. Other sizes may give the same ids to other problems.
        let mut problems = corpus.tree_problems.iter().map(|word| &word.problem);
        let mut is_tree_of_one = |tree: &PreferenceTree| {
            let place = (tree.id(), tree.instruction());
            problems.any(|problem| (&*problem.id, &*problem.instruction) == place)
        };
        ensure!(
            trees.iter().all(&mut is_tree_of_one),
            "{} has trees of other problems than those of seed {seed}{}",
            run.display(),
            if options.quick { " with --quick" } else { "" }
        );
        let (policy, config) = Checkpoint::new(run.join("sft")).decoder(&Device::flex())?;
        let scale = options.scale();
        let mut start = Self::of_miniature(seed, scale, options, corpus, (policy, config), folder);
        start.take_pairs(&trees)?;
        Ok(start)
    }

    fn of_miniature(
        seed: u64,
        scale: Scale,
        options: &RunOptions,
        corpus: &Corpus,
        (policy, config): (Decoder, DecoderConfig),
        folder: RunFolder,
    ) -> Self {
        let unseen = options.unseen_of(corpus);
        let words = corpus.tree_problems.iter().chain(unseen);
        Self {
            seed,
            scale,
            tokenizer: corpus.tokenizer.clone(),
            policy,
            config,
            tree_problems: problems_of(&corpus.tree_problems),
            unseen: problems_of(unseen),
            kinds: words
                .map(|word| (word.problem.id.clone(), word.template.to_owned()))
                .collect(),
            paired: Vec::new(),
            folder,
        }
    }

    /// A checkpoint, problems of which the first are those that trees are built for, and what all is judged on. It has no pairs
    /// until it has [grown](Self::grow) trees.
    ///
    /// # Errors
    ///
    /// When the checkpoint cannot be read, or there are too few problems.
    pub fn of_checkpoint(
        seed: u64,
        scale: Scale,
        model: &Path,
        mut tree_problems: Vec<Given>,
        unseen: Vec<Given>,
        folder: RunFolder,
    ) -> Result<Self> {
        ensure!(
            tree_problems.len() >= scale.tree_problems,
            "{} problems are left for trees, and {} are asked for; choose fewer with --tree-problems or --unseen-problems",
            tree_problems.len(),
            scale.tree_problems
        );
        tree_problems.truncate(scale.tree_problems);
        let all = tree_problems.iter().chain(&unseen);
        let kinds = all.map(|it| (it.problem.id.clone(), it.kind.clone()));
        let kinds = kinds.collect();
        let problems = |given: Vec<Given>| given.into_iter().map(|it| it.problem).collect();
        let (policy, config) = Checkpoint::new(model).decoder(&Device::flex())?;
        Ok(Self {
            seed,
            scale,
            tokenizer: ChatTokenizer::from_folder(model)?,
            policy,
            config,
            tree_problems: problems(tree_problems),
            unseen: problems(unseen),
            kinds,
            paired: Vec::new(),
            folder,
        })
    }

    /// Lets the policy grow trees and takes their pairs.
    ///
    /// # Errors
    ///
    /// When a tree cannot be grown, or there are too few pairs to learn from.
    pub fn grow(mut self, environment: &PythonEnvironment) -> Result<(Self, Trees)> {
        let grown = trees::build(
            trees::settings(self.seed, &self.scale),
            &self.actor(&self.policy),
            &self.tree_problems,
            environment,
            &RuleCritic,
            Some(&self.folder.path("trees.db")),
        )?;
        grown.write(&mut self.folder)?;
        self.take_pairs(&grown.trees)?;
        Ok((self, grown))
    }

    fn take_pairs(&mut self, trees: &[PreferenceTree]) -> Result<()> {
        self.paired = trees::sampled_pairs(trees, &self.tokenizer)?;
        ensure!(
            self.paired.len() > 1,
            "{} of {} trees have a pair of a right and a wrong action of the policy, and two are needed: it solves next to none \
             of the problems, or all of them",
            self.paired.len(),
            trees.len()
        );
        Ok(())
    }

    /// A policy as it acts in trees.
    pub fn actor(&self, policy: &Decoder) -> LocalChatModel {
        LocalChatModel::new("policy", policy, self.tokenizer.clone())
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
        let problems = &self.tree_problems;
        evaluation::sample(self, &self.policy, problems, samples, environment)?.pairs(problems)
    }
}
