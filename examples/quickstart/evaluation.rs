//! Held-out problems: pass@1 of every policy, reward models on pairs, and best-of-N.

use anyhow::Result;
use eurus_eval::metrics::paired_difference;
use eurus_eval::metrics::{Estimate, Proportion};
use eurus_eval::reranking::{Candidate, Candidates, RerankingReport};
use eurus_eval::reward_model::{PairLengths, RewardModelReport, evaluate_rewards};
use eurus_models::{Decoder, LocalChatModel, RewardModel};
use eurus_train::{TrainingConfig, leaf_rewards, pair_rewards};
use token_forest::{ChatTokenizer, Group, Message, TokenTree, TrainingTree};
use ultrainteract_synth::{Problem, PythonEnvironment};

use crate::console::Stage;
use crate::policy::{Answered, greedy_pass, solve};

/// Greedy pass@1 of one policy.
pub struct PassRow {
    pub name: &'static str,
    pub solved: usize,
    pub pass: Proportion,
    /// Against the fine-tuned policy on the same problems; `None` for itself.
    pub over_sft: Option<Estimate>,
}

/// Greedy pass@1 of every policy; the first one is what the others are compared with.
pub fn pass_table(
    policies: &[(&'static str, &Decoder)],
    tokenizer: &ChatTokenizer,
    problems: &[Problem],
    environment: &PythonEnvironment,
) -> Result<Vec<PassRow>> {
    let stage = Stage::start("pass@1", policies.len(), "policies");
    let mut rows = Vec::new();
    let mut first: Option<Vec<f64>> = None;
    for (index, (name, model)) in policies.iter().enumerate() {
        let model = LocalChatModel::new(*name, model, tokenizer.clone());
        let solved = greedy_pass(&model, problems, environment)?;
        let values: Vec<f64> = solved.iter().map(|&s| f64::from(u8::from(s))).collect();
        let over_sft = match &first {
            Some(first) => Some(paired_difference(&values, first)?),
            None => None,
        };
        rows.push(PassRow {
            name,
            solved: solved.iter().filter(|&&s| s).count(),
            pass: Proportion::from_bools(&solved)?,
            over_sft,
        });
        first.get_or_insert(values);
        stage.position(index + 1, String::new());
    }
    stage.finish(
        &rows
            .iter()
            .map(|row| format!("{} {:.1} %", row.name, 100.0 * row.pass.mean))
            .collect::<Vec<_>>()
            .join(", "),
    );
    Ok(rows)
}

/// Samples of every problem from the fine-tuned policy, judged.
pub struct Samples {
    pub answered: Vec<Vec<Answered>>,
    /// Per problem: the instruction with its samples as leaves, in order.
    trees: Vec<TokenTree>,
}

pub fn sample(
    seed: u64,
    model: &LocalChatModel,
    tokenizer: &ChatTokenizer,
    problems: &[Problem],
    samples: usize,
    environment: &PythonEnvironment,
) -> Result<Samples> {
    let stage = Stage::start("Samples", problems.len() * samples, "samples");
    let answered = solve(model, problems, samples, 1.0, seed, environment)?;
    let trees = problems
        .iter()
        .zip(&answered)
        .map(|(problem, answers)| {
            let prompt = tokenizer.encode_prompt(&[Message::user(&problem.instruction)])?;
            let mut tree = TokenTree::new(prompt, false);
            for answer in answers {
                tree.push(0, tokenizer.encode_action(&answer.completion.text)?, true);
            }
            Ok(tree)
        })
        .collect::<Result<Vec<_>>>()?;
    let correct = answered.iter().flatten().filter(|a| a.is_correct()).count();
    stage.finish(&format!(
        "{correct} of {} correct",
        problems.len() * samples
    ));
    Ok(Samples { answered, trees })
}

impl Samples {
    /// Pairs of a correct and an incorrect sample, each used once: per problem as many as it has of the rarer kind.
    pub fn pairs(&self, problems: &[Problem]) -> Result<Vec<TrainingTree>> {
        let mut trees = Vec::new();
        for ((problem, answers), tree) in problems.iter().zip(&self.answered).zip(&self.trees) {
            let of = |correct: bool| {
                answers
                    .iter()
                    .enumerate()
                    .filter(move |(_, answer)| answer.is_correct() == correct)
                    .map(|(index, _)| index + 1)
            };
            let pairs: Vec<Group> = of(true)
                .zip(of(false))
                .map(|(chosen, rejected)| Group::pair(chosen, rejected))
                .collect();
            if !pairs.is_empty() {
                trees.push(TrainingTree::new(&problem.id, tree, pairs)?);
            }
        }
        Ok(trees)
    }

    /// Best of N by each reward model, against random choice, self-consistency and pass@N.
    pub fn rerank(
        &self,
        scorers: &[(&'static str, &RewardModel)],
        settings: &TrainingConfig,
    ) -> Result<RerankingReport> {
        let scores: Vec<Vec<Vec<f32>>> = scorers
            .iter()
            .map(|(_, model)| leaf_rewards(*model, &self.trees, settings))
            .collect::<Result<_, _>>()?;
        let mut candidates = Candidates::new(scorers.iter().map(|(name, _)| *name))?;
        for (problem, answers) in self.answered.iter().enumerate() {
            let of = |(sample, answer): (usize, &Answered)| Candidate {
                answer: answer.outcome.answer.clone(),
                correct: answer.is_correct(),
                scores: scores
                    .iter()
                    .map(|scores| f64::from(scores[problem][sample]))
                    .collect(),
            };
            candidates.add_problem(answers.iter().enumerate().map(of).collect())?;
        }
        Ok(candidates.report()?)
    }
}

/// Accuracy and rewards of a reward model on held-out pairs.
pub fn judge(
    model: &RewardModel,
    pairs: &[TrainingTree],
    settings: &TrainingConfig,
) -> Result<RewardModelReport> {
    let rewards = pair_rewards(model, pairs, settings)?;
    let chosen: Vec<f32> = rewards.iter().map(|pair| pair.chosen).collect();
    let rejected: Vec<f32> = rewards.iter().map(|pair| pair.rejected).collect();
    let lengths: Vec<PairLengths> = pairs
        .iter()
        .flat_map(|tree| {
            let length = |node: usize| tree.tree().nodes[node].tokens.len();
            tree.groups().iter().map(move |pair| PairLengths {
                chosen: length(pair.nodes[0]),
                rejected: length(pair.nodes[1]),
            })
        })
        .collect();
    Ok(evaluate_rewards(&chosen, &rejected, Some(&lengths))?)
}
