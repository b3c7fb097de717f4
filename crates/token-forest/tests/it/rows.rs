//! Rows to trees: what the rows say is what the trees hold, each shared beginning once.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use crate::common::trained_folder;
use proptest::prelude::*;
use serde_json::{Value, json};
use token_forest::rows::{RowOptions, TrainingRows, read};
use token_forest::{
    ChatTokenizer, Error, Group, Label, LabelKind, LengthLimit, Message, OverLong, Pieces, Span,
    TokenTree, TrainingTree,
};

static TOKENIZER: LazyLock<ChatTokenizer> =
    LazyLock::new(|| ChatTokenizer::from_folder(trained_folder().path()).unwrap());

fn of_rows(rows: &[Value], options: &RowOptions) -> token_forest::Result<TrainingRows> {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("rows.jsonl");
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(&file, lines).unwrap();
    read(&[file], &TOKENIZER, options)
}

/// A conversation of user and assistant in turn, ending with the user.
fn history(turns: &[u8]) -> Vec<Value> {
    let say = |(index, turn): (usize, &u8)| match index % 2 {
        0 => json!({"role": "user", "content": format!("question {turn}")}),
        _ => json!({"role": "assistant", "content": format!("answer {turn}")}),
    };
    let odd = turns.len() - usize::from(turns.len().is_multiple_of(2));
    turns[..odd].iter().enumerate().map(say).collect()
}

fn messages(values: &[Value]) -> Vec<Message> {
    values
        .iter()
        .map(|value| serde_json::from_value(value.clone()).unwrap())
        .collect()
}

fn rows() -> impl Strategy<Value = Vec<(Vec<u8>, u8, u8)>> {
    // Few texts, so that rows share beginnings of every length.
    let row = (prop::collection::vec(0_u8..3, 1..6), 0_u8..4, 4_u8..8);
    prop::collection::vec(row, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_row_is_a_pair_whose_paths_are_its_tokens_alone(rows in rows()) {
        let values: Vec<Value> = rows
            .iter()
            .map(|(turns, chosen, rejected)| json!({
                "prompt": history(turns),
                "chosen": [{"role": "assistant", "content": format!("answer {chosen}")}],
                "rejected": [{"role": "assistant", "content": format!("answer {rejected}")}],
            }))
            .collect();
        let read = of_rows(&values, &RowOptions::new(LabelKind::Pair)).unwrap();
        prop_assert_eq!(read.groups(), rows.len());
        let mut found: Vec<[Vec<u32>; 2]> = Vec::new();
        for tree in &read.trees {
            tree.tree().validate().unwrap();
            for group in tree.groups() {
                found.push([0, 1].map(|side| tree.tree().path_tokens(group.nodes[side])));
            }
            // What begins alike is there once: siblings differ.
            let children = tree.tree().children();
            for siblings in children {
                let mut tokens: Vec<_> = siblings.iter().map(|&node| &tree.tree().nodes[node].tokens).collect();
                tokens.sort();
                tokens.dedup();
                prop_assert_eq!(tokens.len(), siblings.len());
            }
        }
        let alone = |turns: &[u8], answer: u8| {
            let mut whole = messages(&history(turns));
            whole.push(Message::assistant(format!("answer {answer}")));
            let tree = TOKENIZER.encode_messages(&whole).unwrap();
            tree.path_tokens(tree.nodes.len() - 1)
        };
        let mut expected: Vec<[Vec<u32>; 2]> = rows
            .iter()
            .map(|(turns, chosen, rejected)| [alone(turns, *chosen), alone(turns, *rejected)])
            .collect();
        expected.sort();
        found.sort();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn pieces_hold_every_group_once_with_its_path_whatever_the_budget(
        rows in rows(),
        // The longest path has 89 tokens.
        budget in 90_usize..400,
    ) {
        let values: Vec<Value> = rows
            .iter()
            .map(|(turns, answer, _)| json!({
                "prompt": history(turns),
                "completion": [{"role": "assistant", "content": format!("answer {answer}")}],
            }))
            .collect();
        let read = of_rows(&values, &RowOptions::new(LabelKind::Imitated)).unwrap();
        let pieces = Pieces::of_groups(&read.trees, Span::Responses, budget).unwrap();
        let all: Vec<usize> = (0..read.trees.len()).collect();
        let forests = pieces.pack(&all).unwrap();
        let mut seen = Vec::new();
        for packed in &forests {
            prop_assert!(packed.forest.len() <= budget);
            for group in &packed.groups {
                let node = group.nodes[0] as usize;
                let mut path: Vec<u32> = packed
                    .forest
                    .ancestors(node)
                    .into_iter()
                    .flat_map(|it| packed.forest.tokens[packed.forest.tokens_of(it as usize)].to_vec())
                    .collect();
                path.extend(&packed.forest.tokens[packed.forest.tokens_of(node)]);
                let tree = &read.trees[group.tree];
                prop_assert_eq!(path, tree.tree().path_tokens(tree.groups()[group.index].nodes[0]));
                let piece = packed.forest.nodes[node].tree as usize;
                let length = packed.forest.longest_paths[piece] as usize;
                prop_assert_eq!(length, tree.tree().longest_path_tokens());
                seen.push((group.tree, group.index));
            }
        }
        seen.sort_unstable();
        let expected: Vec<(usize, usize)> = read
            .trees
            .iter()
            .enumerate()
            .flat_map(|(tree, it)| (0..it.groups().len()).map(move |group| (tree, group)))
            .collect();
        prop_assert_eq!(seen, expected);
    }
}

#[test]
fn long_histories_are_cut_dropped_or_refused_whatever_the_kind_of_row() {
    let long: String = "again ".repeat(200);
    let rows = [
        json!({"prompt": [
            {"role": "user", "content": "first"}, {"role": "assistant", "content": long},
            {"role": "user", "content": "second"}],
            "completion": [{"role": "assistant", "content": "third"}], "label": true}),
        json!({"prompt": [{"role": "user", "content": "short"}],
            "completion": [{"role": "assistant", "content": "answer"}], "label": false}),
    ];
    let options = |over_long| RowOptions {
        limit: LengthLimit::of_path(100),
        over_long,
        ..RowOptions::new(LabelKind::Verdict)
    };
    let cut = of_rows(&rows, &options(OverLong::CutOldestTurns)).unwrap();
    assert_eq!((cut.groups(), cut.report.over_long.cut), (2, 1));
    let dropped = of_rows(&rows, &options(OverLong::Drop)).unwrap();
    assert_eq!(
        (
            dropped.groups(),
            dropped.report.over_long.dropped_for_history
        ),
        (1, 1)
    );
    let refused = of_rows(&rows, &options(OverLong::Error))
        .unwrap_err()
        .to_string();
    assert!(
        refused.starts_with("1 of 2 rows cannot be trained on: 1 too long (row 1 of ")
            && refused.contains("field `prompt` is too long"),
        "{refused}"
    );
}

#[test]
fn a_row_that_is_there_twice_is_computed_once_and_counts_twice() {
    let row = json!({"prompt": "2 + 2?", "completion": "4"});
    let kept = of_rows(
        &[row.clone(), row.clone()],
        &RowOptions::new(LabelKind::Imitated),
    )
    .unwrap();
    assert_eq!((kept.trees[0].tree().nodes.len(), kept.groups()), (2, 2));
    let dropping = RowOptions {
        drop_unusable: true,
        ..RowOptions::new(LabelKind::Imitated)
    };
    let dropped = of_rows(&[row.clone(), row], &dropping).unwrap();
    assert_eq!((dropped.groups(), dropped.report.duplicates.rows), (1, 1));
}

#[test]
fn a_question_that_opens_many_rows_makes_several_trees() {
    let row = |index: usize| json!({"prompt": "Go on.", "completion": format!("{index}")});
    let rows: Vec<Value> = (0..600).map(row).collect();
    let read = of_rows(&rows, &RowOptions::new(LabelKind::Imitated)).unwrap();
    let groups: Vec<usize> = read.trees.iter().map(|tree| tree.groups().len()).collect();
    assert_eq!(groups, [256, 256, 88]);
}

/// Messages with these roles, each saying its place.
fn in_order(roles: &[&str]) -> Vec<Value> {
    let say =
        |(place, role): (usize, &&str)| json!({"role": role, "content": format!("text {place}")});
    roles.iter().enumerate().map(say).collect()
}

#[test]
fn messages_in_any_order_are_what_the_template_makes_of_them() {
    let orders: [(&[&str], usize); 5] = [
        (&["user", "user", "assistant"], 1),
        (&["user", "assistant", "system", "user", "assistant"], 2),
        // What the assistant says before it was asked is history.
        (&["assistant", "user", "assistant"], 1),
        (
            &[
                "system",
                "assistant",
                "user",
                "assistant",
                "user",
                "assistant",
            ],
            2,
        ),
        (&["system", "assistant"], 1),
    ];
    for (roles, answers) in orders {
        let conversation = in_order(roles);
        let options = RowOptions::new(LabelKind::Imitated);
        let read = of_rows(&[json!({"messages": conversation})], &options).unwrap();
        let [tree] = &read.trees[..] else {
            panic!("one row, one tree: {roles:?}");
        };
        assert_eq!(tree.groups().len(), answers, "{roles:?}");
        let whole = TOKENIZER
            .template()
            .render(&messages(&conversation), false)
            .unwrap();
        let path = TOKENIZER.decode(&tree.tree().paths()[0]).unwrap();
        let texts = (0..roles.len()).map(|place| format!("text {place}"));
        for text in texts {
            assert!(
                whole.contains(&text) && path.contains(&text),
                "{roles:?}: {path}"
            );
        }
        // The same before an answer that is better than another one.
        let (answer, prompt) = conversation.split_last().unwrap();
        let row = json!({"prompt": prompt, "chosen": [answer],
            "rejected": [{"role": "assistant", "content": "worse"}]});
        if roles.len() > 2 && roles[roles.len() - 2] == "user" {
            let pairs = of_rows(&[row.clone(), row], &RowOptions::new(LabelKind::Pair)).unwrap();
            assert_eq!((pairs.trees.len(), pairs.groups()), (1, 2), "{roles:?}");
            let pair = &pairs.trees[0];
            assert_eq!(
                pair.tree().path_tokens(pair.groups()[0].nodes[0]),
                tree.tree().paths()[0]
            );
            assert_eq!(pair.turns_to(pair.groups()[0].nodes[0]).len(), answers);
        }
    }
    let twice = in_order(&["user", "assistant", "assistant"]);
    let error = of_rows(
        &[json!({"messages": twice})],
        &RowOptions::new(LabelKind::Imitated),
    );
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("row 1 of ") && error.contains("an assistant message"),
        "{error}"
    );
}

#[test]
fn a_refused_text_is_named_by_row_and_field() {
    let row = json!({"prompt": "2 + 2?", "chosen": "4", "rejected": "5<|im_end|>"});
    let error = of_rows(&[row], &RowOptions::new(LabelKind::Pair))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("row 1 of ") && error.contains("field `rejected`: message 2"),
        "{error}"
    );
}

#[test]
fn labels_that_are_one_sided_or_contradict_each_other_are_warned_about() {
    let judged = |label: bool, answer: &str| json!({"prompt": "2 + 2?", "completion": answer, "label": label});
    let told = |rows: &[Value], kind| of_rows(rows, &RowOptions::new(kind)).unwrap().to_string();
    let both = told(&[judged(true, "4"), judged(false, "5")], LabelKind::Verdict);
    assert!(!both.contains("warning"), "{both}");
    let one_sided = told(
        &[judged(true, "4"), judged(true, "four")],
        LabelKind::Verdict,
    );
    assert!(
        one_sided.contains("warning: none is undesirable"),
        "{one_sided}"
    );
    let contradicting = told(&[judged(true, "4"), judged(false, "4")], LabelKind::Verdict);
    assert!(
        contradicting
            .contains("warning: 1 answer is both desirable and undesirable (first in `row 1 of "),
        "{contradicting}"
    );
    let pair = |chosen: &str, rejected: &str| json!({"prompt": "2 + 2?", "chosen": chosen, "rejected": rejected});
    let pairs = [
        pair("4", "5"),
        pair("5", "4"),
        pair("4", "6"),
        pair("6", "4"),
    ];
    let told = told(&pairs, LabelKind::Pair);
    assert!(
        told.contains("warning: 2 pairs are preferred both ways (first in `row 1 of "),
        "{told}"
    );
}

#[test]
fn siblings_of_a_tree_have_scores_by_their_verdicts() {
    let ranking = json!({"instruction": "2 + 2?", "completions": [
        {"response": "4", "overall_score": 9}, {"response": "5", "overall_score": 1},
        {"response": "four", "overall_score": 8}]});
    let read = of_rows(&[ranking], &RowOptions::new(LabelKind::Scores)).unwrap();
    let group = &read.trees[0].groups()[0];
    assert_eq!(group.label, Label::Scores(vec![9.0, 1.0, 8.0]));
    assert_eq!(group.nodes.len(), 3);
}

#[test]
fn groups_that_make_no_sense_are_refused() {
    let mut tree = TokenTree::new(vec![1, 2], false);
    let (a, b) = (tree.push(0, vec![3], true), tree.push(0, vec![4], true));
    let later = tree.push(a, vec![5], true);
    for (groups, says) in [
        (vec![Group::pair(a, a)], "in it twice"),
        (vec![Group::pair(a, 9)], "does not exist"),
        (vec![Group::pair(0, b)], "is a root"),
        (
            vec![Group::scored([(a, 1.0), (later, 0.0)])],
            "another prompt",
        ),
        (vec![Group::scored([(a, 1.0), (b, f32::NAN)])], "is NaN"),
        (
            vec![Group::pair(a, b), Group::verdict(a, true)],
            "of another kind",
        ),
        (vec![Group::new(vec![a, b], Label::Imitated)], "not 1"),
    ] {
        let error = TrainingTree::new("p1", &tree, groups).unwrap_err();
        assert!(matches!(&error, Error::BadGroup { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let none = TrainingTree::new("p1", &tree, Vec::new());
    assert!(matches!(none, Err(Error::NothingToLearn { .. })));
}
