//! What holds for rows of every source, whatever is in them.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use ultrainteract_synth::Error;
use ultrainteract_synth::sources::{ImportOptions, Origin, SOURCES};

use super::{Files, lines, try_import};

/// Fields of all sources.
const FIELDS: [&str; 30] = [
    "question",
    "answer",
    "problem",
    "solution",
    "Problem",
    "Rationale",
    "options",
    "correct",
    "type",
    "Option1",
    "Option2",
    "choices",
    "table",
    "grade",
    "unit",
    "description",
    "public_tests",
    "solutions",
    "time_limit",
    "input_output",
    "starter_code",
    "utterance",
    "context",
    "targetValue",
    "answers",
    "label",
    "qid",
    "_id",
    "instruction",
    "response",
];

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("#### 7".to_owned()),
        Just("\\boxed{\\frac{1}{2}}".to_owned()),
        Just("a ) 1 , b ) é , c ) none".to_owned()),
        Just("Type_3".to_owned()),
        Just("Option 2".to_owned()),
        Just(r#"{"inputs": ["1"], "outputs": ["2"]}"#.to_owned()),
        Just(r#"{"fn_name": "f", "inputs": [[1]], "outputs": [2]}"#.to_owned()),
        "[ab)(,|\\\\{}<>#é0-9 ]{0,16}",
    ];
    let leaf = prop_oneof![
        text.prop_map(Value::String),
        (0..5_i32).prop_map(|number| json!(number)),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec(
                (
                    proptest::sample::select(vec![
                        "input", "output", "header", "rows", "language", "solution"
                    ]),
                    inner
                ),
                0..4
            )
            .prop_map(|fields| fields
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_row_is_a_problem_or_left_out(rows in vec(vec(value(), FIELDS.len()), 1..4)) {
        let rows: Vec<Value> = rows
            .into_iter()
            .map(|values| {
                let fields = FIELDS.iter().map(|name| (*name).to_owned());
                Value::Object(fields.zip(values).collect::<Map<_, _>>())
            })
            .collect();
        let files = Files::new();
        let path = files.add("rows.jsonl", lines(&rows));
        for info in SOURCES {
            let options = ImportOptions { unjudged: true, ..ImportOptions::default() };
            match try_import(&Origin::Source(info.source), path.clone(), &options) {
                Ok((problems, summary)) => {
                    let ways = info.tasks.len();
                    prop_assert_eq!(summary.rows, rows.len());
                    prop_assert_eq!(problems.len(), ways * (summary.rows - summary.left_out.len()));
                    for problem in problems {
                        let text = serde_json::to_string(&problem).unwrap();
                        prop_assert_eq!(serde_json::from_str::<ultrainteract_synth::Problem>(&text).unwrap(), problem);
                    }
                }
                Err(error) => prop_assert!(matches!(error, Error::NoProblems { .. }), "{}", error),
            }
        }
    }
}
