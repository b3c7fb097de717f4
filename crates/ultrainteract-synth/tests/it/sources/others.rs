//! WikiTableQuestions, ReClor, HotpotQA and StrategyQA.

use serde_json::json;
use ultrainteract::Task;
use ultrainteract_synth::Gold;
use ultrainteract_synth::sources::{ImportOptions, Origin, Source};

use super::{Files, imported, lines, try_import};

#[test]
fn wiki_table_questions_reads_escapes_and_the_table_beside_it() {
    let files = Files::new();
    let table = "\"Year\",\"Ti\\\"tle\"\n\"1990\",\"a|b\"\n\"1991\",\"two\nlines, and a comma\"\n";
    files.add("csv/204-csv/590.csv", table);
    let tsv = concat!(
        "id\tutterance\tcontext\ttargetValue\n",
        "nt-0\twhat \"year\" is\\nfirst?\tcsv/204-csv/590.csv\t1990\n",
        "nt-1\twhich years?\tcsv/204-csv/590.csv\t1990|1991\n",
        "nt-2\twhich title?\tcsv/204-csv/590.csv\ta\\pb\\\\c\n",
        "nt-3\twhich?\tcsv/204-csv/590.csv\tParis, France|Oslo\n",
        "nt-4\twhich?\tcsv/204-csv/591.csv\tOslo\n",
        "nt-5\twhich?\tcsv/../../../etc/passwd\tOslo\n",
        "nt-6\tcut off\n",
    );
    let path = files.add("data/training.tsv", tsv);
    let origin = Origin::Source(Source::WikiTableQuestions);
    let (problems, summary) = try_import(&origin, path, &ImportOptions::default()).unwrap();
    let ids: Vec<&str> = problems.iter().map(|problem| problem.id.as_str()).collect();
    let prefix = "wikitablequestions-nt-";
    assert_eq!(ids, [0, 1, 2].map(|n| format!("{prefix}{n}")));
    assert_eq!(problems[0].task, Task::Coding);
    assert_eq!(problems[0].dataset, "wiki_table_questions");
    assert_eq!(
        problems[0].instruction,
        "Table:\nYear | Ti\"tle\n1990 | a/b\n1991 | two lines, and a comma\n\nwhat \"year\" is\nfirst?"
    );
    assert_eq!(problems[1].gold, Gold::Answer("1990, 1991".into()));
    assert_eq!(problems[2].gold, Gold::Answer("a|b\\c".into()));
    let said = [
        "has a comma",
        "is not there",
        "leads out of the data set",
        "has 2 fields and the first line 4",
    ];
    assert_eq!(summary.left_out.len(), said.len());
    for ((left_out, said), line) in summary.left_out.iter().zip(said).zip(5..) {
        let text = left_out.to_string();
        assert!(text.starts_with(&format!("row {line} of ")), "{text}");
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn wiki_table_questions_of_the_hub_has_its_table_inside() {
    let row = json!({
        "id": "nt-7", "question": "who?", "answers": ["Ann", "Bo"],
        "table": {"header": ["n", "name"], "rows": [["1", "Ann"], ["2", "Bo"]], "name": "csv/1.csv"},
    });
    let bare = json!({"id": "nt-8", "question": "who?", "answers": ["Ann"], "table": {"header": ["n"], "rows": []}});
    let (problems, left_out) = imported(
        Source::WikiTableQuestions,
        "train.jsonl",
        &lines(&[row, bare]),
    );
    assert_eq!(
        problems[0].instruction,
        "Table:\nn | name\n1 | Ann\n2 | Bo\n\nwho?"
    );
    assert_eq!(problems[0].gold, Gold::Answer("Ann, Bo".into()));
    assert!(left_out[0].contains("no rows"), "{left_out:?}");
}

#[test]
fn re_clor_labels_are_numbers_or_strings_from_zero() {
    let row = |label: serde_json::Value, id: &str| {
        json!({
            "context": "All A are B.", "question": "What follows?", "answers": ["w", "x", "y", "z"],
            "label": label, "id_string": id,
        })
    };
    let mut test = row(json!(0), "test_0");
    test.as_object_mut().unwrap().remove("label");
    let rows = json!([
        row(json!(2), "train_0"),
        row(json!("0"), "train_1"),
        row(json!(4), "train_2"),
        test
    ]);
    let (problems, left_out) = imported(Source::ReClor, "train.json", &rows.to_string());
    let truths: Vec<_> = problems
        .iter()
        .map(|it| it.ground_truth().unwrap())
        .collect();
    assert_eq!(truths, ["(C) y", "(A) w"]);
    assert_eq!(problems[0].id, "reclor-train_0");
    assert_eq!(
        problems[0].instruction,
        "All A are B.\n\nWhat follows?\n(A) w\n(B) x\n(C) y\n(D) z"
    );
    assert!(
        left_out[0].contains("counts none of the answers"),
        "{left_out:?}"
    );
    assert!(left_out[1].contains("no `label`"), "{left_out:?}");
}

#[test]
fn hotpot_qa_has_no_context_and_two_names_for_its_id() {
    let rows = json!([
        {"_id": "5a7a", "question": "Which band?", "answer": "Blur", "type": "bridge", "level": "hard",
         "supporting_facts": [["Blur", 0]], "context": [["Blur", ["They are a band."]]]},
        {"id": "5a7b", "question": "Both?", "answer": "yes"},
        {"_id": "5a7c", "question": "Which?"},
    ]);
    let (problems, left_out) = imported(
        Source::HotpotQa,
        "hotpot_train_v1.1.json",
        &rows.to_string(),
    );
    assert_eq!(problems.len(), 2);
    assert_eq!(
        (&*problems[0].id, &*problems[0].instruction),
        ("hotpotqa-5a7a", "Which band?")
    );
    assert_eq!(problems[0].gold, Gold::Answer("Blur".into()));
    assert_eq!(problems[0].task, Task::Logic);
    assert!(left_out[0].contains("`answer` is missing"), "{left_out:?}");
}

#[test]
fn strategy_qa_says_yes_or_no() {
    let rows = json!([
        {"qid": "q1", "term": "Moon", "description": "...", "question": "Is it far?", "answer": true,
         "facts": ["f"], "decomposition": ["d"], "evidence": [[["no_evidence"]]]},
        {"qid": "q2", "question": "Is it near?", "answer": false},
        {"qid": "q3", "question": "Is it?"},
    ]);
    let (problems, left_out) = imported(
        Source::StrategyQa,
        "strategyqa_train.json",
        &rows.to_string(),
    );
    let truths: Vec<_> = problems
        .iter()
        .map(|it| it.ground_truth().unwrap())
        .collect();
    assert_eq!(truths, ["yes", "no"]);
    assert!(problems[0].solutions.is_empty());
    assert!(left_out[0].contains("no `answer`"), "{left_out:?}");
}
