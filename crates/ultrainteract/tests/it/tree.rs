//! The invariants of a tree hold by construction.

use ultrainteract::{
    Action, ActionSource, Error, NodeId, Observation, PreferenceTree, Schema, Task, Verdict,
};

fn action(text: &str, verdict: Verdict) -> Action {
    Action {
        text: text.to_string(),
        verdict,
        actor: "actor".to_string(),
        schema: Schema::ChainOfThought,
        source: ActionSource::Sampled,
    }
}

fn wrong(text: &str) -> Action {
    action(text, Verdict::Incorrect)
}

fn feedback(text: &str) -> Observation {
    Observation {
        execution: None,
        feedback: text.to_string(),
        critique: None,
    }
}

fn tree() -> PreferenceTree {
    PreferenceTree::new("p", Task::MathPot, "toy", "What is 6 * 7?").unwrap()
}

#[test]
fn nothing_follows_a_correct_action() {
    let mut tree = tree();
    let right = tree
        .add_action(tree.root(), action("42", Verdict::Correct))
        .unwrap();
    for error in [
        tree.add_observation(right, feedback("Well done."))
            .unwrap_err(),
        tree.add_action(right, wrong("43")).unwrap_err(),
    ] {
        assert!(matches!(error, Error::TrajectoryEnded { node, .. } if node == right));
    }
    assert_eq!(tree.len(), 2);
}

#[test]
fn an_action_follows_the_instruction_or_an_observation_only() {
    let mut tree = tree();
    let first = tree.add_action(tree.root(), wrong("41")).unwrap();
    let error = tree.add_action(first, wrong("40")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "in tree `p`, an action cannot follow node 1, which is an action; actions answer the instruction or an observation, observations answer an action"
    );
    assert!(matches!(
        tree.add_observation(tree.root(), feedback("Go on.")),
        Err(Error::WrongParent { .. })
    ));
}

#[test]
fn an_action_has_one_observation() {
    let mut tree = tree();
    let first = tree.add_action(tree.root(), wrong("41")).unwrap();
    let seen = tree.add_observation(first, feedback("No.")).unwrap();
    assert!(matches!(
        tree.add_observation(first, feedback("Again no.")),
        Err(Error::AlreadyObserved { observation, .. }) if observation == seen
    ));
}

#[test]
fn siblings_differ() {
    let mut tree = tree();
    let first = tree.add_action(tree.root(), wrong("41")).unwrap();
    assert!(matches!(
        tree.add_action(tree.root(), wrong("41")),
        Err(Error::DuplicateSibling { sibling, .. }) if sibling == first
    ));
}

#[test]
fn blank_text_is_refused_everywhere() {
    assert!(PreferenceTree::new("p", Task::Logic, "toy", " \n").is_err());
    assert!(PreferenceTree::new("", Task::Logic, "toy", "q").is_err());
    let mut tree = tree();
    assert!(matches!(
        tree.add_action(tree.root(), wrong("\t")),
        Err(Error::EmptyText { what: "action" })
    ));
    let first = tree.add_action(tree.root(), wrong("41")).unwrap();
    assert!(tree.add_observation(first, feedback("")).is_err());
}

#[test]
fn the_turn_limit_is_five_unless_told_otherwise() {
    for (mut tree, limit) in [(tree(), 5), (tree().with_max_turns(2).unwrap(), 2)] {
        let mut prompt = tree.root();
        for turn in 1..=limit {
            let action = tree.add_action(prompt, wrong("41")).unwrap();
            assert_eq!(tree.turn(action), turn);
            prompt = tree.add_observation(action, feedback("No.")).unwrap();
            assert_eq!(tree.turn(prompt), turn);
        }
        assert!(matches!(
            tree.add_action(prompt, wrong("41")),
            Err(Error::TooManyTurns { turn, max, .. }) if turn == limit + 1 && max == limit
        ));
        assert_eq!(tree.turns(), limit);
        assert!(tree.with_max_turns(limit - 1).is_err());
    }
    assert!(tree().with_max_turns(0).is_err());
}

#[test]
fn a_pair_is_two_actions_to_one_history_whose_verdicts_allow_it() {
    let mut tree = tree();
    let root = tree.root();
    let right = tree
        .add_action(root, action("42", Verdict::Correct))
        .unwrap();
    let first = tree.add_action(root, wrong("41")).unwrap();
    let open = tree
        .add_action(root, action("40", Verdict::Unjudged))
        .unwrap();
    let prompt = tree.add_observation(first, feedback("No.")).unwrap();
    let later = tree.add_action(prompt, wrong("43")).unwrap();

    for (chosen, rejected) in [
        (right, right),
        (right, later),
        (first, open),
        (open, right),
        (prompt, first),
        (root, first),
    ] {
        assert!(
            matches!(tree.add_pair(chosen, rejected), Err(Error::NotAPair { .. })),
            "{chosen} over {rejected}"
        );
    }
    tree.add_pair(right, open).unwrap();
    tree.add_pair(right, first).unwrap();
    tree.add_pair(open, first).unwrap();
    let pairs: Vec<_> = tree
        .pairs()
        .iter()
        .map(|pair| (pair.chosen, pair.rejected))
        .collect();
    assert_eq!(pairs, [(right, open), (right, first), (open, first)]);
    assert!(
        tree.pairs()
            .iter()
            .all(|pair| pair.turn == 1 && pair.prompt == root)
    );
}

#[test]
fn a_node_of_another_tree_is_an_error_not_a_panic() {
    let mut big = tree();
    let foreign = big.add_action(big.root(), wrong("41")).unwrap();
    let mut small = tree();
    assert!(small.get(foreign).is_none());
    assert!(matches!(
        small.add_action(foreign, wrong("1")),
        Err(Error::UnknownNode { .. })
    ));
    assert!(matches!(
        small.add_pair(foreign, NodeId::ROOT),
        Err(Error::UnknownNode { .. })
    ));
    assert!(small.judge(foreign, Verdict::Correct).is_err());
}

#[test]
fn an_unjudged_action_can_be_judged_once_and_without_contradiction() {
    let mut tree = tree();
    let root = tree.root();
    let open = |text| action(text, Verdict::Unjudged);
    let expanded = tree.add_action(root, open("1")).unwrap();
    tree.add_observation(expanded, feedback("No.")).unwrap();
    let chosen = tree.add_action(root, open("2")).unwrap();
    let rejected = tree.add_action(root, open("3")).unwrap();
    tree.add_pair(chosen, rejected).unwrap();

    assert!(tree.judge(expanded, Verdict::Correct).is_err());
    assert!(tree.judge(chosen, Verdict::Incorrect).is_err());
    assert!(tree.judge(rejected, Verdict::Correct).is_err());
    assert!(tree.judge(root, Verdict::Correct).is_err());

    tree.judge(expanded, Verdict::Incorrect).unwrap();
    tree.judge(chosen, Verdict::Correct).unwrap();
    tree.judge(rejected, Verdict::Incorrect).unwrap();
    tree.judge(chosen, Verdict::Correct).unwrap();
    assert!(tree.judge(chosen, Verdict::Incorrect).is_err());
    assert!(tree.judge(rejected, Verdict::Unjudged).is_err());
}

#[test]
fn paths_and_messages_run_from_the_instruction_to_the_node() {
    let mut tree = tree();
    let first = tree.add_action(tree.root(), wrong("41")).unwrap();
    let prompt = tree
        .add_observation(
            first,
            Observation {
                execution: Some("41".to_string()),
                feedback: "No.".to_string(),
                critique: Some("Add one.".to_string()),
            },
        )
        .unwrap();
    let last = tree.add_action(prompt, wrong("43")).unwrap();
    assert_eq!(tree.path(last), [tree.root(), first, prompt, last]);
    let said: Vec<_> = tree
        .messages(last)
        .into_iter()
        .map(|message| (message.role.as_str(), message.content))
        .collect();
    let expected = [
        ("user", "What is 6 * 7?"),
        ("assistant", "41"),
        ("user", "Out: 41\nNo.\nAdd one."),
        ("assistant", "43"),
    ];
    assert_eq!(
        said,
        expected.map(|(from, value)| (from, value.to_string()))
    );
}

#[test]
fn a_tree_is_drawn_with_its_verdicts_and_never_wider_than_asked() {
    let mut tree = tree();
    let root = tree.root();
    let first = tree
        .add_action(root, wrong("Step 1: 6 * 7 = 41\nand so on"))
        .unwrap();
    let prompt = tree
        .add_observation(first, feedback("Your answer is wrong."))
        .unwrap();
    tree.add_action(prompt, wrong("\n第一步：六乘七等于四十三"))
        .unwrap();
    let rationale = Action {
        source: ActionSource::GroundTruth,
        ..action("tab\tand \u{1b}[31mcolour", Verdict::Correct)
    };
    let right = tree.add_action(root, rationale).unwrap();
    tree.add_pair(right, first).unwrap();
    assert_eq!(
        tree.to_string(),
        "p · Math_PoT · toy · 2 turns · 1 pair\n\
         What is 6 * 7?\n\
         ├─ 1 ✗- Step 1: 6 * 7 = 41\n\
         │  └─ > Your answer is wrong.\n\
         │     └─ 2 ✗ 第一步：六乘七等于四十三\n\
         └─ 1 ✓+ (ground truth) tab and  [31mcolour\n"
    );
    for width in 0..60 {
        for line in format!("{tree:width$}").lines() {
            // Chinese characters take two columns each.
            let columns: usize = line
                .chars()
                .map(|c| {
                    if ('\u{3000}'..'\u{fffe}').contains(&c) {
                        2
                    } else {
                        1
                    }
                })
                .sum();
            assert!(columns <= width, "{line:?} at width {width}");
        }
    }
}
