//! What the trees of one policy are worth by what is said after a wrong action: nothing, that it is wrong, what the
//! interpreter printed, a critique by rules, one that tells the answer, one that is itself wrong; and by an environment that
//! errs in some of its verdicts.
//!
//! Solved by turn: the policy's greedy actions for unseen problems, each after what was said of the one before; an answer counts
//! that is right and that the environment accepts. Then a policy learns from the pairs of sampled trees and is judged at its
//! first answer.

mod critics;
mod environments;

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Parser;
use eurus_eval::analyses::pass_rates::solved_by_turn;
use eurus_examples::experiment::{self, StartOptions, Unit, greedy_turns, pass_at_1};
use eurus_examples::start::at_least_one;
use eurus_examples::{preference, trees};
use eurus_memory::{TrainingAllocator, keep_freed_memory};
use ultrainteract::{ActionSource, NodeId, PreferenceTree, Verdict};
use ultrainteract_synth::{Attempt, Critic, Environment, Problem, PythonEnvironment, RuleCritic};

use critics::{Counted, NoCritic, Teller, WrongCritic};
use environments::{Erring, Mute, Silent};

#[global_allocator]
static ALLOCATOR: TrainingAllocator = TrainingAllocator;

/// Trees under feedback and critiques of different strength, and what policies learn from them.
#[derive(Parser, Debug)]
#[command(
    name = "critique_strength",
    after_help = "Examples:\n  cargo run --release --example critique_strength\n  \
                  cargo run --release --example critique_strength -- --algorithm KTO --seeds 5"
)]
struct Arguments {
    #[command(flatten)]
    options: StartOptions,

    /// How the policies learn.
    #[arg(long, default_value = "NCA", value_parser = preference::NAMES)]
    algorithm: String,

    /// Trees are built for the first of the tree problems, so many.
    #[arg(long, default_value_t = 80, value_parser = at_least_one())]
    trees: usize,
}

fn main() -> Result<()> {
    keep_freed_memory();
    let arguments = Arguments::parse();
    experiment::run(
        "critique_strength",
        &arguments.options,
        &format!(
            "What is said after a wrong action, and what {} learns from the trees.",
            arguments.algorithm
        ),
        "Fine-tuning has shown the policy the output, the verdict and the rule-based critique together, and no other form. Solved by \
         turn: its greedy actions, right and accepted; one that is cut off or no Python ends the attempt. Truly right: pairs of sampled \
         actions of which the chosen one is right and the other wrong. Critic: calls and tokens for the sampled trees. pass@1: of the policy that \
         learned from them.",
        |start, python, measures| {
            let (_, loss) = preference::algorithm(&arguments.algorithm)?;
            let settings = preference::settings(start.seed, &start.scale);
            let baseline = pass_at_1(start, &start.policy, python)?;
            measures.add("No trees: SFT", "pass@1", Unit::Share, baseline);
            let count = arguments.trees.min(start.tree_problems.len());
            let problems = start.tree_problems[..count].to_vec();

            let erring = [0.05, 0.1, 0.2].map(|rate| Erring::new(python, rate, start.seed));
            let (mute, silent) = (Mute(python), Silent(python));
            let rows: [(&str, &dyn Environment, &dyn Critic); 9] = [
                ("Try again", &silent, &NoCritic),
                ("Verdict", &mute, &NoCritic),
                ("Verdict and output", python, &NoCritic),
                ("... and rule-based critique", python, &RuleCritic),
                ("... and the answer", python, &Teller),
                ("... and a wrong critique", python, &WrongCritic),
                ("Rule-based, 5 % of verdicts wrong", &erring[0], &RuleCritic),
                (
                    "Rule-based, 10 % of verdicts wrong",
                    &erring[1],
                    &RuleCritic,
                ),
                (
                    "Rule-based, 20 % of verdicts wrong",
                    &erring[2],
                    &RuleCritic,
                ),
            ];
            for (row, environment, critic) in rows {
                let greedy = greedy_turns(start, &start.policy, environment, critic)?;
                let turns = turns_that_solve(&greedy.trees, &start.unseen, python)?;
                let mut solved_at: Vec<Option<usize>> = turns.into_iter().map(Some).collect();
                solved_at.resize(start.unseen.len(), None);
                let by_turn = solved_by_turn(&solved_at, 5)?;
                for (column, last) in [("Solved by turn 1", 1), ("turn 2", 2), ("turn 5", 5)] {
                    measures.add(row, column, Unit::Share, by_turn[last - 1].mean);
                }

                let counted = Counted::new(critic, &start.tokenizer);
                let config = trees::settings(start.seed, &start.scale);
                let actor = start.actor(&start.policy);
                let grown =
                    trees::build(config, &actor, &problems, environment, &counted, None)?.trees;
                let (pairs, right) = count_pairs(&grown, &problems, python)?;
                let per_tree = pairs as f64 / grown.len().max(1) as f64;
                let (calls, tokens) = counted.counts()?;
                let mut add = |column, unit, value| measures.add(row, column, unit, value);
                add("Pairs a tree", Unit::Number, per_tree);
                add(
                    "Truly right",
                    Unit::Share,
                    right as f64 / pairs.max(1) as f64,
                );
                add("Critic calls", Unit::Count, calls as f64);
                add("tokens", Unit::Count, tokens as f64);

                let paired = trees::sampled_pairs(&grown, &start.tokenizer)?;
                // Too few to learn from are a gap in the table, and no reason to lose the other rows.
                if paired.len() > 1 {
                    let run = preference::learn_from(start, row, &loss, &settings, &paired)?;
                    let pass = pass_at_1(start, &run.model, python)?;
                    measures.add(row, "pass@1", Unit::Share, pass);
                    measures.add(row, "Gain over SFT", Unit::Points, pass - baseline);
                }
            }
            Ok(())
        },
    )
}

/// An action of a tree, what led to it, and the environment's verdict.
struct Action<'a> {
    problem: &'a Problem,
    history: Vec<String>,
    text: &'a str,
    verdict: Verdict,
    turn: usize,
    tree: usize,
}

/// The actions of trees that `wanted` names, each with the place of its tree.
fn actions<'a>(
    trees: &'a [PreferenceTree],
    problems: &'a [Problem],
    wanted: impl Fn(&PreferenceTree) -> Vec<NodeId>,
) -> Vec<Action<'a>> {
    let mut found = Vec::new();
    for (index, tree) in trees.iter().enumerate() {
        let Some(problem) = problems.iter().find(|problem| problem.id == tree.id()) else {
            continue;
        };
        for id in wanted(tree) {
            if let Some(action) = tree.node(id).action() {
                let history: Vec<String> = tree
                    .path(id)
                    .into_iter()
                    .filter(|&node| node != id)
                    .filter_map(|node| Some(tree.node(node).action()?.text.clone()))
                    .collect();
                found.push(Action {
                    problem,
                    turn: history.len() + 1,
                    history,
                    text: &action.text,
                    verdict: action.verdict,
                    tree: index,
                });
            }
        }
    }
    found
}

/// Which of the actions are right, whatever another environment said.
fn truly_right(actions: &[Action<'_>], python: &PythonEnvironment) -> Result<Vec<bool>> {
    let attempts: Vec<Attempt<'_>> = actions
        .iter()
        .map(|action| Attempt {
            problem: action.problem,
            history: &action.history,
            action: action.text,
        })
        .collect();
    let outcomes = python.execute(&attempts)?;
    Ok(outcomes
        .iter()
        .map(|outcome| outcome.verdict == Verdict::Correct)
        .collect())
}

/// The turn of the first action that is right and was accepted, of each tree that has one.
fn turns_that_solve(
    trees: &[PreferenceTree],
    problems: &[Problem],
    python: &PythonEnvironment,
) -> Result<Vec<usize>> {
    let mut actions = actions(trees, problems, |tree| {
        tree.nodes().map(|(id, _)| id).collect()
    });
    actions.retain(|action| action.verdict == Verdict::Correct);
    let right = truly_right(&actions, python)?;
    let mut first: BTreeMap<usize, usize> = BTreeMap::new();
    for (action, _) in actions.iter().zip(right).filter(|(_, right)| *right) {
        let turn = first.entry(action.tree).or_insert(action.turn);
        *turn = action.turn.min(*turn);
    }
    Ok(first.into_values().collect())
}

/// How many pairs of sampled actions there are, and in how many the chosen one is right and the rejected one wrong.
fn count_pairs(
    trees: &[PreferenceTree],
    problems: &[Problem],
    python: &PythonEnvironment,
) -> Result<(usize, usize)> {
    let is_sampled = |tree: &PreferenceTree, id: NodeId| {
        let action = tree.node(id).action();
        action.is_some_and(|action| action.source == ActionSource::Sampled)
    };
    let sides = actions(trees, problems, |tree| {
        let pairs = tree.pairs().iter();
        let sampled = pairs.filter(|pair| is_sampled(tree, pair.chosen));
        sampled
            .flat_map(|pair| [pair.chosen, pair.rejected])
            .collect()
    });
    let right = truly_right(&sides, python)?;
    let pairs = right.chunks(2);
    Ok((
        pairs.len(),
        pairs.filter(|pair| **pair == [true, false]).count(),
    ))
}
