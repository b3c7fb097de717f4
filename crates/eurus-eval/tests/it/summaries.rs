//! What verdicts come to: accuracies and ratings, and what they are divided by.

use std::collections::BTreeMap;

use chat_model::{ChatRequest, Finish, Message};
use eurus_eval::graders::ifeval::Followed;
use eurus_eval::graders::{Grade, Rules, Verdict};
use eurus_eval::runs::{
    DataStamp, ItemVerdict, ModelStamp, RunRecord, SettingSummary, Summary, TaskStamp, markdown,
    page,
};
use eurus_eval::tasks::Item;
use serde_json::Map;

fn item(id: &str, groups: &[(&str, &str)]) -> Item {
    let groups = groups.iter();
    Item {
        id: id.to_owned(),
        request: ChatRequest::new([Message::user("?")]),
        later_turns: Vec::new(),
        gold: serde_json::Value::Null,
        row: Map::new(),
        groups: groups
            .map(|(field, group)| ((*field).to_owned(), (*group).to_owned()))
            .collect(),
        cluster: None,
    }
}

fn verdict(id: &str, grade: Grade) -> ItemVerdict {
    ItemVerdict {
        id: id.to_owned(),
        sample: 0,
        grade,
        rating: None,
        turn_ratings: Vec::new(),
        finish: Some(Finish::Stop),
        protection: None,
    }
}

fn followed(id: &str, strict: &[bool], loose: &[bool]) -> ItemVerdict {
    let all = loose.iter().all(|it| *it);
    let grade = Grade {
        followed: Some(Followed {
            strict: strict.to_vec(),
            loose: loose.to_vec(),
        }),
        ..Grade::new(all, None, "all instructions")
    };
    verdict(id, grade)
}

fn rated(id: &str, turns: &[f64]) -> ItemVerdict {
    ItemVerdict {
        rating: Some(turns.iter().sum::<f64>() / turns.len() as f64),
        turn_ratings: turns.to_vec(),
        ..verdict(id, Grade::unjudged("rated"))
    }
}

/// The texts that are made of a summary with this one setting.
fn texts(setting: SettingSummary) -> [String; 2] {
    let summary = Summary {
        run: RunRecord {
            eurus: "0".into(),
            task: TaskStamp {
                name: "task".into(),
                version: 1,
                sha256: String::new(),
                file: None,
            },
            data: DataStamp {
                sha256: String::new(),
                items: 2,
                published: None,
            },
            model: ModelStamp {
                name: "model".into(),
                identity: serde_json::Value::Null,
                template_sha256: None,
            },
            samples: 1,
            seed: 0,
            limit: None,
            settings: Vec::new(),
        },
        rules: Rules::Authors,
        notes: Vec::new(),
        reported: setting.name.clone(),
        settings: vec![setting],
    };
    [
        markdown(&summary),
        page(&summary, &[]).to_html().expect("a page"),
    ]
}

#[test]
fn prompts_and_instructions_are_counted_strictly_and_loosely() {
    let items = [item("a", &[]), item("b", &[])];
    let verdicts = [
        followed("a", &[true, false, true], &[true, true, true]),
        followed("b", &[false], &[false]),
    ];
    let setting = SettingSummary::of("answers", &items, &verdicts).expect("shares");
    let counted = &setting.groups["what is counted"];
    let means: BTreeMap<&str, (f64, usize)> = counted
        .iter()
        .map(|(name, it)| (name.as_str(), (it.mean, it.n)))
        .collect();
    let wanted = [
        ("instructions, loose", (0.75, 4)),
        ("instructions, strict", (0.5, 4)),
        ("prompts, loose", (0.5, 2)),
        ("prompts, strict", (0.0, 2)),
    ];
    assert_eq!(means, BTreeMap::from(wanted));
    assert_eq!(setting.accuracy, Some(counted["prompts, loose"]));
    // Instructions of one prompt are not independent.
    let plain = eurus_eval::metrics::Proportion::from_values(&[1.0, 1.0, 1.0, 0.0]);
    let error = |it: eurus_eval::metrics::Proportion| it.standard_error.expect("several");
    assert!(error(counted["instructions, loose"]) > error(plain.expect("shares")));
    for text in texts(setting) {
        assert!(text.contains("Accuracy by what is counted"), "{text}");
        assert!(text.contains("instructions, strict"), "{text}");
    }
}

#[test]
fn ratings_are_divided_by_category_and_by_turn() {
    let items = [
        item("a", &[("category", "writing")]),
        item("b", &[("category", "math")]),
        item("c", &[("category", "math")]),
    ];
    let verdicts = [
        rated("a", &[9.0, 7.0]),
        rated("b", &[4.0, 2.0]),
        verdict("c", Grade::unjudged("the judge said nothing")),
    ];
    let setting = SettingSummary::of("answers", &items, &verdicts).expect("numbers");
    let mean = |field: &str, group: &str| {
        let estimate = setting.rating_groups[field][group];
        (estimate.mean, estimate.n)
    };
    assert_eq!(mean("category", "writing"), (8.0, 1));
    assert_eq!(mean("category", "math"), (3.0, 1));
    assert_eq!(mean("turn", "1"), (6.5, 2));
    assert_eq!(mean("turn", "2"), (4.5, 2));
    assert_eq!(setting.ratings.map(|it| (it.mean, it.n)), Some((5.5, 2)));
    assert!(setting.groups.is_empty() && setting.items_unjudged == 1);
    for text in texts(setting) {
        assert!(text.contains("Rating by category"), "{text}");
        assert!(text.contains("Rating by turn"), "{text}");
    }
}

#[test]
fn a_verdict_of_an_earlier_version_is_still_read() {
    let line = r#"{"id": "a", "sample": 0, "verdict": "incorrect", "reason": "timed out", "why": "r", "finish": "stop"}"#;
    let read: ItemVerdict = serde_json::from_str(line).expect("a verdict");
    assert!(matches!(read.grade.verdict, Verdict::Incorrect { .. }));
    assert!(read.turn_ratings.is_empty() && read.grade.followed.is_none());
}
