//! Who is asked beside the actor: stronger actors, actors of incorrect actions, the selector.

use ultrainteract::PreferenceTree;
use ultrainteract_synth::{SynthConfig, Team};

use super::{action, config, try_build};
use crate::support::{Actor, fill, problem, problems};

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
