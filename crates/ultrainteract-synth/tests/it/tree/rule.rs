//! The rule of a turn, and when a tree ends.

use std::sync::Mutex;

use chat_model::{Completion, Finish};
use ultrainteract::{ActionSource, Verdict};
use ultrainteract_synth::{Event, Fallback, RuleCritic, SynthConfig, Team, TreeBuilder};

use super::{action, build, config, pairs, try_build};
use crate::support::{Actor, TextEnvironment, TurnCritic, fill, problem, problems, says};

#[test]
fn each_turn_gives_a_pair_and_the_incorrect_action_is_expanded() {
    let actor = Actor::new(|request, turn| {
        fill(&["Answer: 42", &format!("Answer: {turn}")], request.samples)
    });
    let (tree, build) = build(config(), &actor);
    let turns: Vec<_> = (1..=5).map(|turn| format!("Answer: {turn}")).collect();
    let expected: Vec<_> = (1..=5)
        .map(|turn| (turn, "Answer: 42", turns[turn - 1].as_str()))
        .collect();
    assert_eq!(pairs(&tree), expected);
    for (pair, next) in tree.pairs().iter().zip(&tree.pairs()[1..]) {
        let observation = tree.node(next.prompt);
        assert_eq!(observation.parent(), Some(pair.rejected));
        let text = observation.content().text().into_owned();
        assert_eq!(
            text,
            format!("Your answer is wrong.\nThat was try {}.", pair.turn)
        );
        assert_eq!(action(&tree, pair.chosen).verdict, Verdict::Correct);
        assert_eq!(action(&tree, pair.chosen).actor, "actor");
        assert_eq!(action(&tree, pair.chosen).source, ActionSource::Sampled);
    }
    assert_eq!(build.stats.ended_at_turn_limit, 1);
}

#[test]
fn a_tree_has_at_most_the_turns_it_may_have() {
    let actor = Actor::saying(&["Answer: 42", "Answer: 1"]);
    for max_turns in [1, 2, 5, 7] {
        let (tree, build) = build(
            SynthConfig {
                max_turns,
                ..config()
            },
            &actor,
        );
        assert_eq!(tree.turns(), max_turns);
        assert_eq!(build.stats.turns.len(), max_turns);
    }
}

#[test]
fn a_turn_without_incorrect_action_ends_the_tree() {
    let actor = Actor::new(|request, turn| match turn {
        1 => fill(&["Answer: 42", "Answer: 1"], request.samples),
        _ => fill(&["Answer: 42"], request.samples),
    });
    let (tree, build) = build(config(), &actor);
    assert_eq!(tree.turns(), 2);
    assert_eq!(tree.pairs().len(), 1);
    assert_eq!(build.stats.ended_without_incorrect, 1);
    // The correct action of the second turn is there for fine-tuning all the same.
    assert_eq!(ultrainteract::derive::sft_rows(&tree).len(), 2);
}

#[test]
fn a_turn_without_correct_action_has_no_pair_and_does_not_end_the_tree() {
    let actor = Actor::new(|request, turn| match turn {
        3 => fill(&["Answer: 42", "Answer: 3"], request.samples),
        _ => fill(&["Answer: 1"], request.samples),
    });
    let (tree, build) = build(config(), &actor);
    assert_eq!(pairs(&tree), [(3, "Answer: 42", "Answer: 3")]);
    assert_eq!(tree.turns(), 5);
    assert_eq!(build.stats.total().fallbacks, 0);
}

#[test]
fn the_annotated_solution_stands_in_at_the_last_turn_when_nothing_was_ever_correct() {
    let actor = Actor::new(|request, turn| fill(&[&format!("Answer: {turn}")], request.samples));
    let (tree, build) = build(config(), &actor);
    let rationale = &problem("p").solutions[0];
    assert_eq!(pairs(&tree), [(5, rationale.as_str(), "Answer: 5")]);
    let chosen = action(&tree, tree.pairs()[0].chosen);
    assert_eq!(chosen.source, ActionSource::GroundTruth);
    assert_eq!(chosen.verdict, Verdict::Correct);
    assert_eq!(build.stats.turns[4].counts.fallbacks, 1);
    assert_eq!(build.stats.total().fallbacks, 1);
}

#[test]
fn the_annotated_solution_stands_in_as_often_as_the_settings_say() {
    let actor = Actor::saying(&["Answer: 1"]);
    let with = |fallback| {
        build(
            SynthConfig {
                fallback,
                ..config()
            },
            &actor,
        )
        .0
        .pairs()
        .len()
    };
    assert_eq!(with(Fallback::Never), 0);
    assert_eq!(with(Fallback::LastTurn), 1);
    assert_eq!(with(Fallback::EveryTurn), 5);
}

#[test]
fn a_problem_without_annotated_solution_has_nothing_to_fall_back_on() {
    let actor = Actor::saying(&["Answer: 1"]);
    let mut bare = problem("p");
    bare.solutions.clear();
    let build = try_build(config(), Team::new(&actor), &[bare]).unwrap();
    assert!(build.trees[0].pairs().is_empty());
    assert_eq!(build.stats.total().fallbacks, 0);
}

#[test]
fn actions_are_dropped_for_their_reasons_and_run_once() {
    let actor = Actor::new(|_, turn| {
        let mut samples = fill(
            &[
                "Answer: 42",
                "Answer: 1",
                " Answer: 1\n",
                "",
                "!! ",
                "!!",
                "no",
            ],
            8,
        );
        samples[7] = Completion::new("Answer: 4", Finish::Length, 512);
        samples[6] = says(&format!("Answer: {turn}9"));
        samples
    });
    let environment = TextEnvironment::default();
    let config = SynthConfig {
        samples_per_turn: 8,
        max_turns: 1,
        ..config()
    };
    let build = TreeBuilder::new(config, Team::new(&actor), &environment, &TurnCritic)
        .unwrap()
        .build(&[problem("p")], &|_| {})
        .unwrap();
    let counts = build.stats.turns[0].counts;
    let dropped = counts.dropped;
    assert_eq!(counts.sampled, 8);
    assert_eq!(
        (
            dropped.length,
            dropped.empty,
            dropped.duplicate,
            dropped.syntax
        ),
        (1, 1, 2, 1)
    );
    assert_eq!((counts.correct, counts.incorrect), (1, 2));
    assert_eq!(
        counts.sampled,
        dropped.total() + counts.correct + counts.incorrect
    );
    assert_eq!(
        *environment.executed.lock().unwrap(),
        ["Answer: 42", "Answer: 1", "Answer: 19"]
    );
}

#[test]
fn a_turn_without_any_usable_action_ends_the_tree_with_the_annotated_solution() {
    let actor = Actor::saying(&["!!"]);
    let (tree, build) = build(config(), &actor);
    assert_eq!((tree.turns(), tree.pairs().len()), (1, 0));
    assert_eq!(build.stats.ended_without_action, 1);
    assert_eq!(ultrainteract::derive::sft_rows(&tree).len(), 1);
}

#[test]
fn the_observer_is_told_every_step() {
    let actor = Actor::saying(&["Answer: 42", "Answer: 1"]);
    let environment = TextEnvironment::default();
    let config = SynthConfig {
        max_turns: 2,
        ..config()
    };
    let told = Mutex::new(Vec::new());
    TreeBuilder::new(config, Team::new(&actor), &environment, &RuleCritic)
        .unwrap()
        .build(&problems(1), &|event| {
            told.lock().unwrap().push(match event {
                Event::Sampled { turn, samples, .. } => format!("sampled {turn} {samples}"),
                Event::TurnFinished { turn, counts, .. } => format!("end {turn} {}", counts.pairs),
                Event::TreeFinished { tree, .. } => format!("finished {}", tree.id()),
                other => format!("{other:?}"),
            });
        })
        .unwrap();
    assert_eq!(
        told.into_inner().unwrap(),
        [
            "sampled 1 4",
            "end 1 1",
            "sampled 2 4",
            "end 2 1",
            "finished p0"
        ]
    );
}
