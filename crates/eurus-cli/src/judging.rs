//! Judging the model while it is trained, on rows that are not trained on.

use anyhow::Result;
use clap::Args;
use eurus::forest::{ChatTokenizer, TrainingTree};
use eurus::losses::PreferenceStats;
use eurus::models::Decoder;
use eurus::models::generate::{Flow, GenerationStatistics, Generator, Prompt, SamplingParams};
use eurus::train::{Error, Evaluation, Judgement, SampleText};

use crate::options::at_least_one;
use crate::setup::Setup;

#[derive(Debug, Args)]
#[command(next_help_heading = "Evaluation")]
pub struct Judging {
    /// Rows to judge the model on, of the same kind as --data: before the first step, after every --eval-every steps and
    /// at the end
    #[arg(long, value_name = "FILE|PATTERN", num_args = 1..)]
    pub eval: Option<Vec<String>>,

    /// Steps between evaluations
    #[arg(long, value_name = "STEPS", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub eval_every: u32,

    /// Write the weights of the best evaluation instead of the last ones
    #[arg(long)]
    pub keep_best: bool,

    /// End the run when so many evaluations in a row were no better than the best one: by the held-out loss, for reward
    /// models by the accuracy. With --keep-best the weights of the best one are written
    #[arg(long, value_name = "N", requires = "eval", value_parser = at_least_one)]
    pub patience: Option<usize>,
}

impl Judging {
    /// The evaluation that the trainers are given, if any is wanted.
    pub fn evaluation<'a, M>(
        &self,
        judge: &'a mut dyn FnMut(&M) -> Result<Judgement, Error>,
    ) -> Option<Evaluation<'a, M>> {
        self.eval.as_ref()?;
        Some(Evaluation {
            every_steps: self.eval_every as usize,
            keep_best: self.keep_best,
            patience: self.patience,
            judge,
        })
    }
}

/// The judgement of held-out preferences, with their loss as the score.
pub fn judgement_of(stats: &PreferenceStats) -> Judgement {
    let judgement = Judgement::by_loss("loss", stats.loss);
    with_metrics(judgement, stats)
}

/// Adds the numbers that a trainer reports of preferences.
pub fn with_metrics(judgement: Judgement, stats: &PreferenceStats) -> Judgement {
    let metrics = stats.metrics().into_iter();
    metrics.fold(judgement, |judgement, (name, value)| {
        judgement.with_metric(name, value)
    })
}

/// Answers that a language model writes at each evaluation.
#[derive(Debug, Args)]
#[command(next_help_heading = "Evaluation")]
pub struct Samples {
    /// Prompts of --eval that the model answers at each evaluation, greedily: how often it ends by itself, repeats
    /// itself, and how long it writes is reported, and the answers are in the metrics
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub eval_samples: usize,

    /// Most tokens of such an answer, which ends with the model's context at the latest
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub eval_max_tokens: usize,
}

/// Prompts with what it takes to have them answered.
pub struct Questions<'a> {
    tokenizer: &'a ChatTokenizer,
    stop_tokens: &'a [u32],
    prompts: Vec<Vec<u32>>,
    max_tokens: usize,
}

impl Samples {
    /// The first prompts of the rows.
    pub fn questions<'a>(
        &self,
        setup: &'a Setup,
        trees: impl Iterator<Item = &'a TrainingTree>,
    ) -> Questions<'a> {
        Questions {
            tokenizer: &setup.tokenizer,
            stop_tokens: &setup.stop_tokens,
            prompts: self.prompts(trees),
            max_tokens: self.eval_max_tokens,
        }
    }

    fn prompts<'a>(&self, trees: impl Iterator<Item = &'a TrainingTree>) -> Vec<Vec<u32>> {
        let first_action = |tree: &TrainingTree| {
            let tree = tree.tree();
            let action = tree.nodes.iter().find(|node| node.trainable)?;
            Some(tree.path_tokens(action.parent?))
        };
        trees
            .filter_map(first_action)
            .take(self.eval_samples)
            .collect()
    }

    /// Tokens of each prompt and of its longest answer in a model with this context.
    pub fn lengths<'a>(
        &self,
        trees: impl Iterator<Item = &'a TrainingTree>,
        context: usize,
    ) -> Vec<(usize, usize)> {
        let of_prompt = |prompt: Vec<u32>| {
            let room = context.saturating_sub(prompt.len());
            (prompt.len(), self.eval_max_tokens.min(room))
        };
        self.prompts(trees).into_iter().map(of_prompt).collect()
    }
}

impl Questions<'_> {
    /// Adds the model's answers to a judgement.
    pub fn ask(&self, model: &Decoder, mut judgement: Judgement) -> Result<Judgement, Error> {
        if self.prompts.is_empty() {
            return Ok(judgement);
        }
        let prompts: Vec<Prompt> = self
            .prompts
            .iter()
            .map(|tokens| Prompt::new(tokens.clone(), 1, 0))
            .collect();
        let answers = Generator::new(model, self.stop_tokens.to_vec())
            .generate(
                &prompts,
                &SamplingParams::greedy(self.max_tokens),
                &mut |_| Flow::Continue,
            )
            .map_err(|error| Error::Evaluation(error.into()))?;
        let statistics = GenerationStatistics::of(answers.iter().flatten());
        for (name, value) in [
            ("eos_rate", statistics.eos_rate),
            ("repetition_rate", statistics.repetition_rate),
            ("mean_tokens", statistics.mean_tokens),
        ] {
            judgement = judgement.with_metric(name, value);
        }
        let text = |tokens: &[u32]| {
            let text = self.tokenizer.decode(tokens);
            text.map_err(|error| Error::Evaluation(error.into()))
        };
        for (prompt, answer) in self.prompts.iter().zip(answers.iter().flatten()) {
            judgement.samples.push(SampleText {
                prompt: text(prompt)?,
                response: text(&answer.tokens)?,
            });
        }
        Ok(judgement)
    }
}
