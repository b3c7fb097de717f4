//! Correct actions that a teacher makes of annotated solutions.

use ultrainteract::{ActionSource, PreferenceTree, Verdict};
use ultrainteract_synth::{Build, Fallback, SynthConfig, Team};

use super::{action, config, pairs, try_build};
use crate::support::{Actor, fill, problem};

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
