//! Unseen problems: pass@1 of every policy, reward models on pairs, and best-of-N.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use eurus_eval::analyses::pass_rates::PassRate;
use eurus_eval::reranking::{Candidate, Candidates};
use eurus_eval::reward_model::{PairLengths, RewardModelReport, evaluate_rewards};
use eurus_models::{Decoder, RewardModel};
use eurus_train::{TrainingConfig, leaf_rewards, pair_rewards};
use token_forest::{ChatTokenizer, Group, Message, TokenTree, TrainingTree};
use ultrainteract_synth::word_problems::WordProblem;
use ultrainteract_synth::{Critic, CritiqueRequest, Problem, PythonEnvironment, RuleCritic};

use crate::console::Stage;
use crate::policy::{self, Answered, Draws, Habit, solve};
use crate::problems::problems_of;
use crate::start::Start;

/// The row of the best choice that can be made in advance.
pub const BEST_HABIT: &str = "SFT, best habit per template";

/// Greedy pass@1 of one policy, or of the fine-tuned one held to a habit.
pub struct PassRow {
    /// What it solves, and against the fine-tuned policy on the same problems; nothing there for that one itself.
    pub rate: PassRate,
    /// Share of the solutions that are programs.
    pub programs: f64,
    /// Mean length of a solution in characters.
    pub characters: f64,
    /// How undecided the policy is, in nats for a whole solution; `None` where its choice is taken away.
    pub entropy: Option<f64>,
}

/// What the policies solve.
pub struct Pass {
    /// The fine-tuned policy first.
    pub rows: Vec<PassRow>,
    /// Kinds of mistakes of the fine-tuned policy: how many programs, and how many solutions in sentences.
    pub mistakes: BTreeMap<String, [usize; 2]>,
}

/// Greedy pass@1 of the fine-tuned policy, of the same with its choice taken away, and of every policy that learned to
/// choose. Which habit is the best for a template is found out on the problems that the trees were built for.
pub fn pass_table(
    start: &Start,
    learned: &[(&str, &Decoder)],
    unseen: &[WordProblem],
    practised: &[WordProblem],
    environment: &PythonEnvironment,
) -> Result<Pass> {
    let (sft, tokenizer, scale) = (&start.policy, &start.tokenizer, &start.scale);
    let stage = Stage::start("pass@1", 5 + learned.len(), "runs");
    let mut runs = 0;
    let mut greedy = |model: &Decoder, words: &[WordProblem], habit: Option<Habit>| {
        let draws = Draws {
            habit,
            ..Draws::greedy(scale)
        };
        let answered = solve(model, tokenizer, &problems_of(words), &draws, environment)?;
        runs += 1;
        stage.position(runs, String::new());
        anyhow::Ok(answered.into_iter().flatten().collect::<Vec<Answered>>())
    };

    let free = greedy(sft, unseen, None)?;
    let baseline = solved(&free);
    let unseen_problems = problems_of(unseen);
    let entropy =
        |model: &Decoder| policy::entropy(model, tokenizer, &unseen_problems, start.seed, scale);
    let mut rows = vec![PassRow {
        entropy: Some(entropy(sft)?),
        ..row("SFT", &free, None)?
    }];

    let mut right_by_template: HashMap<&str, [usize; 2]> = HashMap::new();
    let mut held_to: Vec<Vec<Answered>> = Vec::new();
    for (index, habit) in Habit::ALL.into_iter().enumerate() {
        for (word, solved) in practised.iter().zip(greedy(sft, practised, Some(habit))?) {
            right_by_template.entry(word.template).or_default()[index] +=
                usize::from(solved.is_correct());
        }
        held_to.push(greedy(sft, unseen, Some(habit))?);
    }
    for (name, solved) in ["SFT, always a program", "SFT, always sentences"]
        .into_iter()
        .zip(&held_to)
    {
        rows.push(row(name, solved, Some(&baseline))?);
    }
    let best = unseen.iter().enumerate().map(|(index, word)| {
        let [program, sentences] = right_by_template
            .get(word.template)
            .copied()
            .unwrap_or_default();
        &held_to[usize::from(sentences > program)][index]
    });
    rows.push(row(BEST_HABIT, best.collect::<Vec<_>>(), Some(&baseline))?);

    for (name, model) in learned {
        rows.push(PassRow {
            entropy: Some(entropy(model)?),
            ..row(name, &greedy(model, unseen, None)?, Some(&baseline))?
        });
    }
    let rates = rows
        .iter()
        .map(|row| format!("{} {:.1} %", row.rate.name, 100.0 * row.rate.pass.mean));
    stage.finish(&rates.collect::<Vec<_>>().join("; "));
    Ok(Pass {
        rows,
        mistakes: mistakes(unseen, &free)?,
    })
}

/// Which of the answers are right.
pub fn solved<'a>(answered: impl IntoIterator<Item = &'a Answered>) -> Vec<bool> {
    answered.into_iter().map(Answered::is_correct).collect()
}

/// What the answers of a policy to problems are worth, and against others' to the same.
pub fn row<'a>(
    name: &str,
    answered: impl IntoIterator<Item = &'a Answered>,
    baseline: Option<&[bool]>,
) -> Result<PassRow> {
    let answered: Vec<&Answered> = answered.into_iter().collect();
    let count = answered.len() as f64;
    let programs = answered
        .iter()
        .filter(|it| Habit::of(&it.action) == Some(Habit::Program));
    let characters: usize = answered.iter().map(|it| it.action.chars().count()).sum();
    Ok(PassRow {
        rate: PassRate::of(name, &solved(answered.iter().copied()), baseline)?,
        programs: programs.count() as f64 / count,
        characters: characters as f64 / count,
        entropy: None,
    })
}

/// What the rule-based critic says of wrong solutions, with dots for its numbers, and how many of each habit it says it of: programs,
/// then sentences.
fn mistakes(words: &[WordProblem], solved: &[Answered]) -> Result<BTreeMap<String, [usize; 2]>> {
    let mut mistakes: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    let wrong = words.iter().zip(solved).filter(|(_, it)| !it.is_correct());
    for (word, solved) in wrong {
        let critique = RuleCritic.critique(&CritiqueRequest {
            problem: &word.problem,
            action: &solved.action,
            execution: solved.outcome.execution.as_ref(),
            answer: solved.outcome.answer.as_deref(),
            history: &[],
            seed: 0,
        })?;
        let is_program = Habit::of(&solved.action) == Some(Habit::Program);
        let mut kind = String::new();
        for c in critique.chars() {
            match c.is_ascii_digit() {
                false => kind.push(c),
                true if kind.ends_with('…') => {}
                true => kind.push('…'),
            }
        }
        mistakes.entry(kind).or_default()[usize::from(!is_program)] += 1;
    }
    Ok(mistakes)
}

/// Samples of every problem from the fine-tuned policy, judged.
pub struct Samples {
    /// Per problem, in the order drawn.
    pub answered: Vec<Vec<Answered>>,
    /// Per problem: the instruction with its samples as leaves, in order.
    trees: Vec<TokenTree>,
}

/// Draws samples of every problem from a policy, and tries them.
pub fn sample(
    start: &Start,
    policy: &Decoder,
    problems: &[Problem],
    samples: usize,
    environment: &PythonEnvironment,
) -> Result<Samples> {
    let stage = Stage::start("Samples", problems.len() * samples, "samples");
    let draws = Draws::sampled(start.seed, &start.scale, samples);
    let tokenizer = &start.tokenizer;
    let answered = solve(policy, tokenizer, problems, &draws, environment)?;
    let trees = problems
        .iter()
        .zip(&answered)
        .map(|(problem, answers)| {
            let prompt = tokenizer.encode_prompt(&[Message::user(&problem.instruction)])?;
            let mut tree = TokenTree::new(prompt, false);
            for answer in answers {
                tree.push(0, tokenizer.encode_action(&answer.action)?, true);
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

    /// What a reward model gives each sample, per problem.
    pub fn rewards(&self, model: &RewardModel, settings: &TrainingConfig) -> Result<Vec<Vec<f32>>> {
        Ok(leaf_rewards(model, &self.trees, settings)?)
    }

    /// Per problem a pair of the samples that were given most and least, where they are not the same text.
    pub fn pairs_by(
        &self,
        rewards: &[Vec<f32>],
        problems: &[Problem],
    ) -> Result<Vec<TrainingTree>> {
        let mut trees = Vec::new();
        for (index, rewards) in rewards.iter().enumerate() {
            let mut order: Vec<usize> = (0..rewards.len()).collect();
            order.sort_by(|&a, &b| rewards[b].total_cmp(&rewards[a]));
            let (Some(&best), Some(&worst)) = (order.first(), order.last()) else {
                continue;
            };
            let answers = &self.answered[index];
            if answers[best].action != answers[worst].action {
                let pair = Group::pair(best + 1, worst + 1);
                let tree = TrainingTree::new(&problems[index].id, &self.trees[index], vec![pair])?;
                trees.push(tree);
            }
        }
        Ok(trees)
    }

    /// The samples with the rewards that each reward model gives them.
    pub fn candidates(
        &self,
        scorers: &[(&str, &RewardModel)],
        settings: &TrainingConfig,
    ) -> Result<Candidates> {
        let scores: Vec<Vec<Vec<f32>>> = scorers
            .iter()
            .map(|(_, model)| self.rewards(model, settings))
            .collect::<Result<_>>()?;
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
        Ok(candidates)
    }
}

/// How often a judge who prefers programs to sentences ranks a pair right; half a point where it sees no difference.
pub fn programs_ranked_right(
    pairs: &[TrainingTree],
    tokenizer: &ChatTokenizer,
) -> Result<Option<f64>> {
    let mut points = Vec::new();
    for tree in pairs {
        let is_program = |node: usize| -> Result<bool> {
            let action = tokenizer.decode(&tree.tree().nodes[node].tokens)?;
            Ok(Habit::of(&action) == Some(Habit::Program))
        };
        for pair in tree.groups() {
            let (chosen, rejected) = (is_program(pair.nodes[0])?, is_program(pair.nodes[1])?);
            points.push(match (chosen, rejected) {
                (true, false) => 1.0,
                (false, true) => 0.0,
                _ => 0.5,
            });
        }
    }
    Ok((!points.is_empty()).then(|| points.iter().sum::<f64>() / points.len() as f64))
}

/// Accuracy and rewards of a reward model on pairs; `None` if there are none.
pub fn judge(
    model: &RewardModel,
    pairs: &[TrainingTree],
    settings: &TrainingConfig,
) -> Result<Option<RewardModelReport>> {
    if pairs.is_empty() {
        return Ok(None);
    }
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
    Ok(Some(evaluate_rewards(&chosen, &rejected, Some(&lengths))?))
}
