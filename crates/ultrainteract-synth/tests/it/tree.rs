//! The rule by which trees are built.

use crate::support::{Actor, TextEnvironment, TurnCritic, fill, problem, problems, says};
use std::sync::Mutex;

use chat_model::{Completion, Error as ModelError, Finish};
use ultrainteract::{Action, ActionSource, PreferenceTree, Verdict};
use ultrainteract_synth::{
    Build, Error, Event, Fallback, Problem, RuleCritic, SynthConfig, Team, TreeBuilder,
};

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
fn a_stronger_actor_is_asked_only_where_the_others_found_nothing_correct() {
    let weak = Actor::new(|request, _| {
        let solves = request.messages[0].content.contains("(p1)");
        fill(
            &["Answer: 1", if solves { "Answer: 42" } else { "Answer: 2" }],
            request.samples,
        )
    })
    .named("weak");
    let strong = Actor::saying(&["Answer: 42"]).named("strong");
    let config = SynthConfig {
        max_turns: 1,
        ..config()
    };
    let build = try_build(
        config,
        Team {
            stronger: vec![&strong],
            ..Team::new(&weak)
        },
        &problems(3),
    )
    .unwrap();
    assert_eq!(strong.asked(), 2);
    let chosen: Vec<_> = build
        .trees
        .iter()
        .map(|tree| action(tree, tree.pairs()[0].chosen).actor.as_str())
        .collect();
    assert_eq!(chosen, ["strong", "weak", "strong"]);
}

#[test]
fn a_problem_for_which_the_model_fails_is_left_out_and_reported() {
    let actor = Actor::fallible(|request, turn| {
        if turn == 2 && request.messages[0].content.contains("(p1)") {
            return Err(ModelError::Local {
                model: "actor".into(),
                message: "tired".into(),
            });
        }
        Ok(fill(&["Answer: 42", "Answer: 1"], request.samples))
    });
    let build = try_build(config(), Team::new(&actor), &problems(3)).unwrap();
    let ids: Vec<_> = build.trees.iter().map(|tree| tree.id()).collect();
    assert_eq!(ids, ["p0", "p2"]);
    assert_eq!(build.failures.len(), 1);
    assert_eq!(build.failures[0].problem, "p1");
    let error = build.failures[0].error.to_string();
    assert!(
        error.contains("turn 2") && error.contains("tired"),
        "{error}"
    );
}

#[test]
fn a_model_that_fails_for_all_problems_ends_the_run() {
    let actor = Actor::fallible(|_, _| {
        Err(ModelError::Local {
            model: "actor".into(),
            message: "broken".into(),
        })
    });
    let error = try_build(config(), Team::new(&actor), &problems(3)).unwrap_err();
    assert!(
        error.to_string().contains("problem `p0`, turn 1"),
        "{error}"
    );
    assert!(error.to_string().contains("broken"), "{error}");
}

#[test]
fn a_model_that_returns_another_number_of_samples_is_named() {
    let actor = Actor::new(|_, _| fill(&["Answer: 1"], 2));
    let error = try_build(config(), Team::new(&actor), &problems(1)).unwrap_err();
    assert!(
        matches!(
            error,
            Error::WrongCount {
                found: 2,
                expected: 4,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn settings_and_problems_that_cannot_be_right_are_refused() {
    let actor = Actor::saying(&["Answer: 1"]);
    let refused = |config: SynthConfig| {
        try_build(config, Team::new(&actor), &problems(1))
            .unwrap_err()
            .to_string()
    };
    assert!(
        refused(SynthConfig {
            samples_per_turn: 0,
            ..config()
        })
        .contains("samples_per_turn")
    );
    assert!(
        refused(SynthConfig {
            samples_per_round: Some(0),
            ..config()
        })
        .contains("samples_per_round")
    );
    assert!(
        refused(SynthConfig {
            max_turns: 0,
            ..config()
        })
        .contains("max_turns")
    );
    assert!(
        refused(SynthConfig {
            trees_in_flight: 0,
            ..config()
        })
        .contains("trees_in_flight")
    );
    let mut hot = config();
    hot.sampling.temperature = f32::NAN;
    assert!(refused(hot).contains("temperature"));
    let twice = [problem("a"), problem("b"), problem("a")];
    let error = try_build(config(), Team::new(&actor), &twice).unwrap_err();
    assert!(
        matches!(
            error,
            Error::DuplicateProblem {
                first: 0,
                second: 2,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn settings_in_a_file_are_checked_for_unknown_fields() {
    let config: SynthConfig =
        serde_json::from_str(r#"{"max_turns": 3, "fallback": "every_turn"}"#).unwrap();
    assert_eq!((config.max_turns, config.samples_per_turn), (3, 20));
    assert_eq!(config.fallback, Fallback::EveryTurn);
    assert!(serde_json::from_str::<SynthConfig>(r#"{"max_turn": 3}"#).is_err());
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

#[test]
fn where_everything_is_correct_an_actor_of_incorrect_actions_is_asked_and_the_pair_is_of_two_actors()
 {
    let actor = Actor::new(|request, turn| match turn {
        1 => fill(&["Answer: 42"], request.samples),
        _ => fill(&["Answer: 42", "Answer: 1"], request.samples),
    });
    let weak = Actor::saying(&["Answer: 7", "Answer: 42.0"]).named("weak");
    let config = SynthConfig {
        max_turns: 2,
        ..config()
    };
    let team = Team {
        incorrect: vec![&weak],
        ..Team::new(&actor)
    };
    let build = try_build(config, team, &[problem("p")]).unwrap();
    let tree = &build.trees[0];
    assert_eq!(weak.asked(), 1);
    assert_eq!(tree.pairs().len(), 2);
    assert_eq!(action(tree, tree.pairs()[0].rejected).actor, "weak");
    assert_eq!(action(tree, tree.pairs()[0].rejected).text, "Answer: 7");
}

#[test]
fn of_several_incorrect_actions_one_of_another_actor_than_the_correct_one_is_kept() {
    let weak = Actor::saying(&["Answer: 1"]).named("weak");
    let strong = Actor::saying(&["Answer: 42", "Answer: 2", "Answer: 3"]).named("strong");
    let team = Team {
        stronger: vec![&strong],
        ..Team::new(&weak)
    };
    let config = SynthConfig {
        max_turns: 1,
        ..config()
    };
    let build = try_build(config, team, &problems(20)).unwrap();
    for tree in &build.trees {
        assert_eq!(action(tree, tree.pairs()[0].chosen).actor, "strong");
        assert_eq!(action(tree, tree.pairs()[0].rejected).actor, "weak");
    }
    assert_eq!(build.stats.total().escalated, 20);
}

#[test]
fn stronger_actors_are_asked_one_after_the_other_until_one_is_correct() {
    let weak = Actor::saying(&["Answer: 1"]).named("weak");
    let middle = Actor::saying(&["Answer: 2"]).named("middle");
    let strong = Actor::saying(&["Answer: 42"]).named("strong");
    let strongest = Actor::saying(&["Answer: 42.0"]).named("strongest");
    let team = Team {
        stronger: vec![&middle, &strong, &strongest],
        ..Team::new(&weak)
    };
    let config = SynthConfig {
        max_turns: 1,
        ..config()
    };
    try_build(config, team, &[problem("p")]).unwrap();
    assert_eq!(
        (middle.asked(), strong.asked(), strongest.asked()),
        (1, 1, 0)
    );
}

fn taught(teacher: &Actor, fallback: Fallback, solutions: &[&str]) -> (PreferenceTree, Build) {
    let actor = Actor::saying(&["Answer: 1", "Answer: 2", "Answer: 3", "Answer: 4"]);
    let mut problem = problem("p");
    problem.solutions = solutions.iter().map(|it| (*it).to_owned()).collect();
    let team = Team {
        teacher: Some(teacher),
        ..Team::new(&actor)
    };
    let config = SynthConfig {
        fallback,
        max_turns: 2,
        ..config()
    };
    let build = try_build(config, team, &[problem]).unwrap();
    (build.trees[0].clone(), build)
}

#[test]
fn a_teacher_works_the_solution_into_an_action_that_is_judged_and_sees_no_answer() {
    let teacher = Actor::new(|request, _| {
        let asked = &request.messages[0].content;
        assert!(
            asked.contains("What is 6 * 7?") && asked.contains("6 * 7 = [?]"),
            "{asked}"
        );
        fill(&["Step 1: Six sevens.\nAnswer: 42"], request.samples)
    })
    .named("teacher");
    let (tree, build) = taught(&teacher, Fallback::EveryTurn, &["6 * 7 = 42"]);
    assert_eq!(tree.pairs().len(), 2);
    for pair in tree.pairs() {
        let chosen = action(&tree, pair.chosen);
        assert_eq!(chosen.source, ActionSource::Elicited);
        assert_eq!(
            (chosen.actor.as_str(), chosen.verdict),
            ("teacher", Verdict::Correct)
        );
    }
    assert_eq!(
        (build.stats.total().elicited, build.stats.total().fallbacks),
        (2, 0)
    );
}

#[test]
fn a_teacher_that_is_wrong_twice_leaves_the_solution_itself() {
    let teacher = Actor::saying(&["Answer: 41"]).named("teacher");
    let (tree, build) = taught(&teacher, Fallback::LastTurn, &["6 * 7 = 42"]);
    assert_eq!(teacher.asked(), 2);
    assert_eq!(
        action(&tree, tree.pairs()[0].chosen).source,
        ActionSource::GroundTruth
    );
    assert_eq!(
        (build.stats.total().elicited, build.stats.total().fallbacks),
        (0, 1)
    );
}

#[test]
fn every_further_solution_of_a_problem_that_was_taught_gets_a_pair_of_its_own() {
    let teacher = Actor::new(|request, _| {
        let asked = &request.messages[0].content;
        let way = ["6 * 7", "7 * 6", "6 + 6"]
            .into_iter()
            .find(|way| asked.contains(&format!(":\n{way}")));
        fill(
            &[&format!("By {}.\nAnswer: 42", way.unwrap_or("nothing"))],
            request.samples,
        )
    })
    .named("teacher");
    let (tree, build) = taught(
        &teacher,
        Fallback::LastTurn,
        &["6 * 7 = 42", "7 * 6 = 42", "6 + 6 and so on"],
    );
    let mut firsts: Vec<_> = pairs(&tree)
        .into_iter()
        .filter(|pair| pair.0 == 1)
        .collect();
    firsts.sort_unstable();
    assert_eq!(firsts.len(), 2, "{firsts:?}");
    assert!(
        firsts
            .iter()
            .all(|pair| pair.1.contains("7 * 6") || pair.1.contains("6 + 6")),
        "{firsts:?}"
    );
    assert_ne!(firsts[0].2, firsts[1].2);
    assert_eq!(build.stats.total().elicited, 3);
}

#[test]
fn a_problem_that_the_selector_solves_gets_no_tree() {
    let actor = Actor::saying(&["Answer: 42", "Answer: 1"]);
    let selector = Actor::new(|request, _| {
        assert_eq!(request.sampling.temperature, 0.0);
        let easy = request.messages[0].content.contains("(p1)");
        fill(
            &[if easy { "Answer: 42" } else { "Answer: 1" }],
            request.samples,
        )
    });
    let team = Team {
        selector: Some(&selector),
        ..Team::new(&actor)
    };
    let build = try_build(config(), team, &problems(3)).unwrap();
    let ids: Vec<_> = build.trees.iter().map(PreferenceTree::id).collect();
    assert_eq!(ids, ["p0", "p2"]);
    assert_eq!(build.stats.too_easy, 1);
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
