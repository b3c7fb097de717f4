//! The same number of pairs as preference trees, as pairs of first answers alone, and as the trees' pairs, each with its history
//! alone (arXiv 2404.02078, section 2.3). A turn of a tree has one pair, so the last are the same data: what differs is which
//! pairs share a step, and how many tokens are computed.
//!
//! A policy learns from each set with the same loss and the same number of steps; it is judged at its first answer, and over
//! up to five turns with the environment's feedback.

use anyhow::{Result, ensure};
use chat_model::{ChatModel, Sampling};
use clap::Parser;
use eurus_examples::experiment::{self, Options, Unit};
use eurus_examples::policy::MAX_ACTION_TOKENS;
use eurus_examples::preference;
use eurus_examples::start::{Start, problems_of};
use eurus_models::{Decoder, LocalChatModel};
use eurus_train::TrainingConfig;
use process_memory::{TrainingAllocator, keep_freed_memory};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use token_forest::{Group, TokenTree, TrainingTree};
use ultrainteract_synth::{Fallback, PythonEnvironment, RuleCritic, SynthConfig, TreeBuilder};

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
    options: Options,

    /// How the policies learn.
    #[arg(long, default_value = "NCA", value_parser = ["DPO", "KTO", "NCA"])]
    algorithm: String,
}

fn main() -> Result<()> {
    keep_freed_memory();
    let arguments = Arguments::parse();
    experiment::run(
        "tree_vs_flat",
        &arguments.options,
        &format!("{} from trees and from flat pairs.", arguments.algorithm),
        "As many pairs each, where there are. Tokens: computed in training, and what the same pairs are as rows. Solved by turn: greedy actions, \
         with the environment's feedback and the critique after each wrong one.",
        |start, environment, measures| {
            for (column, solved) in solved_by_turn(start, &start.sft, environment)? {
                measures.add("SFT", column, Unit::Share, solved);
            }

            let seed = start.seed;
            // Enough samples for as many pairs as the trees have.
            let samples = 2 * start.scale.samples_per_turn;
            let mut first = flat(&start.first_answers(samples, environment)?)?;
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            first.shuffle(&mut rng);
            let pairs: usize = start.paired.iter().map(|tree| tree.groups().len()).sum();
            first.truncate(pairs);
            let mut alone = flat(&start.paired)?;
            token_forest::add_mismatched(&mut first, seed)?;
            token_forest::add_mismatched(&mut alone, seed)?;
            ensure!(pairs > 0, "the trees have no pairs to learn from");

            let settings = preference::settings(seed, &start.scale);
            let loss = preference::algorithms()
                .into_iter()
                .find(|(name, _)| *name == arguments.algorithm);
            let Some((name, loss)) = loss else {
                anyhow::bail!("there is no algorithm {}", arguments.algorithm)
            };
            for (row, data) in [
                ("Trees", start.paired.clone()),
                ("Pairs of first answers", first),
                ("The trees' pairs, each alone", alone),
            ] {
                // As many steps from each: a tree has several pairs, a flat one has one.
                let steps = settings.steps(start.paired.len());
                let per_step = (settings.epochs * data.len()).div_ceil(steps);
                let settings = TrainingConfig {
                    trees_per_step: per_step,
                    ..settings.clone()
                };
                let reference = preference::reference(&start.sft, &data, &settings)?;
                let run = preference::learn(
                    name,
                    &loss,
                    &settings,
                    &start.sft,
                    &data,
                    &reference,
                    &mut start.folder,
                )?;
                for (column, solved) in solved_by_turn(start, &run.model, environment)? {
                    measures.add(row, column, Unit::Share, solved);
                }
                let count: usize = data.iter().map(|tree| tree.groups().len()).sum();
                let mut add = |column, value: usize| {
                    measures.add(row, column, Unit::Count, value as f64);
                };
                add("Pairs", count);
                add("Tokens", run.unique_tokens);
                add("As rows", run.naive_tokens);
            }
            Ok(())
        },
    )
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
    let config = SynthConfig {
        samples_per_turn: 1,
        sampling: Sampling {
            temperature: 0.0,
            max_tokens: MAX_ACTION_TOKENS,
            ..Sampling::default()
        },
        fallback: Fallback::Never,
        seed: start.seed,
        ..SynthConfig::default()
    };
    let actor = LocalChatModel::new("policy", policy, start.corpus.tokenizer.clone());
    let actors: [&dyn ChatModel; 1] = [&actor];
    let problems = problems_of(&start.unseen);
    let builder = TreeBuilder::new(config, &actors, environment, &RuleCritic)?;
    let turns = builder.build(&problems, &mut |_| {})?.stats.turns;
    let by = |last: usize| {
        let correct = turns.iter().take(last).map(|turn| turn.counts.correct);
        correct.sum::<usize>() as f64 / problems.len() as f64
    };
    Ok(vec![
        ("Solved at turn 1", by(1)),
        ("by turn 2", by(2)),
        ("by turn 5", by(5)),
    ])
}
