//! Laws that hold for any input.

use eurus_eval::Table;
use eurus_eval::metrics::{Bootstrap, ItemResult, McNemar, Proportion, compare_runs, pass_at_k};
use eurus_eval::report::{Figure, Report, Series};
use eurus_eval::reranking::{Candidate, Candidates, Method};
use eurus_eval::reward_model::evaluate_rewards;
use eurus_eval::terminal;
use proptest::prelude::*;

fn candidate() -> impl Strategy<Value = Candidate> {
    (
        proptest::option::of("[0-9]{1,2}"),
        any::<bool>(),
        -3.0..3.0f64,
    )
        .prop_map(|(answer, correct, score)| Candidate {
            answer,
            correct,
            scores: vec![score],
        })
}

fn candidates() -> impl Strategy<Value = Candidates> {
    (1usize..7).prop_flat_map(|n| {
        let problem = proptest::collection::vec(candidate(), n);
        proptest::collection::vec(problem, 1..8).prop_map(|problems| {
            let mut all = Candidates::new(["rm"]).unwrap();
            problems
                .into_iter()
                .for_each(|problem| all.add_problem(problem).unwrap());
            all
        })
    })
}

/// The same candidates with other scores.
fn with_scores(all: &Candidates, score: impl Fn(&Candidate) -> f64) -> Candidates {
    let mut scored = Candidates::new(["rm"]).unwrap();
    for problem in all.problems() {
        let mut problem = problem.clone();
        problem
            .iter_mut()
            .for_each(|candidate| candidate.scores = vec![score(candidate)]);
        scored.add_problem(problem).unwrap();
    }
    scored
}

proptest! {
    #[test]
    fn pass_at_k_equals_counting_subsets(n in 1usize..12, c in 0usize..12, k in 1usize..12) {
        prop_assume!(c <= n && k <= n);
        let draws = (0u32..1 << n).filter(|set| set.count_ones() as usize == k);
        let (all, hits) = draws.fold((0, 0), |(all, hits), set| {
            (all + 1, hits + u32::from(set & ((1 << c) - 1) != 0))
        });
        let counted = f64::from(hits) / f64::from(all);
        prop_assert!((pass_at_k(n, c, k).unwrap() - counted).abs() < 1e-12);
    }

    #[test]
    fn pass_at_k_grows_with_k_and_with_correct_samples(n in 2usize..200, c in 0usize..200, k in 1usize..200) {
        prop_assume!(c < n && k < n);
        let here = pass_at_k(n, c, k).unwrap();
        prop_assert!((0.0..=1.0).contains(&here));
        prop_assert!(pass_at_k(n, c, k + 1).unwrap() >= here - 1e-12);
        prop_assert!(pass_at_k(n, c + 1, k).unwrap() >= here - 1e-12);
    }

    #[test]
    fn random_choice_is_pass_at_1_of_the_samples(all in candidates()) {
        let random = all.credits(&Method::Random).unwrap();
        for (credit, problem) in random.iter().zip(all.problems()) {
            let correct = problem.iter().filter(|candidate| candidate.correct).count();
            prop_assert!((credit - pass_at_k(problem.len(), correct, 1).unwrap()).abs() < 1e-12);
        }
    }

    #[test]
    fn no_method_beats_pass_at_n(all in candidates()) {
        let report = all.report().unwrap();
        let bound = report.accuracy(&Method::PassAtN).unwrap().mean;
        for row in &report.rows {
            prop_assert!(row.accuracy.mean <= bound + 1e-12, "{}", row.method);
        }
    }

    #[test]
    fn with_one_candidate_every_method_agrees(all in candidates()) {
        let one = all.first(1).unwrap();
        let expected = one.credits(&Method::PassAtN).unwrap();
        for method in [Method::Random, Method::best_of_n("rm")] {
            prop_assert_eq!(one.credits(&method).unwrap(), expected.clone());
        }
    }

    #[test]
    fn scaling_scores_by_a_positive_number_changes_no_choice(all in candidates(), factor in 0.1..10.0f64) {
        let scaled = with_scores(&all, |candidate| candidate.scores[0] * factor);
        let method = Method::best_of_n("rm");
        prop_assert_eq!(all.choices(&method).unwrap(), scaled.choices(&method).unwrap());
    }

    #[test]
    fn best_of_n_by_a_perfect_score_is_pass_at_n(all in candidates()) {
        let perfect = with_scores(&all, |candidate| f64::from(u8::from(candidate.correct)));
        let credits = |method| perfect.credits(&method).unwrap();
        prop_assert_eq!(credits(Method::best_of_n("rm")), credits(Method::PassAtN));
    }

    #[test]
    fn a_vote_of_equal_weights_is_self_consistency(all in candidates(), score in -3.0..3.0f64) {
        let equal = with_scores(&all, |_| score);
        let choices = |method| equal.choices(&method).unwrap();
        prop_assert_eq!(choices(Method::weighted_vote("rm")), choices(Method::SelfConsistency));
    }

    // Eighths and whole constants, so that sums are exact and ties stay ties.
    #[test]
    fn a_constant_added_to_all_rewards_changes_no_choice(all in candidates(), constant in -1000i32..1000) {
        let rounded = with_scores(&all, |candidate| (candidate.scores[0] * 8.0).round() / 8.0);
        let shifted = with_scores(&rounded, |candidate| candidate.scores[0] + f64::from(constant));
        for method in [Method::best_of_n("rm"), Method::weighted_vote("rm")] {
            prop_assert_eq!(rounded.choices(&method).unwrap(), shifted.choices(&method).unwrap());
        }
    }

    #[test]
    fn intervals_hold_the_estimate_and_lie_between_zero_and_one(outcomes in proptest::collection::vec(any::<bool>(), 1..60), confidence in 0.01..0.999f64) {
        let share = Proportion::from_bools(&outcomes).unwrap();
        let wilson = share.wilson(confidence).unwrap();
        prop_assert!(wilson.contains(share.mean), "{wilson:?}");
        let values: Vec<f64> = outcomes.iter().map(|&yes| f64::from(u8::from(yes))).collect();
        let bootstrap = Bootstrap { resamples: 200, ..Bootstrap::default() }.mean(&values).unwrap();
        prop_assert!(bootstrap.contains(share.mean), "{bootstrap:?}");
        for interval in [wilson, bootstrap] {
            prop_assert!(0.0 <= interval.low && interval.high <= 1.0, "{interval:?}");
        }
    }

    #[test]
    fn mcnemar_is_symmetric_and_a_chance(left in 0usize..500, right in 0usize..500) {
        let (one, other) = (McNemar::exact(left, right), McNemar::exact(right, left));
        prop_assert_eq!(one.p_value, other.p_value);
        prop_assert!(one.p_value > 0.0 && one.p_value <= 1.0);
    }

    #[test]
    fn swapping_runs_turns_the_difference(runs in proptest::collection::vec((any::<bool>(), any::<bool>(), 0u8..5), 1..40)) {
        let run = |pick: fn(&(bool, bool, u8)) -> bool| -> Vec<ItemResult> {
            runs.iter().enumerate().map(|(index, item)| ItemResult {
                id: index.to_string(),
                correct: pick(item),
                cluster: Some(item.2.to_string()),
            }).collect()
        };
        let (left, right) = (run(|item| item.0), run(|item| item.1));
        let (forward, backward) = (compare_runs(&left, &right).unwrap(), compare_runs(&right, &left).unwrap());
        prop_assert!((forward.difference.mean + backward.difference.mean).abs() < 1e-12);
        prop_assert_eq!(forward.only_left_correct, backward.only_right_correct);
        prop_assert_eq!(forward.left, backward.right);
    }

    #[test]
    fn swapping_chosen_and_rejected_mirrors_the_result(pairs in proptest::collection::vec((-5.0..5.0f64, -5.0..5.0f64), 1..50)) {
        let (chosen, rejected): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let forward = evaluate_rewards(&chosen, &rejected, None).unwrap();
        let backward = evaluate_rewards(&rejected, &chosen, None).unwrap();
        prop_assert!((forward.auc + backward.auc - 1.0).abs() < 1e-12);
        prop_assert!((forward.margin.mean + backward.margin.mean).abs() < 1e-12);
        prop_assert!(forward.accuracy.mean + backward.accuracy.mean <= 1.0 + 1e-12);
        prop_assert!((forward.mean_absolute_reward - backward.mean_absolute_reward).abs() < 1e-12);
    }

    #[test]
    fn a_proportion_survives_json(outcomes in proptest::collection::vec(any::<bool>(), 1..40)) {
        let proportion = Proportion::from_bools(&outcomes).unwrap();
        let text = serde_json::to_string(&proportion).unwrap();
        prop_assert_eq!(serde_json::from_str::<Proportion>(&text).unwrap(), proportion);
    }

    #[test]
    fn any_points_make_a_figure(points in proptest::collection::vec((any::<f64>(), any::<f64>()), 0..30), half_width in 0usize..4) {
        let figure = Figure::new("c", "x", "y").smooth(half_width).panel("p", vec![Series::new("s", points)]);
        let html = Report::new("t").figure(figure).to_html().unwrap();
        prop_assert!(!html.contains("NaN") && !html.contains("inf "));
    }

    #[test]
    fn any_table_can_be_shown(rows in proptest::collection::vec(proptest::collection::vec(".{0,12}", 0..4), 0..5)) {
        let table = Table { caption: "c".into(), headers: vec!["h".into()], rows, notes: vec![] };
        terminal::render(&table);
        Report::new("t").table(table).to_html().unwrap();
    }
}
