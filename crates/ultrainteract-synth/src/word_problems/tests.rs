use std::collections::HashMap;

use ultrainteract::action_text;
use ultrainteract::decontaminate::words;

use super::*;

fn many() -> Vec<Problem> {
    generate(11, 3400, &Options::default()).unwrap()
}

#[test]
fn instructions_are_short_and_different_and_answers_are_small_positive_integers() {
    let problems = many();
    let instructions: HashSet<_> = problems.iter().map(|p| &p.instruction).collect();
    assert_eq!(instructions.len(), problems.len());
    for problem in &problems {
        assert!(words(&problem.instruction).len() < 40, "{problem:?}");
        let answer: i64 = problem.ground_truth.parse().unwrap();
        assert!((1..1000).contains(&answer), "{problem:?}");
    }
}

#[test]
fn the_vocabulary_is_small() {
    let problems = many();
    let vocabulary: HashSet<_> = problems
        .iter()
        .flat_map(|p| words(&p.instruction).into_iter().chain(words(&p.rationale)))
        .filter(|word| word.parse::<i64>().is_err())
        .collect();
    assert!(vocabulary.len() < 250, "{} words", vocabulary.len());
}

#[test]
fn half_of_the_problems_of_every_template_ask_for_a_program() {
    let problems = many();
    for pair in problems.chunks(2) {
        assert_eq!(pair[0].task, Task::MathPot);
        assert!(pair[0].instruction.starts_with(PROGRAM_HEAD));
        assert_eq!(action_text::python_blocks(&pair[0].rationale).len(), 1);
        assert_eq!(pair[1].task, Task::MathCot);
        assert!(pair[1].instruction.starts_with(REASONING_HEAD));
        assert!(action_text::python_blocks(&pair[1].rationale).is_empty());
    }
}

#[test]
fn the_boxed_answer_of_every_chain_of_thought_is_the_ground_truth() {
    for problem in many().iter().filter(|p| p.task == Task::MathCot) {
        let answer = action_text::final_answer(&problem.rationale).unwrap();
        assert_eq!(answer, problem.ground_truth);
        for statement in crate::arithmetic::statements(&problem.rationale) {
            assert!(statement.is_right(), "{problem:?}");
        }
    }
}

/// A window that only a few things vary in would be shared by a large part of its template.
#[test]
fn no_run_of_eight_words_is_common_among_the_problems_of_a_template() {
    let problems = generate(5, 34 * 600, &Options::default()).unwrap();
    let mut counts: HashMap<Vec<String>, usize> = HashMap::new();
    for problem in &problems {
        let words = words(&problem.instruction);
        for window in words.windows(8) {
            *counts.entry(window.to_vec()).or_default() += 1;
        }
    }
    let (window, count) = counts.iter().max_by_key(|(_, count)| **count).unwrap();
    // A template has 1200 of the problems; 36 of them are 3%.
    assert!(*count <= 36, "{count} x {window:?}");
}

#[test]
fn training_and_held_out_problems_share_no_run_of_eight_words() {
    for seed in 0..3 {
        let (train, held_out) = train_and_held_out(seed, 2000, 200, &Options::default()).unwrap();
        assert_eq!((train.len(), held_out.len()), (2000, 200));
        // From the other side than the generator looks.
        let index = Decontaminator::new(train.iter().map(|p| &p.instruction), 8).unwrap();
        for problem in &held_out {
            assert_eq!(index.find(&problem.instruction), None);
        }
        let ids: HashSet<_> = train.iter().chain(&held_out).map(|p| &p.id).collect();
        assert_eq!(ids.len(), 2200);
    }
}

#[test]
fn the_held_out_problems_do_not_depend_on_the_number_of_training_problems() {
    let options = Options::default();
    let (_, few) = train_and_held_out(3, 10, 50, &options).unwrap();
    let (_, many) = train_and_held_out(3, 500, 50, &options).unwrap();
    assert_eq!(few, many);
}

#[test]
fn another_seed_gives_other_problems() {
    let options = Options::default();
    let (a, b) = (generate(1, 50, &options), generate(2, 50, &options));
    assert_ne!(a.unwrap(), b.unwrap());
}

#[test]
fn more_problems_than_there_are_is_an_error() {
    let options = Options {
        largest_number: 20,
        largest_factor: 5,
        ..Options::default()
    };
    // Thirty thousand problems of every template are more than the narrowest one has.
    let error = generate(1, 34 * 30_000, &options).unwrap_err();
    assert!(matches!(error, Error::Exhausted { .. }), "{error}");
}

#[test]
fn options_out_of_range_are_named() {
    for (options, field) in [
        (
            Options {
                largest_number: 3,
                ..Options::default()
            },
            "largest_number",
        ),
        (
            Options {
                largest_factor: 31,
                ..Options::default()
            },
            "largest_factor",
        ),
        (
            Options {
                dataset: " ".into(),
                ..Options::default()
            },
            "dataset",
        ),
    ] {
        let error = generate(1, 1, &options).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    }
}
