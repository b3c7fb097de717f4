//! Laws of rewards held against verdicts.

use eurus_eval::Error;
use eurus_eval::analyses::process_rewards::{
    Aggregation, JudgedTree, JudgedTurn, ProcessRewardReport, comparison_table,
    evaluate_process_rewards, response_table, turn_table,
};
use eurus_eval::metrics::{Proportion, area_under_curve};
use eurus_eval::terminal;
use proptest::prelude::*;
use test_support::count;

fn turn(name: usize, parent: Option<usize>, reward: f64, correct: Option<bool>) -> JudgedTurn {
    JudgedTurn {
        name: name.to_string(),
        parent,
        reward,
        correct,
        tokens: Some(name + 1),
    }
}

/// Trees with few distinct rewards, so that there are ties, and any verdicts.
fn trees() -> impl Strategy<Value = Vec<JudgedTree>> {
    let node = (
        any::<proptest::sample::Index>(),
        any::<bool>(),
        -4i32..4,
        any::<bool>(),
    );
    let tree = proptest::collection::vec(node, 1..12);
    proptest::collection::vec(tree, 1..6).prop_map(|trees| {
        let tree = |(number, nodes): (usize, Vec<_>)| JudgedTree {
            id: format!("t{number}"),
            turns: nodes
                .into_iter()
                .enumerate()
                .map(
                    |(name, (parent, is_first, reward, correct)): (
                        usize,
                        (proptest::sample::Index, bool, i32, bool),
                    )| {
                        let parent = (name > 0 && !is_first).then(|| parent.index(name.max(1)));
                        turn(name, parent, f64::from(reward) / 4.0, Some(correct))
                    },
                )
                .collect(),
        };
        trees.into_iter().enumerate().map(tree).collect()
    })
}

fn has_both(trees: &[JudgedTree]) -> bool {
    let of = |wanted| {
        let mut turns = trees.iter().flat_map(|tree| &tree.turns);
        turns.any(|turn| turn.correct == Some(wanted))
    };
    of(true) && of(false)
}

fn with_rewards(trees: &[JudgedTree], reward: impl Fn(&JudgedTurn) -> f64) -> Vec<JudgedTree> {
    let mut trees = trees.to_vec();
    for turn in trees.iter_mut().flat_map(|tree| &mut tree.turns) {
        turn.reward = reward(turn);
    }
    trees
}

fn verdict(turn: &JudgedTurn) -> f64 {
    f64::from(u8::from(turn.correct == Some(true)))
}

fn report(trees: &[JudgedTree]) -> ProcessRewardReport {
    evaluate_process_rewards(trees).unwrap()
}

/// Every pair of a right and a wrong turn that `pairs` lets, one by one.
fn counted(
    trees: &[JudgedTree],
    pairs: impl Fn((usize, &JudgedTurn), (usize, &JudgedTurn)) -> bool,
) -> Option<f64> {
    let all = || {
        let trees = trees.iter().enumerate();
        trees.flat_map(|(index, tree)| tree.turns.iter().map(move |turn| (index, turn)))
    };
    let (mut wins, mut count) = (0.0, 0);
    for right in all().filter(|it| it.1.correct == Some(true)) {
        for wrong in all().filter(|it| it.1.correct == Some(false)) {
            if pairs(right, wrong) {
                count += 1;
                wins += match right.1.reward - wrong.1.reward {
                    gap if gap > 0.0 => 1.0,
                    0.0 => 0.5,
                    _ => 0.0,
                };
            }
        }
    }
    (count > 0).then(|| wins / f64::from(count))
}

proptest! {
    // Every report draws its trees some thousands of times.
    #![proptest_config(ProptestConfig::with_cases(count("PROPTEST_CASES", 32) as u32))]

    #[test]
    fn auc_and_siblings_are_those_of_counting_pairs(trees in trees()) {
        prop_assume!(has_both(&trees));
        let report = report(&trees);
        let auc = counted(&trees, |_, _| true).unwrap();
        prop_assert!((report.reward.auc.unwrap() - auc).abs() < 1e-12);
        let siblings = counted(&trees, |right, wrong| right.0 == wrong.0 && right.1.parent == wrong.1.parent);
        match (report.reward.pair_accuracy, siblings) {
            (Some(ours), Some(counted)) => prop_assert!((ours.mean - counted).abs() < 1e-12),
            (ours, counted) => prop_assert!(ours.is_none() && counted.is_none()),
        }
    }

    #[test]
    fn a_perfect_scorer_has_one_and_its_negative_zero(trees in trees()) {
        prop_assume!(has_both(&trees));
        let perfect = report(&with_rewards(&trees, verdict)).reward;
        let opposite = report(&with_rewards(&trees, |turn| -verdict(turn))).reward;
        prop_assert_eq!((perfect.auc, opposite.auc), (Some(1.0), Some(0.0)));
        prop_assert_eq!(perfect.pair_accuracy.map(|it| it.mean), opposite.pair_accuracy.map(|it| 1.0 - it.mean));
        prop_assert!(perfect.pair_accuracy.is_none_or(|it| it.mean == 1.0));
        if let Some(interval) = perfect.interval {
            prop_assert_eq!((interval.low, interval.high), (1.0, 1.0));
        }
    }

    #[test]
    fn a_scorer_that_says_nothing_has_one_half(trees in trees()) {
        prop_assume!(has_both(&trees));
        let constant = report(&with_rewards(&trees, |_| 0.3));
        prop_assert_eq!(constant.reward.auc, Some(0.5));
        prop_assert!(constant.reward.pair_accuracy.is_none_or(|it| it.mean == 0.5));
        if let Some(error) = constant.first_error {
            prop_assert!((error.found.mean - error.chance).abs() < 1e-12, "{error:?}");
        }
    }

    #[test]
    fn a_monotone_map_changes_nothing_about_order(trees in trees()) {
        prop_assume!(has_both(&trees));
        let (plain, mapped) = (report(&trees), report(&with_rewards(&trees, |turn| (2.0 * turn.reward).exp() + 3.0)));
        prop_assert_eq!(&plain.reward, &mapped.reward);
        prop_assert_eq!(&plain.by_turn, &mapped.by_turn);
        prop_assert_eq!(plain.first_error, mapped.first_error);
        for (plain, mapped) in plain.responses.iter().zip(&mapped.responses) {
            if [Aggregation::Min, Aggregation::Last].contains(&plain.aggregation) {
                prop_assert_eq!(plain, mapped);
            }
        }
    }

    #[test]
    fn turns_add_up_and_the_order_of_trees_does_not_matter(trees in trees()) {
        prop_assume!(has_both(&trees));
        let forward = report(&trees);
        let counts = forward.by_turn.iter().map(|it| it.separation.correct + it.separation.incorrect);
        prop_assert_eq!(counts.sum::<usize>(), forward.turns);
        let mut turned = trees.clone();
        turned.reverse();
        let backward = report(&turned);
        prop_assert!((forward.reward.auc.unwrap() - backward.reward.auc.unwrap()).abs() < 1e-12);
        let mean = |it: Option<Proportion>| it.map(|it| (it.mean * 1e9).round());
        prop_assert_eq!(mean(forward.reward.pair_accuracy), mean(backward.reward.pair_accuracy));
    }

    #[test]
    fn the_reward_of_a_response_is_that_of_its_trajectory(trees in trees()) {
        prop_assume!(has_both(&trees));
        // Of trajectories of one turn, every way is that turn's reward.
        let mut flat = trees.clone();
        flat.iter_mut().flat_map(|tree| &mut tree.turns).for_each(|turn| turn.parent = None);
        let report = report(&flat);
        for it in &report.responses {
            prop_assert_eq!(it.separation.auc, report.reward.auc);
            prop_assert_eq!(it.separation.pair_accuracy, report.reward.pair_accuracy);
        }
        prop_assert!(report.first_error.is_none());
        prop_assert_eq!(report.fewer_turns.auc, Some(0.5));
    }

    #[test]
    fn any_report_survives_json_and_can_be_shown(trees in trees()) {
        prop_assume!(has_both(&trees));
        let report = report(&trees);
        let text = serde_json::to_string(&report).unwrap();
        prop_assert_eq!(&serde_json::from_str::<ProcessRewardReport>(&text).unwrap(), &report);
        for table in [
            comparison_table("c", [("r", &report)]),
            turn_table("c", [("r", &report), ("s", &report)]),
            response_table("c", [("r", &report)]),
        ] {
            prop_assert!(!terminal::markdown(&table).contains("NaN"));
        }
    }
}

#[test]
fn the_first_wrong_step_of_a_chain_is_found_where_the_reward_is_least() {
    let chain = |rewards: [f64; 3], correct: [bool; 3]| JudgedTree {
        id: format!("{rewards:?}"),
        turns: (0..3)
            .map(|at| turn(at, at.checked_sub(1), rewards[at], Some(correct[at])))
            .collect(),
    };
    let report = report(&[
        chain([0.5, -1.0, 0.0], [true, false, false]),
        chain([0.5, -0.5, -1.0], [true, false, false]),
        chain([0.5, 0.5, 0.5], [true, true, true]),
        chain([-1.0, 0.0, 0.5], [false, false, true]),
    ]);
    let error = report.first_error.unwrap();
    assert_eq!((error.found.n, error.found.mean), (3, 2.0 / 3.0));
    assert!((error.chance - 1.0 / 3.0).abs() < 1e-12);
    assert!((error.first_turn - 1.0 / 3.0).abs() < 1e-12);
    let of = |wanted: Aggregation| {
        let mut all = report.responses.iter();
        all.find(|it| it.aggregation == wanted).unwrap()
    };
    // Two end right, with 1.5 and -0.5 in sum; two end wrong, with -0.5 and -1.0.
    assert_eq!(of(Aggregation::Sum).separation.auc, Some(3.5 / 4.0));
    assert_eq!(of(Aggregation::Last).separation.correct, 2);
    let right = area_under_curve(&[0.5, -1.0], &[-1.0, -1.0]).unwrap();
    assert_eq!(of(Aggregation::Min).separation.auc, Some(right));
}

#[test]
fn length_alone_is_told_where_every_turn_has_one_and_unjudged_turns_count_in_responses_only() {
    let mut tree = JudgedTree {
        id: "t".into(),
        turns: vec![
            turn(0, None, 0.1, Some(true)),
            turn(1, None, 0.2, None),
            turn(2, Some(1), -0.1, Some(false)),
        ],
    };
    let with_lengths = report(std::slice::from_ref(&tree));
    assert_eq!((with_lengths.turns, with_lengths.unjudged), (2, 1));
    // The right one is the shorter one.
    assert_eq!(with_lengths.length_only.unwrap().auc, Some(0.0));
    // 0.1 against 0.2 - 0.1, and the trajectory with an unjudged turn cannot be looked at for its first error.
    assert_eq!(with_lengths.responses[0].separation.auc, Some(0.5));
    assert_eq!(with_lengths.first_error, None);
    tree.turns[2].tokens = None;
    assert_eq!(report(&[tree]).length_only, None);
}

#[test]
fn what_cannot_be_held_against_verdicts_is_refused_by_name() {
    let says = |turns: Vec<JudgedTurn>, words: &[&str]| {
        let tree = JudgedTree {
            id: "sum".into(),
            turns,
        };
        let message = evaluate_process_rewards(&[tree]).unwrap_err().to_string();
        for word in words {
            assert!(message.contains(word), "{message}");
        }
    };
    let right = turn(0, None, 0.5, Some(true));
    says(
        vec![right.clone(), turn(1, None, f64::NAN, Some(false))],
        &["`sum`", "`1`", "NaN", "finite"],
    );
    says(
        vec![right.clone(), turn(1, Some(1), 0.0, Some(false))],
        &["`sum`", "`1`", "before it"],
    );
    says(vec![turn(0, None, 0.5, None)], &["`sum`", "no verdict"]);
    says(vec![right], &["all 1 judged turns are correct"]);
    assert!(matches!(
        evaluate_process_rewards(&[]),
        Err(Error::NoValues { .. })
    ));
}

/// A chain whose first turn is wrong.
fn chain(id: &str, turns: usize) -> JudgedTree {
    let turns = (0..turns).map(|at| turn(at, at.checked_sub(1), at as f64, Some(at > 0)));
    JudgedTree {
        id: id.into(),
        turns: turns.collect(),
    }
}

#[test]
fn rewards_of_trees_of_other_depths_stand_below_their_own_names() {
    let [short, long] = [2, 3].map(|turns| report(&[chain("c", turns)]));
    let table = turn_table("c", [("a", &short), ("b", &long), ("c", &short)]);
    assert_eq!(table.headers.len(), 3 + 2 * 3);
    for row in &table.rows {
        assert_eq!(row.len(), table.headers.len(), "{row:?}");
    }
    // The short ones have no third turn, and a single turn has nothing to be ranked above.
    let third = ["3", "1", "0", "–", "–", "–", "–", "–", "–"];
    assert_eq!(table.rows[2], third);
    // Where the third turn has both verdicts, the area under its curve is below the name of the long one.
    let both = report(&[
        chain("d", 3),
        JudgedTree {
            turns: (0..3)
                .map(|at| turn(at, at.checked_sub(1), -1.0, Some(at == 0)))
                .collect(),
            id: "e".into(),
        },
    ]);
    let table = turn_table("c", [("a", &short), ("b", &both)]);
    assert_eq!(table.rows[2], ["3", "1", "1", "–", "–", "1.000", "–"]);
}

#[test]
fn counts_of_verdicts_that_rewards_do_not_share_are_not_those_of_the_first() {
    let one = report(&[chain("a", 2)]);
    let two = report(&[chain("a", 2), chain("b", 2)]);
    let table = turn_table("c", [("one", &one), ("two", &two)]);
    // None is right in the first turn of either; one is wrong, or two are.
    assert_eq!(table.rows[0][..3], ["1", "0", "–"]);
}
