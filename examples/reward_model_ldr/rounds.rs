//! Does what direct rewards do last, when the policy moves on? From the second round on the policy learns from what the last
//! reward model prefers, grows new trees, and a new reward model learns from these.

use std::collections::HashSet;

use anyhow::{Result, ensure};
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

/// Equal shares of the tree problems, one a round.
///
/// # Errors
///
/// When there are fewer than two problems a round.
pub fn shares(start: &Start, rounds: usize) -> Result<Vec<Vec<Problem>>> {
    let problems = &start.tree_problems;
    let share = problems.len() / rounds;
    ensure!(
        share > 1,
        "{} tree problems are too few for {rounds} rounds",
        problems.len()
    );
    let shares = problems.chunks_exact(share).take(rounds);
    Ok(shares.map(<[Problem]>::to_vec).collect())
}

/// The round of the policy that all starts from, on those of its trees that are of these problems.
pub fn first(
    start: &mut Start,
    name: &str,
    loss: &RewardLossConfig,
    problems: &[Problem],
    environment: &PythonEnvironment,
) -> Result<Round> {
    let ids: HashSet<&str> = problems.iter().map(|problem| problem.id.as_str()).collect();
    // A tree has the id of its problem.
    let of_share = start.paired.iter().filter(|tree| ids.contains(tree.id()));
    let pairs = of_share.cloned().collect();
    let policy = start.policy.clone();
    judged(start, name, loss, policy, pairs, problems, environment)
}

/// The round after another one.
pub fn next(
    start: &mut Start,
    name: &str,
    loss: &RewardLossConfig,
    before: &Round,
    problems: &[Problem],
    environment: &PythonEnvironment,
) -> Result<Round> {
    let (seed, scale) = (start.seed, start.scale.clone());
    // What the reward model prefers, whether it is right or not: nobody tries these answers.
    let policy = &before.policy;
    let answers = evaluation::sample(start, policy, problems, scale.best_of, environment)?;
    let rewards = answers.rewards(&before.model, &reward::settings(seed, &scale))?;
    let preferred = answers.pairs_by(&rewards, problems)?;
    let settings = preference::settings(seed, &scale);
    let (_, nca) = preference::algorithm("NCA")?;
    let reference = preference::reference(policy, &preferred, &settings)?;
    let stage = format!("NCA, {name}");
    let folder = &mut start.folder;
    let learned = preference::learn(
        &stage, &nca, &settings, policy, &preferred, &reference, folder,
    )?;
    let policy = learned.model;

    let config = trees::settings(seed, &scale);
    let actor = start.actor(&policy);
    let grown = trees::build(config, &actor, problems, environment, &RuleCritic, None)?;
    let pairs = trees::sampled_pairs(&grown.trees, &start.tokenizer)?;
    judged(start, name, loss, policy, pairs, problems, environment)
}

/// Trains a reward model on pairs of trees and of fresh first answers to their problems, and judges it on the policy's samples.
fn judged(
    start: &mut Start,
    name: &str,
    loss: &RewardLossConfig,
    policy: Decoder,
    mut pairs: Vec<TrainingTree>,
    problems: &[Problem],
    environment: &PythonEnvironment,
) -> Result<Round> {
    let settings = reward::settings(start.seed, &start.scale);
    let (count, candidates) = (start.scale.samples_per_turn, start.scale.best_of);
    let first = evaluation::sample(start, &policy, problems, count, environment)?;
    pairs.extend(first.pairs(problems)?);
    let model = reward::train(name, loss, &settings, &policy, &pairs, &mut start.folder)?;
    let unseen = &start.unseen;
    let samples = evaluation::sample(start, &policy, unseen, candidates, environment)?;
    let report = evaluation::judge(&model, &samples.pairs(unseen)?, &settings)?;
    Ok(Round {
        policy,
        model,
        samples,
        report,
    })
}
