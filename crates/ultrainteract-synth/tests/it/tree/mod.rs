//! The rule by which trees are built.

mod draws;
mod errors;
mod rule;
mod teacher;
mod team;

use ultrainteract::{Action, PreferenceTree};
use ultrainteract_synth::{Build, Error, Problem, SynthConfig, Team, TreeBuilder};

use crate::support::{Actor, TextEnvironment, TurnCritic, problem};

fn config() -> SynthConfig {
    SynthConfig {
        samples_per_turn: 4,
        seed: 3,
        ..SynthConfig::default()
    }
}

fn try_build(config: SynthConfig, team: Team<'_>, problems: &[Problem]) -> Result<Build, Error> {
    let environment = TextEnvironment::default();
    TreeBuilder::new(config, team, &environment, &TurnCritic)?.build(problems, &|_| {})
}

fn build(config: SynthConfig, actor: &Actor) -> (PreferenceTree, Build) {
    let build = try_build(config, Team::new(actor), &[problem("p")]).unwrap();
    (build.trees[0].clone(), build)
}

fn action(tree: &PreferenceTree, node: ultrainteract::NodeId) -> &Action {
    tree.node(node).content().as_action().unwrap()
}

/// Chosen and rejected texts of each pair with its turn.
fn pairs(tree: &PreferenceTree) -> Vec<(usize, &str, &str)> {
    tree.pairs()
        .iter()
        .map(|pair| {
            (
                pair.turn,
                action(tree, pair.chosen).text.as_str(),
                action(tree, pair.rejected).text.as_str(),
            )
        })
        .collect()
}
