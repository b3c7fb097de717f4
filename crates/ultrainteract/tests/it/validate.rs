//! The validator: it finds everything, and agrees with what reads and builds.

use crate::support;
use crate::support::{example_of, format_and_examples, tree};
use proptest::prelude::*;
use serde_json::{Value, json};
use ultrainteract::PreferenceTree;
use ultrainteract::formats::{Format, TreeRecord};
use ultrainteract::validate::{self, Limits};

fn messages(format: Format, record: &[u8]) -> Vec<String> {
    let checked = validate::record(format, record, &Limits::default());
    assert_eq!(checked.example.is_none(), !checked.violations.is_empty());
    checked.violations.iter().map(ToString::to_string).collect()
}

#[test]
fn every_violation_of_a_tree_is_reported_with_its_place() {
    let action = |text: &str, verdict: &str| json!({"action": {"text": text, "verdict": verdict, "actor": "m", "schema": "chain_of_thought", "source": "sampled"}});
    let seen = |feedback: &str| json!({"observation": {"execution": null, "feedback": feedback, "critique": null}});
    let node = |parent: Value, content: Value| json!({"parent": parent, "content": content});
    let record = json!({
        "format": "ultrainteract-tree", "version": 1, "id": " ", "task": "Logic", "dataset": "d",
        "max_turns": 9, "extra": 1,
        "nodes": [
            node(json!(null), json!({"instruction": ""})),                // 0 empty
            node(json!(0), action("right", "correct")),                   // 1
            node(json!(1), seen("done")),                                 // 2 after a correct action
            node(json!(0), action("right", "incorrect")),                 // 3 same text as 1
            node(json!(3), action("x", "unjudged")),                      // 4 action after action
            node(json!(77), action("y", "unjudged")),                     // 5 unknown parent
            node(json!(null), seen("z")),                                 // 6 orphan
            node(json!(8), seen("a")),                                    // 7 a circle with 8
            node(json!(7), action("b", "incorrect")),                     // 8
            node(json!(0), json!({"instruction": "again"})),              // 9 second instruction
            node(json!(0), action("", "incorrect")),                      // 10 empty
            node(json!(12), seen("early")),                               // 11 before its parent
            node(json!(0), action("later", "incorrect")),                 // 12
            json!({"parent": 0, "content": {"action": {"text": 5}}}),     // 13 wrong type
            node(json!(12), seen("second")),                              // 14 second observation
        ],
        "pairs": [
            {"chosen": 1, "rejected": 12}, {"chosen": 3, "rejected": 1}, {"chosen": 1, "rejected": 99},
            {"chosen": 1, "rejected": 1}, {"chosen": 1, "rejected": 2}, {"chosen": "one", "rejected": 2},
        ],
    });
    let found = messages(Format::Tree, record.to_string().as_bytes());
    let expected = [
        "field `extra`: unknown field",
        "field `nodes[13].content.action.text`: invalid type: integer `5`",
        "field `pairs[5].chosen`: invalid type: string \"one\"",
        "field `id`: the tree id is empty",
        "`max_turns` is 9; it must be from 1 to 5",
        "field `nodes[0]`: the instruction is empty",
        "field `nodes[2]`: in tree ` `, node 1 is a correct action",
        "field `nodes[3]`: in tree ` `, action 1 under node 0 has the same text",
        "field `nodes[4]`: in tree ` `, an action cannot follow node 3",
        "field `nodes[5]`: tree ` ` has no node 77",
        "field `nodes[6]`: has no parent",
        "field `nodes[7]`: in tree ` `, the parents of node 7 lead in a circle",
        "field `nodes[8]`: in tree ` `, the parents of node 8 lead in a circle",
        "field `nodes[9]`: is an instruction",
        "field `nodes[10]`: the action is empty",
        "field `nodes[11]`: in tree ` `, node 11 comes before its parent 12",
        "field `nodes[14]`: in tree ` `, action 12 already has observation 11",
        "field `pairs[1]`: in tree ` `, chosen 3 and rejected 1 are no pair: the chosen",
        "field `pairs[1]`: in tree ` `, chosen 3 and rejected 1 are no pair: the rejected",
        "field `pairs[2]`: tree ` ` has no node 99",
        "field `pairs[3]`: in tree ` `, chosen 1 and rejected 1 are no pair: they are the same",
        "field `pairs[3]`: in tree ` `, chosen 1 and rejected 1 are no pair: the rejected",
        "field `pairs[4]`: in tree ` `, chosen 1 and rejected 2 are no pair: both must be",
    ];
    for said in expected {
        assert!(
            found.iter().any(|message| message.starts_with(said)),
            "{said} is missing in {found:#?}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn too_many_turns_are_told_by_tree_and_by_row() {
    let mut deep = PreferenceTree::new("t", ultrainteract::Task::Logic, "d", "q")
        .unwrap()
        .with_max_turns(7)
        .unwrap();
    let mut prompt = deep.root();
    for turn in 0..7 {
        let wrong = deep
            .add_action(
                prompt,
                support::action(&format!("no {turn}"), ultrainteract::Verdict::Incorrect),
            )
            .unwrap();
        prompt = deep
            .add_observation(
                wrong,
                ultrainteract::Observation::parse("Your answer is wrong."),
            )
            .unwrap();
    }
    let record = TreeRecord::from(&deep);
    let found = record.violations(&Limits::default());
    assert_eq!(
        found.len(),
        3,
        "the limit itself and two turns beyond it: {found:?}"
    );
    assert!(record.violations(&Limits { max_turns: 7 }).is_empty());

    let row = json!({"task": "Logic", "chosen": "a", "rejected": "b", "trajectory": (0..11).map(|n| {
        json!({"from": if n % 2 == 0 { "user" } else { "assistant" }, "value": n.to_string()})
    }).collect::<Vec<_>>()});
    let found = messages(Format::Pair, row.to_string().as_bytes());
    assert!(
        found.len() == 1 && found[0].contains("turn 6 exceeds the limit of 5"),
        "{found:?}"
    );
}

#[test]
fn every_violation_of_a_chat_is_reported_with_its_place() {
    let row = json!({"prompt": [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": " "}],
        "chosen": [], "rejected": [{"role": "user", "content": "x"}]});
    let found = messages(Format::TrlPreferenceChat, row.to_string().as_bytes());
    let expected = [
        "field `prompt[1].content` is empty",
        "field `prompt` ends with `assistant` where `user`",
        "field `chosen` is empty",
        "field `rejected[0].role` is `user` where `assistant` must speak",
        "field `rejected` ends with `user` where `assistant`",
    ];
    for said in expected {
        assert!(
            found.iter().any(|message| message.starts_with(said)),
            "{said} is missing in {found:#?}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

/// A change of one value somewhere in a record.
fn changed(mut value: Value, path: &[usize], new: &Value) -> Value {
    fn change(value: &mut Value, path: &[usize], new: &Value) {
        let Some((step, rest)) = path.split_first() else {
            *value = new.clone();
            return;
        };
        match value {
            Value::Array(items) if !items.is_empty() => {
                let index = step % items.len();
                change(&mut items[index], rest, new);
            }
            Value::Object(fields) if !fields.is_empty() => {
                let index = step % fields.len();
                if let Some(value) = fields.values_mut().nth(index) {
                    change(value, rest, new);
                }
            }
            other => *other = new.clone(),
        }
    }
    change(&mut value, path, new);
    value
}

proptest! {
    #[test]
    fn what_is_written_is_valid((format, examples) in format_and_examples()) {
        for example in examples {
            let mut line = Vec::new();
            format.encode(&example, &mut line).unwrap();
            prop_assert_eq!(messages(format, &line), Vec::<String>::new());
        }
    }

    #[test]
    fn the_validator_and_the_reader_agree_on_what_is_valid(
        (format, example) in prop::sample::select(Format::ALL.to_vec()).prop_flat_map(|format| (Just(format), example_of(format))),
        path in prop::collection::vec(0usize..7, 0..6),
        new in prop::sample::select(vec![json!(null), json!(""), json!(0), json!(3), json!([]), json!({}), json!("correct"), json!("user"), json!(true)]),
    ) {
        let mut line = Vec::new();
        format.encode(&example, &mut line).unwrap();
        let value: Value = serde_json::from_slice(&line).unwrap();
        let record = changed(value, &path, &new).to_string();
        let checked = validate::record(format, record.as_bytes(), &Limits::default());
        prop_assert_eq!(format.parse(record.as_bytes()).ok(), checked.example);
    }

    #[test]
    fn a_tree_with_any_parents_is_valid_if_and_only_if_it_can_be_built(
        tree in tree(), changes in prop::collection::vec((0usize..40, 0usize..40), 0..3)
    ) {
        let mut record: Value = serde_json::to_value(TreeRecord::from(&tree)).unwrap();
        let nodes = record["nodes"].as_array_mut().unwrap();
        for (node, parent) in changes {
            let index = node % nodes.len();
            nodes[index]["parent"] = json!(parent % (nodes.len() + 1));
        }
        let record: TreeRecord = serde_json::from_value(record).unwrap();
        let valid = record.violations(&Limits::default()).is_empty();
        prop_assert_eq!(PreferenceTree::try_from(record).is_ok(), valid);
    }
}

#[test]
fn what_only_several_records_do_wrong_is_found_in_files() {
    use ultrainteract::validate::Report;
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, format: Format, lines: &[String]| {
        let path = folder.path().join(name);
        std::fs::write(&path, lines.join("\n")).unwrap();
        let mut found = Vec::new();
        let report = validate::files(
            vec![path],
            format,
            Limits::default(),
            &Default::default(),
            |error| found.push(error.to_string()),
        );
        (report.unwrap(), found)
    };
    let row = |chosen: &str, rejected: &str| {
        json!({"id": "p_1_1", "parent_id": "p", "task": "Logic", "dataset": "d",
            "trajectory": [{"from": "user", "value": "q"}], "chosen": chosen, "rejected": rejected})
        .to_string()
    };
    let lines = [
        row("a", "b"),
        row("b", "a"),
        row("c", ""),
        row("a", "b"),
        row("a", "x"),
    ];
    let (report, found) = check("pairs.jsonl", Format::Pair, &lines);
    assert_eq!(
        report,
        Report {
            records: 5,
            invalid: 1,
            violations: 3,
            warnings: 0,
        }
    );
    let expected = [
        "row 3 of {}: field `rejected` is empty",
        "row 2 of {}: row `p_1_1` contradicts an earlier row",
        "row 4 of {}: has the same record as row 1 of {}; drop one",
    ];
    let name = folder.path().join("pairs.jsonl").display().to_string();
    for (message, said) in found.iter().zip(expected) {
        assert!(message.starts_with(&said.replace("{}", &name)), "{message}");
    }

    let tree = |id: &str| {
        let tree = PreferenceTree::new(id, ultrainteract::Task::Logic, "d", "q").unwrap();
        serde_json::to_string(&tree).unwrap()
    };
    let (report, found) = check(
        "trees.jsonl",
        Format::Tree,
        &[tree("a"), tree("b"), tree("a")],
    );
    assert_eq!(
        report,
        Report {
            records: 3,
            invalid: 0,
            violations: 1,
            warnings: 0,
        }
    );
    assert!(
        found[0].contains("has the same id as row 1 of"),
        "{found:?}"
    );
    assert!(check("good.jsonl", Format::Tree, &[tree("a")]).0.is_valid());
}
