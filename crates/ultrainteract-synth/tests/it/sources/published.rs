//! Published rows, where they are at hand.

use std::path::PathBuf;

use serde_json::{Value, json};
use test_support::{folders, skip};
use ultrainteract::Task;
use ultrainteract::formats::parse_json;
use ultrainteract_synth::Gold;
use ultrainteract_synth::sources::{ImportOptions, Mode, Origin, Source};

use super::{Files, lines, try_import};

fn data(name: &str) -> Option<PathBuf> {
    let file = folders::data()?.join("eval").join(name);
    if !file.is_file() {
        skip(format_args!("no published rows {}", file.display()));
        return None;
    }
    Some(file)
}

fn first_record(path: PathBuf) -> Value {
    let record = ultrainteract::input::read(vec![path], parse_json::<Value>).next();
    record.unwrap().unwrap().value
}

#[test]
fn every_row_of_gsm8k_is_a_problem() {
    let Some(path) = data("gsm8k/test.jsonl.gz") else {
        return;
    };
    let origin = Origin::Source(Source::Gsm8k);
    let (problems, summary) = try_import(&origin, path, &ImportOptions::default()).unwrap();
    assert_eq!((summary.rows, summary.left_out.len()), (1319, 0));
    assert_eq!(summary.by_task["Math_PoT"], 1319);
    for problem in &problems {
        let truth = problem.ground_truth().unwrap();
        assert!(truth.parse::<f64>().is_ok(), "{truth}");
        assert!(!problem.solutions[0].contains("<<"), "{problem:?}");
    }
}

#[test]
fn the_boxed_answers_of_math_hold_the_published_ones() {
    let Some(path) = data("math/math500_cleaned.json.gz") else {
        return;
    };
    // This copy has a column of each field.
    let columns = first_record(path);
    let column = |name: &str| columns[name].as_object().unwrap();
    let rows: Vec<Value> = column("problem")
        .iter()
        .map(|(key, problem)| json!({"problem": problem, "solution": column("solution")[key]}))
        .collect();
    let files = Files::new();
    let options = ImportOptions {
        mode: Some(Mode::Cot),
        ..ImportOptions::default()
    };
    let path = files.add("math.jsonl", lines(&rows));
    let (problems, summary) = try_import(&Origin::Source(Source::Math), path, &options).unwrap();
    assert_eq!(summary.left_out, []);
    // The published answers lack spaces, units and typesetting, and are what is left of the box without them.
    let signs = |text: &str| text.replace(|c: char| !c.is_alphanumeric(), "");
    for ((key, _), problem) in column("problem").iter().zip(&problems) {
        let published = column("expected_answer")[key].as_str().unwrap();
        let truth = problem.ground_truth().unwrap();
        assert!(
            signs(&truth).contains(&signs(published)),
            "{truth}, {published}"
        );
    }
}

#[test]
fn human_eval_and_mbpp_are_tables_with_columns() {
    let Some(path) = data("humaneval/HumanEval.jsonl.gz") else {
        return;
    };
    let options = ImportOptions {
        task: Some(Task::Coding),
        ..ImportOptions::default()
    };
    let columns = "id=task_id,instruction=prompt,asserts=test,entry_point=entry_point,solutions=canonical_solution";
    let origin = Origin::Columns(columns.parse().unwrap());
    let (problems, summary) = try_import(&origin, path, &options).unwrap();
    assert_eq!(
        (problems.len(), summary.by_judgement["asserts"]),
        (164, 164)
    );

    let Some(path) = data("mbpp/new_mbpp.json.gz") else {
        return;
    };
    // It does not say which function is tested, and that is not guessed.
    let origin = Origin::Columns(
        "id=task_id,instruction=instruction,asserts=test_list"
            .parse()
            .unwrap(),
    );
    let error = try_import(&origin, path.clone(), &options)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`asserts` has no `entry_point`"), "{error}");
    let rows: Vec<Value> = ultrainteract::input::read(vec![path], parse_json::<Value>)
        .map(|record| {
            let mut row = record.unwrap().value;
            let code = row["code"].as_str().unwrap();
            let name = code
                .rsplit("def ")
                .next()
                .unwrap()
                .split('(')
                .next()
                .unwrap();
            row["entry_point"] = json!(name.trim());
            row
        })
        .collect();
    let files = Files::new();
    let path = files.add("mbpp.jsonl", lines(&rows));
    let columns = "id=task_id,instruction=instruction,asserts=test_list,entry_point=entry_point,solutions=code";
    let origin = Origin::Columns(columns.parse().unwrap());
    let (problems, summary) = try_import(&origin, path, &options).unwrap();
    // A last function that is a helper is not the one that is tested.
    for left_out in &summary.left_out {
        assert!(left_out.reason.contains("never calls"), "{left_out}");
    }
    assert_eq!(problems.len() + summary.left_out.len(), rows.len());
    assert!(problems.len() * 10 > rows.len() * 9, "{summary}");
    assert!(matches!(&problems[0].gold, Gold::Asserts { code, .. } if code.lines().count() == 3));
}
