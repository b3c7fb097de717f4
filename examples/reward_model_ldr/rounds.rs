//! Does what direct rewards do last, when the policy moves on? In each round the policy learns from what the last reward model
//! prefers, grows new trees, and a new reward model learns from these.

use anyhow::Result;
use eurus_eval::reward_model::RewardModelReport;
use eurus_examples::evaluation::{self, Samples};
use eurus_examples::start::Start;
use eurus_examples::{preference, reward, trees};
use eurus_models::{Decoder, RewardModel};
use pref_losses::RewardLossConfig;
use token_forest::TrainingTree;
use ultrainteract_synth::{Problem, PythonEnvironment, RuleCritic};

/// A round that is over.
pub struct Round {
    pub policy: Decoder,
    pub model: RewardModel,
    /// Samples of the policy for the unseen problems.
    pub samples: Samples,
    /// What the reward model says of their pairs; `None` where there are none.
    pub report: Option<RewardModelReport>,
}

/// The next round, on problems of its own.
pub fn next(
    start: &mut Start,
    name: &'static str,
    loss: &RewardLossConfig,
    before: (&Decoder, &RewardModel),
    problems: &[Problem],
    environment: &PythonEnvironment,
) -> Result<Round> {
    let (seed, scale) = (start.seed, start.scale.clone());
    let (policy, model) = before;
    let settings = reward::settings(seed, &scale);

    // What the reward model prefers, whether it is right or not: nobody tries these answers.
    let answers = evaluation::sample(start, policy, problems, scale.best_of, environment)?;
    let preferred = answers.pairs_by(&answers.rewards(model, &settings)?, problems)?;
    let learning = preference::settings(seed, &scale);
    let (algorithm, nca) = preference::algorithm("NCA")?;
    let reference = preference::reference(policy, &preferred, &learning)?;
    let policy = preference::learn(
        algorithm,
        &nca,
        &learning,
        policy,
        &preferred,
        &reference,
        &mut start.folder,
    )?
    .model;

    let config = trees::settings(seed, &scale);
    let actor = start.actor(&policy);
    let grown = trees::build(config, &actor, problems, environment, &RuleCritic)?;
    let mut pairs: Vec<TrainingTree> = trees::sampled_pairs(&grown.trees, &start.tokenizer)?;
    let count = scale.samples_per_turn;
    let first = evaluation::sample(start, &policy, problems, count, environment)?;
    pairs.extend(first.pairs(problems)?);
    let model = reward::train(name, loss, &settings, &policy, &pairs, &mut start.folder)?;

    let unseen = &start.unseen;
    let samples = evaluation::sample(start, &policy, unseen, scale.best_of, environment)?;
    let unseen_pairs = samples.pairs(unseen)?;
    let report = match unseen_pairs.is_empty() {
        true => None,
        false => Some(evaluation::judge(&model, &unseen_pairs, &settings)?),
    };
    Ok(Round {
        policy,
        model,
        samples,
        report,
    })
}
