//! Settings and problems that cannot be right, and models that fail.

use chat_model::Error as ModelError;
use ultrainteract_synth::{Error, Fallback, SynthConfig, Team};

use super::{config, try_build};
use crate::support::{Actor, fill, problem, problems};

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
