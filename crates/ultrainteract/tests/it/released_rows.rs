//! Rows in the released formats: own ones beside this test, and the published examples if at hand.

use std::path::PathBuf;

use test_support::folders;
use ultrainteract::action_text::{dedent, python_blocks};
use ultrainteract::formats::{self, PairRow, RowId, SftRow};
use ultrainteract::rebuild::read_trees_from_pairs;
use ultrainteract::{PreferenceTree, Schema, Verdict, derive};

fn own_file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/pairs.jsonl")
}

fn own_trees() -> Vec<PreferenceTree> {
    read_trees_from_pairs(own_file()).unwrap()
}

#[test]
fn rows_are_written_byte_by_byte_as_they_were_read() {
    let rows: Vec<PairRow> = formats::read_jsonl(own_file())
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("pairs.jsonl");
    formats::write_jsonl(&copy, &rows).unwrap();
    assert_eq!(
        std::fs::read_to_string(copy).unwrap(),
        std::fs::read_to_string(own_file()).unwrap()
    );
}

#[test]
fn shared_histories_become_one_tree_and_the_rows_come_back() {
    let trees = own_trees();
    // Instruction; two right ones and an expanded wrong one; an expanded unjudged one; a last pair.
    let sizes: Vec<_> = trees
        .iter()
        .map(|tree| (tree.len(), tree.turns()))
        .collect();
    assert_eq!(sizes, [(9, 3), (3, 1)]);
    let rows: Vec<PairRow> = formats::read_jsonl(own_file())
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let back: Vec<PairRow> = trees.iter().flat_map(derive::pair_rows).collect();
    assert_eq!(back, rows);
}

#[test]
fn verdicts_and_schemas_follow_from_the_rows() {
    let tree = &own_trees()[0];
    let verdict_of = |needle: &str| {
        let (_, node) = tree
            .nodes()
            .find(|(_, node)| {
                node.action()
                    .is_some_and(|action| action.text.contains(needle))
            })
            .unwrap();
        node.action().unwrap().verdict
    };
    assert_eq!(verdict_of("12 * 7)"), Verdict::Correct);
    assert_eq!(verdict_of("12 + 7)"), Verdict::Incorrect);
    assert_eq!(verdict_of("12 * 7.5)"), Verdict::Unjudged);
    let schemas = |tree: &PreferenceTree, schema| {
        tree.nodes()
            .filter_map(|(_, node)| node.action())
            .all(|action| action.schema == schema)
    };
    assert!(schemas(tree, Schema::ModularProgramming));
    assert!(schemas(&own_trees()[1], Schema::ChainOfThought));
    let observation = tree
        .nodes()
        .find_map(|(_, node)| node.observation())
        .unwrap();
    assert_eq!(observation.execution.as_deref(), Some("19"));
    assert_eq!(observation.feedback, "Your answer is wrong.");
}

#[test]
fn sft_rows_are_the_correct_actions_without_history() {
    let tree = &own_trees()[0];
    let rows = derive::sft_rows(tree);
    assert_eq!(rows.len(), 3);
    let hash = derive::instruction_hash(tree.instruction());
    let ids: Vec<_> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            format!("{hash}_3_1"),
            format!("{hash}_3_1"),
            format!("{hash}_3_3")
        ]
    );
    for row in &rows {
        row.validate().unwrap();
        assert_eq!(row.parent_id, tree.id());
        assert_eq!(row.instruction, tree.instruction());
        assert!(row.response.contains("12 * 7"));
    }
}

#[test]
fn a_row_in_conflict_starts_a_second_tree_and_is_reported() {
    use ultrainteract::rebuild::{Rebuilder, SplitReason};
    let rows: Vec<PairRow> = formats::read_jsonl(own_file())
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let swapped = PairRow {
        chosen: rows[0].rejected.clone(),
        rejected: rows[0].chosen.clone(),
        ..rows[0].clone()
    };
    let mut other_observation = rows[2].clone();
    other_observation.trajectory[2].content = "Something else came back.".to_string();
    let mut expanded = rows[2].clone();
    expanded.trajectory[1].content = rows[0].chosen.clone();

    let mut rebuilder = Rebuilder::new();
    for row in rows[..3]
        .iter()
        .chain([&swapped, &other_observation, &expanded])
    {
        rebuilder.push(row).unwrap();
    }
    let splits: Vec<_> = rebuilder
        .splits()
        .iter()
        .map(|split| (split.row, split.reason))
        .collect();
    assert_eq!(
        splits,
        [
            (4, SplitReason::ChosenIsRejected),
            (5, SplitReason::OtherObservation)
        ],
        "the last row joins a tree that was split off before"
    );
    assert_eq!(rebuilder.finish().len(), 3);
}

/// The published examples, or a loud skip.
fn published_rows() -> Option<Vec<serde_json::Value>> {
    let path = folders::data()?.join("ultrainteract/readme_rows.json");
    let text = std::fs::read_to_string(&path).expect("the published rows can be read");
    Some(serde_json::from_str(&text).expect("the published rows are JSON"))
}

#[test]
fn published_example_rows_are_read_and_come_back() {
    let Some(rows) = published_rows() else { return };
    for row in rows {
        if row.get("trajectory").is_some() {
            let pair: PairRow = serde_json::from_value(row.clone()).unwrap();
            pair.validate().unwrap();
            assert_eq!(serde_json::to_value(&pair).unwrap(), row);
            let id = RowId::parse(&pair.id).unwrap();
            assert_eq!((id.depth, id.turn), (5, pair.turn()));
            let trees = ultrainteract::rebuild::trees_from_pairs([&pair]).unwrap();
            assert_eq!(derive::pair_rows(&trees[0]), [pair]);
            let executed = trees[0]
                .nodes()
                .filter_map(|(_, node)| node.observation())
                .filter(|observation| {
                    observation.execution.is_some() && observation.critique.is_some()
                });
            assert_eq!(executed.count(), 2);
        } else {
            let sft: SftRow = serde_json::from_value(row.clone()).unwrap();
            sft.validate().unwrap();
            assert_eq!(serde_json::to_value(&sft).unwrap(), row);
            match python_blocks(&sft.response)[..] {
                [code] => assert!(dedent(code).starts_with("# Step 5: Define a tool")),
                _ => assert_eq!(
                    answer_equality::extract(&sft.response).as_deref(),
                    Some("3OH!3")
                ),
            }
        }
    }
}
