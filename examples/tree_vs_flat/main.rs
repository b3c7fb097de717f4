//! Preference trees, pairs of first answers alone, and the trees' pairs, each with its history alone (arXiv 2404.02078,
//! section 2.3): as many pairs, and as many tokens. A turn of a tree has one pair, so all of the trees' pairs alone are the
//! same data: what differs is which pairs share a step, and how many tokens are computed.
//!
//! A policy learns from each set with the same loss and the same number of steps; it is judged at its first answer, and over
//! up to five turns with the environment's feedback.

use anyhow::Result;
use clap::Parser;
use eurus_eval::analyses::pass_rates;
use eurus_examples::experiment::{self, StartOptions, Unit, greedy_turns};
use eurus_examples::preference;
use eurus_examples::start::Start;
use eurus_memory::{TrainingAllocator, keep_freed_memory};
use eurus_models::Decoder;
use eurus_train::TrainingConfig;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use token_forest::{Group, TokenTree, TrainingTree};
use ultrainteract::{PreferenceTree, Verdict};
use ultrainteract_synth::{PythonEnvironment, RuleCritic};

#[global_allocator]
static ALLOCATOR: TrainingAllocator = TrainingAllocator;

/// Preference trees against flat pairs: as many of them, the same loss, the same steps.
#[derive(Parser, Debug)]
#[command(
    name = "tree_vs_flat",
    after_help = "Examples:\n  cargo run --release --example tree_vs_flat\n  \
                  cargo run --release --example tree_vs_flat -- --algorithm KTO --seeds 5"
)]
struct Arguments {
    #[command(flatten)]
    options: StartOptions,

    /// How the policies learn.
    #[arg(long, default_value = "NCA", value_parser = preference::NAMES)]
    algorithm: String,
}

fn main() -> Result<()> {
    keep_freed_memory();
    let arguments = Arguments::parse();
    experiment::run(
        "tree_vs_flat",
        &arguments.options,
        &format!("{} from trees and from flat pairs.", arguments.algorithm),
        "As many pairs or tokens as the trees have, where there are, in as many steps or nearly so. Tokens: computed in training, and what the \
         same pairs are as rows. Solved by turn: greedy actions, with the environment's feedback and the critique after each \
         wrong one; one that is cut off or no Python ends the attempt.",
        |start, environment, measures| {
            let (_, loss) = preference::algorithm(&arguments.algorithm)?;
            for (column, solved) in solved_by_turn(start, &start.policy, environment)? {
                measures.add("SFT", column, Unit::Share, solved);
            }

            let seed = start.seed;
            let pairs: usize = start.paired.iter().map(|tree| tree.groups().len()).sum();
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            // Enough samples for as many pairs as the trees have.
            let samples = 2 * start.scale.samples_per_turn;
            let mut first = flat(&start.first_answers(samples, environment)?)?;
            let mut alone = flat(&start.paired)?;
            first.shuffle(&mut rng);
            alone.shuffle(&mut rng);

            let settings = preference::settings(seed, &start.scale);
            let steps = settings.steps(start.paired.len());
            let trees = start.paired.clone();
            let tokens = trees.iter().map(TrainingTree::trained_tokens).sum();
            for (row, source, most) in [
                ("Trees", &trees, Most::All),
                ("First answers, as many pairs", &first, Most::Pairs(pairs)),
                (
                    "First answers, as many tokens",
                    &first,
                    Most::Tokens(tokens),
                ),
                ("The trees' pairs alone, all", &alone, Most::All),
                (
                    "The trees' pairs alone, as many tokens",
                    &alone,
                    Most::Tokens(tokens),
                ),
            ] {
                let data = match most {
                    Most::All => source.clone(),
                    Most::Pairs(pairs) => source.iter().take(pairs).cloned().collect(),
                    Most::Tokens(tokens) => up_to_tokens(source, tokens),
                };
                // As many steps from each: a tree has several pairs, a flat one has one. Nearest, so that all of a set is seen as
                // often as can be.
                let per_step = (settings.epochs * data.len()) as f64 / steps as f64;
                let settings = TrainingConfig {
                    trees_per_step: per_step.round().max(1.0) as usize,
                    max_steps: Some(steps),
                    ..settings.clone()
                };
                let run = preference::learn_from(start, row, &loss, &settings, &data)?;
                for (column, solved) in solved_by_turn(start, &run.model, environment)? {
                    measures.add(row, column, Unit::Share, solved);
                }
                let count: usize = data.iter().map(|tree| tree.groups().len()).sum();
                let mut add = |column, value: usize| {
                    measures.add(row, column, Unit::Count, value as f64);
                };
                add("Pairs", count);
                add("Steps", settings.steps(data.len()));
                add("Tokens", run.unique_tokens);
                add("As rows", run.naive_tokens);
            }
            Ok(())
        },
    )
}

/// How much of a set is learned from.
enum Most {
    All,
    Pairs(usize),
    Tokens(usize),
}

/// The first rows that have so many tokens together.
fn up_to_tokens(rows: &[TrainingTree], most: usize) -> Vec<TrainingTree> {
    let mut spent = 0;
    rows.iter()
        .take_while(|row| {
            spent += row.trained_tokens();
            spent <= most
        })
        .cloned()
        .collect()
}

/// Every pair as a tree of its own.
fn flat(trees: &[TrainingTree]) -> Result<Vec<TrainingTree>> {
    let mut rows = Vec::new();
    for tree in trees {
        for (index, pair) in tree.groups().iter().enumerate() {
            let pair = Group::pair(pair.nodes[0], pair.nodes[1]);
            rows.push(one_pair(tree, index, &pair)?);
        }
    }
    Ok(rows)
}

/// The history of a pair and the pair, alone.
fn one_pair(tree: &TrainingTree, index: usize, pair: &Group) -> Result<TrainingTree> {
    let nodes = &tree.tree().nodes;
    let mut history = Vec::new();
    let mut place = nodes[pair.nodes[0]].parent;
    while let Some(node) = place {
        history.push(node);
        place = nodes[node].parent;
    }
    history.reverse();
    let tokens = history.iter().flat_map(|&node| nodes[node].tokens.clone());
    let mut row = TokenTree::new(tokens.collect(), false);
    let [chosen, rejected] =
        [pair.nodes[0], pair.nodes[1]].map(|node| row.push(0, nodes[node].tokens.clone(), true));
    let id = format!("{}-{index}", tree.id());
    Ok(TrainingTree::new(
        &id,
        &row,
        vec![Group::pair(chosen, rejected)],
    )?)
}

/// What a policy solves with one greedy action a turn.
fn solved_by_turn(
    start: &Start,
    policy: &Decoder,
    environment: &PythonEnvironment,
) -> Result<Vec<(&'static str, f64)>> {
    let trees = greedy_turns(start, policy, environment, &RuleCritic)?.trees;
    // A problem that failed has no tree, and is not solved.
    let mut solved_at: Vec<Option<usize>> = trees.iter().map(first_correct_turn).collect();
    solved_at.resize(start.unseen.len(), None);
    let by_turn = pass_rates::solved_by_turn(&solved_at, 5)?;
    let by = |turn: usize| by_turn[turn - 1].mean;
    Ok(vec![
        ("Solved at turn 1", by(1)),
        ("by turn 2", by(2)),
        ("by turn 5", by(5)),
    ])
}

/// The turn of the first correct action of a tree.
fn first_correct_turn(tree: &PreferenceTree) -> Option<usize> {
    let correct = tree.nodes().filter(|(_, node)| {
        node.action()
            .is_some_and(|action| action.verdict == Verdict::Correct)
    });
    correct.map(|(id, _)| tree.turn(id)).min()
}
