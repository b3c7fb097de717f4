//! What is drawn by the seed: samples, rounds, kept actions, schemas.

use std::sync::Mutex;

use ultrainteract_synth::{Fallback, SynthConfig, Team, TreeBuilder};

use super::{action, config, try_build};
use crate::support::{Actor, TextEnvironment, TurnCritic, fill, problems};

#[test]
fn the_same_seed_gives_the_same_trees_in_any_order_and_number_at_a_time() {
    let actor = Actor::drawing();
    let forward = problems(9);
    let backward: Vec<_> = forward.iter().rev().cloned().collect();
    for samples_per_round in [None, Some(2)] {
        let config = SynthConfig {
            samples_per_turn: 6,
            samples_per_round,
            ..config()
        };
        let reference = try_build(config.clone(), Team::new(&actor), &forward).unwrap();
        assert!(reference.trees.iter().any(|tree| tree.pairs().len() > 1));
        for size in [1, 2, 4, 100] {
            let config = SynthConfig {
                trees_in_flight: size,
                ..config.clone()
            };
            let mut other = try_build(config, Team::new(&actor), &backward).unwrap();
            other.trees.reverse();
            assert_eq!(other.trees, reference.trees);
            assert_eq!(other.stats, reference.stats);
        }
        let other = try_build(
            SynthConfig { seed: 4, ..config },
            Team::new(&actor),
            &forward,
        )
        .unwrap();
        assert_ne!(other.trees, reference.trees);
    }
}

#[test]
fn in_rounds_a_problem_is_asked_until_it_has_a_correct_and_an_incorrect_action() {
    // A third of the requests find the answer.
    let actor = Actor::new(|request, _| {
        let easy = request.messages[0].content.contains("(p1)");
        let right = easy || request.sampling.seed.is_multiple_of(3);
        fill(
            &["Answer: 1", if right { "Answer: 42" } else { "Answer: 2" }],
            request.samples,
        )
    });
    let config = SynthConfig {
        samples_per_turn: 7,
        samples_per_round: Some(2),
        max_turns: 1,
        fallback: Fallback::Never,
        ..config()
    };
    let build = try_build(config.clone(), Team::new(&actor), &problems(30)).unwrap();
    let sampled: Vec<usize> = problems(30)
        .into_iter()
        .map(|problem| {
            let alone = try_build(config.clone(), Team::new(&actor), &[problem]).unwrap();
            let counts = alone.stats.total();
            let drawn = counts.sampled;
            // One of each ends it, and nothing else does before all are drawn.
            assert_eq!(
                counts.pairs == 1,
                counts.correct > 0 && counts.incorrect > 0
            );
            assert!(counts.pairs == 1 || drawn == 7, "{counts:?}");
            drawn
        })
        .collect();
    assert_eq!(sampled[1], 2);
    // The last round is what is left.
    for drawn in [2, 4, 6, 7] {
        assert!(sampled.contains(&drawn), "{drawn}: {sampled:?}");
    }
    assert_eq!(build.stats.total().sampled, sampled.iter().sum::<usize>());
}

#[test]
fn each_kept_action_is_drawn_among_all_candidates() {
    let actor = Actor::saying(&["Answer: 1", "Answer: 2", "Answer: 3", "Answer: 4"]);
    let config = SynthConfig {
        max_turns: 1,
        fallback: Fallback::Never,
        ..config()
    };
    let build = try_build(config, Team::new(&actor), &problems(40)).unwrap();
    for number in 1..=4 {
        let kept = format!("Answer: {number}");
        let count = build.trees.iter().filter(|tree| {
            tree.children(tree.root())
                .iter()
                .any(|node| action(tree, *node).text == kept)
        });
        assert!(count.count() > 2, "{kept}");
    }
}

#[test]
fn each_action_draws_a_schema_and_the_actor_is_told_which() {
    let told = std::sync::Arc::new(Mutex::new(Vec::new()));
    let seen = told.clone();
    let actor = Actor::new(move |request, _| {
        let system = &request.messages[0];
        assert_eq!(system.role, chat_model::Role::System);
        let has_code = system.content.contains("```python");
        seen.lock().unwrap().push((has_code, request.samples));
        fill(&["Answer: 1"], request.samples)
    });
    let environment = TextEnvironment::default();
    let config = SynthConfig {
        samples_per_turn: 100,
        max_turns: 1,
        schemas: vec![
            ultrainteract::Schema::ChainOfThought,
            ultrainteract::Schema::ModularProgramming,
        ],
        ..config()
    };
    TreeBuilder::new(config, Team::new(&actor), &environment, &TurnCritic)
        .unwrap()
        .with_prompts(ultrainteract_synth::Prompts::default())
        .build(&problems(1), &|_| {})
        .unwrap();
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 2);
    assert_eq!(told.iter().map(|(_, samples)| samples).sum::<usize>(), 100);
    assert!(
        told.iter().all(|(_, samples)| (30..=70).contains(samples)),
        "{told:?}"
    );
    assert_ne!(told[0].0, told[1].0);
}
