use std::collections::HashMap;

use ultrainteract::decontaminate::words;

use super::*;

fn round() -> usize {
    Kinds::Usual.round_length()
}

fn many() -> Vec<WordProblem> {
    generate(11, round() * 120, &Options::default()).unwrap()
}

fn instruction(word: &WordProblem) -> &str {
    &word.problem.instruction
}

fn truth(word: &WordProblem) -> &str {
    match &word.problem.gold {
        Gold::Answer(answer) => answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn instructions_are_short_and_different() {
    let problems = many();
    let instructions: HashSet<_> = problems.iter().map(instruction).collect();
    assert_eq!(instructions.len(), problems.len());
    for word in &problems {
        assert!(words(instruction(word)).len() < 40, "{word:?}");
    }
}

#[test]
fn answers_are_small_positive_integers_where_a_number_of_the_steps_is_asked_for() {
    for word in many().iter().filter(|word| word.program_is_right) {
        let answer: i64 = truth(word).parse().unwrap();
        assert!((1..1000).contains(&answer), "{word:?}");
    }
}

#[test]
fn the_vocabulary_is_small() {
    let problems = many();
    let vocabulary: HashSet<_> = problems
        .iter()
        .flat_map(|word| [instruction(word), &word.program, &word.reasoning])
        .flat_map(words)
        .filter(|word| word.parse::<i64>().is_err())
        .collect();
    assert!(vocabulary.len() < 250, "{} words", vocabulary.len());
}

#[test]
fn no_instruction_says_how_to_solve_it_and_the_first_word_of_a_solution_does() {
    for word in &many() {
        assert!(!instruction(word).contains("program"), "{word:?}");
        assert_eq!(
            ultrainteract::action_text::python_blocks(&word.program).len(),
            1
        );
        assert!(word.program.starts_with("```python"), "{word:?}");
        assert!(ultrainteract::action_text::python_blocks(&word.reasoning).is_empty());
        assert!(word.reasoning.starts_with("Step 1: "), "{word:?}");
    }
}

#[test]
fn a_rationale_is_a_program_for_about_half_of_the_problems_that_one_is_right_for() {
    let (mut programs, mut right) = (0_usize, 0_usize);
    for word in &many() {
        right += usize::from(word.program_is_right);
        if word.problem.task == Task::MathPot {
            assert!(word.program_is_right, "{word:?}");
            assert_eq!(word.problem.solutions, [word.program.as_str()]);
            programs += 1;
        } else {
            assert_eq!(word.problem.solutions, [word.reasoning.as_str()]);
        }
    }
    assert!(
        (2 * programs).abs_diff(right) < right / 20,
        "{programs} of {right}"
    );
}

#[test]
fn the_boxed_answer_of_all_sentences_is_the_ground_truth() {
    for word in &many() {
        let answer = answer_equality::extract(&word.reasoning).unwrap();
        assert_eq!(answer, truth(word));
        for statement in crate::arithmetic::statements(&word.reasoning) {
            assert!(statement.is_right(), "{word:?}");
        }
    }
}

#[test]
fn programs_are_right_for_some_templates_never_for_one_and_by_the_question_for_others() {
    let mut by_template: HashMap<&str, HashSet<bool>> = HashMap::new();
    for word in &many() {
        let seen = by_template.entry(word.template).or_default();
        seen.insert(word.program_is_right);
    }
    let of = |right: &[bool]| {
        let right: HashSet<bool> = right.iter().copied().collect();
        by_template.values().filter(|seen| **seen == right).count()
    };
    assert_eq!((of(&[true]), of(&[false]), of(&[true, false])), (16, 1, 6));
}

/// A window that only a few things vary in would be shared by a large part of its template.
#[test]
fn no_run_of_eight_words_is_common_among_the_problems_of_a_template() {
    let problems = generate(5, round() * 500, &Options::default()).unwrap();
    let mut of_template: HashMap<&str, usize> = HashMap::new();
    let mut counts: HashMap<(&str, Vec<String>), usize> = HashMap::new();
    for problem in &problems {
        *of_template.entry(problem.template).or_default() += 1;
        for window in words(instruction(problem)).windows(8) {
            let key = (problem.template, window.to_vec());
            *counts.entry(key).or_default() += 1;
        }
    }
    for ((template, window), count) in &counts {
        let all = of_template[template];
        assert!(100 * count <= 3 * all, "{count} of {all} x {window:?}");
    }
}

#[test]
fn training_and_held_out_problems_share_no_run_of_eight_words() {
    for seed in 0..3 {
        let (train, held_out) = train_and_held_out(seed, 2000, 200, &Options::default()).unwrap();
        assert_eq!((train.len(), held_out.len()), (2000, 200));
        // From the other side than the generator looks.
        let index = Decontaminator::new(train.iter().map(instruction), 8).unwrap();
        for problem in &held_out {
            assert_eq!(index.find(instruction(problem)), None);
        }
        let all = train.iter().chain(&held_out);
        let ids: HashSet<_> = all.map(|word| &word.problem.id).collect();
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
fn problems_of_other_kinds_have_right_answers_and_no_words_in_a_row_with_the_usual_ones() {
    let options = Options {
        kinds: Kinds::CalendarAndOrder,
        ..Options::default()
    };
    let others = generate(3, 300, &options).unwrap();
    let index = Decontaminator::new(others.iter().map(instruction), 8).unwrap();
    for word in &many() {
        assert_eq!(index.find(instruction(word)), None);
    }
    for word in &others {
        let answer = answer_equality::extract(&word.reasoning).unwrap();
        assert_eq!(answer, truth(word));
        for statement in crate::arithmetic::statements(&word.reasoning) {
            assert!(statement.is_right(), "{word:?}");
        }
        if word.program_is_right {
            let answer: i64 = answer.parse().unwrap();
            assert!(answer > 0, "{word:?}");
        }
    }
    let answers: HashSet<_> = others.iter().map(truth).collect();
    assert!(answers.len() > 60, "{}", answers.len());
}

#[test]
fn of_every_story_a_number_or_a_word_is_asked() {
    let options = Options {
        kinds: Kinds::Stories,
        ..Options::default()
    };
    let mut by_template: HashMap<&str, [usize; 2]> = HashMap::new();
    for word in generate(2, 360, &options).unwrap() {
        by_template.entry(word.template).or_default()[usize::from(word.program_is_right)] += 1;
    }
    assert_eq!(by_template.len(), 6);
    assert!(
        by_template
            .values()
            .all(|[words, numbers]| words > numbers && *numbers > 10)
    );
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
    let error = generate(1, round() * 30_000, &options).unwrap_err();
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
