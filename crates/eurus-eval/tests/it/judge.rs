//! Chat models as judges.

use std::sync::Mutex;

use chat_model::{ChatModel, ChatRequest, Completion, Error, FnModel};
use eurus_eval::graders::judge::{PairTurn, Preference, Rating, Turn, compare, prefer, rate};

/// A judge that answers with the same text, whatever it is asked.
fn always(verdict: &'static str) -> impl ChatModel {
    FnModel::new("always", move |request: &ChatRequest| {
        Ok(vec![Completion::stopped(verdict); request.samples])
    })
}

/// A judge that likes the answer that has the word "good".
fn honest() -> impl ChatModel {
    FnModel::new("honest", |request: &ChatRequest| {
        let asked = &request.messages[1].content;
        let verdict = match asked.find("good") < asked.find("poor") {
            true => "So [[A]]",
            false => "So [[B]]",
        };
        Ok(vec![Completion::stopped(verdict); request.samples])
    })
}

#[test]
fn an_honest_judge_prefers_the_same_answer_in_either_place() {
    let preferred = |first, second| prefer(&honest(), "Which?", first, second, 1).expect("asked");
    assert_eq!(preferred("a good one", "a poor one"), Preference::First);
    assert_eq!(preferred("a poor one", "a good one"), Preference::Second);
}

#[test]
fn a_judge_that_likes_a_place_prefers_nothing() {
    for verdict in ["[[A]]", "[[B]]", "[[C]]"] {
        let got = prefer(&always(verdict), "Which?", "a", "b", 1).expect("asked");
        assert_eq!(got, Preference::Tie, "{verdict}");
    }
}

#[test]
fn a_judgement_without_a_verdict_is_unjudged() {
    let judge = always("Both have merits.");
    let preference = prefer(&judge, "Which?", "a", "b", 1).expect("asked");
    assert!(matches!(preference, Preference::Unjudged { .. }));
    let turn = Turn {
        question: "Why?",
        answer: "So.",
        reference: None,
    };
    let rating = rate(&judge, &[turn], 1).expect("asked");
    assert_eq!(
        rating,
        Rating::Unjudged {
            reason: "no rating as [[5]] in the judgement: \"Both have merits.\"".into()
        }
    );
}

#[test]
fn the_judge_sees_every_turn_and_the_reference_and_is_seeded() {
    let seen = Mutex::new(Vec::new());
    let judge = FnModel::new("keeps", |request: &ChatRequest| {
        seen.lock().expect("one thread").push(request.clone());
        Ok(vec![Completion::stopped("[[6]] [[A]]"); request.samples])
    });
    let turns = [
        ("First question", "First answer", None),
        ("Second question", "Second answer", Some("The truth")),
    ];
    let turns = turns.map(|(question, answer, reference)| Turn {
        question,
        answer,
        reference,
    });
    assert_eq!(rate(&judge, &turns, 7).expect("asked"), Rating::Rated(6.0));
    let pair = PairTurn {
        question: "Question",
        first: "<one>",
        second: "<two>",
        reference: None,
    };
    compare(&judge, &[pair], 7).expect("asked");

    let seen = seen.lock().expect("one thread");
    let texts: Vec<&str> = seen
        .iter()
        .map(|request| request.messages[1].content.as_str())
        .collect();
    for part in [
        "First question",
        "First answer",
        "Second question",
        "Second answer",
        "The truth",
    ] {
        assert!(texts[0].contains(part), "{part} in {}", texts[0]);
    }
    assert!(texts[0].contains("Hold it against the reference answer"));
    assert!(!texts[1].contains("reference"), "{}", texts[1]);
    // Nothing is escaped, and the second request has the answers in the other order.
    assert!(texts[1].find("<one>") < texts[1].find("<two>"));
    assert!(texts[2].find("<two>") < texts[2].find("<one>"));
    for request in seen.iter() {
        assert_eq!(request.sampling.seed, 7);
        assert!(request.sampling.temperature.abs() < f32::EPSILON);
    }
}

#[test]
fn a_judge_that_fails_is_an_error_not_a_verdict() {
    let judge = FnModel::new("broken", |_: &ChatRequest| {
        Err(Error::Local {
            model: "broken".into(),
            message: "no memory".into(),
        })
    });
    let error = prefer(&judge, "Which?", "a", "b", 1).expect_err("it fails");
    assert!(error.to_string().starts_with("the judge: "), "{error}");
}
