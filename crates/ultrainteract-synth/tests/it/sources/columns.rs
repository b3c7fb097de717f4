//! Tables of a user's own.

use std::path::PathBuf;

use ultrainteract::Task;
use ultrainteract_synth::sources::{ImportOptions, Mode, Origin, Source, Summary, import_to};
use ultrainteract_synth::{Gold, Problem, Result, read_problems};

use super::{Files, try_import};

fn of_table(
    columns: &str,
    name: &str,
    content: &[u8],
    options: &ImportOptions,
) -> Result<(Vec<Problem>, Summary)> {
    let files = Files::new();
    let origin = Origin::Columns(columns.parse()?);
    try_import(&origin, files.add(name, content), options)
}

fn logic() -> ImportOptions {
    ImportOptions {
        task: Some(Task::Logic),
        ..ImportOptions::default()
    }
}

#[test]
fn csv_rows_become_problems_and_bad_ones_are_named_by_line() {
    let csv = "\u{feff}question,final,why\n\
               \"What is 6 * 7,\nsaid \"\"slowly\"\"?\",42,Multiply.\n\
               What is 1 + 1?,,\n\
               cut off,1\n\
               What is 2 + 2?,4,\n";
    let columns = "instruction=question, answer=final, solutions=why";
    let options = ImportOptions {
        task: Some(Task::MathCot),
        dataset: Some("mine".into()),
        ..ImportOptions::default()
    };
    let (problems, summary) = of_table(columns, "q.csv", csv.as_bytes(), &options).unwrap();
    assert_eq!(problems.len(), 2);
    assert_eq!(problems[0].instruction, "What is 6 * 7,\nsaid \"slowly\"?");
    assert_eq!(problems[0].solutions, ["Multiply."]);
    assert!(problems[1].solutions.is_empty());
    assert_eq!(problems[0].dataset, "mine");
    assert!(problems[0].id.starts_with("mine-"));
    let left_out: Vec<String> = summary.left_out.iter().map(ToString::to_string).collect();
    assert!(
        left_out[0].starts_with("row 4 of ") && left_out[0].contains("nothing says what is right")
    );
    assert!(
        left_out[1].starts_with("row 5 of ")
            && left_out[1].contains("2 fields and the first line 3")
    );
    assert_eq!(
        summary.to_string(),
        "4 rows, 2 left out; 2 problems (2 Math_CoT; judged by: 2 answer), 1 with a solution"
    );
}

#[test]
fn choices_may_be_several_columns_or_a_list_in_a_cell() {
    let csv = b"q;A;B;C;right\nWhich?;red;green;;B\nWhich now?;1;2;3;3\n";
    let columns = "instruction=q,choices=A+B+C,answer=right";
    let (problems, _) = of_table(columns, "q.csv", csv, &logic()).unwrap();
    let truths: Vec<_> = problems
        .iter()
        .map(|it| it.ground_truth().unwrap())
        .collect();
    assert_eq!(truths, ["(B) green", "(C) 3"]);
    let tsv = b"q\topts\tright\nWhich?\t[\"red\", \"green\"]\tgreen\n";
    let columns = "instruction=q,choices=opts,answer=right";
    let (problems, _) = of_table(columns, "q.tsv", tsv, &logic()).unwrap();
    assert_eq!(problems[0].ground_truth().unwrap(), "(B) green");
}

#[test]
fn json_lines_keep_their_types_and_one_task_may_be_asked_both_ways() {
    let rows = br#"{"q": "1 + 1?", "a": 2, "kind": "Math_CoT", "n": 7}
{"q": "1 + 2?", "a": true, "kind": "Math_CoT", "n": 8}
{"q": "1 + 3?", "kind": "Math_CoT", "n": 9}
"#;
    let columns = "id=n,task=kind,instruction=q,answer=a";
    let options = ImportOptions {
        mode: Some(Mode::Both),
        ..ImportOptions::default()
    };
    let (problems, summary) = of_table(columns, "q.jsonl", rows, &options).unwrap();
    let ids: Vec<&str> = problems.iter().map(|problem| problem.id.as_str()).collect();
    assert_eq!(ids, ["7-cot", "7-pot"]);
    assert_eq!(problems[1].task, Task::MathPot);
    assert!(summary.left_out[0].reason.contains("`answer` is a boolean"));
    assert!(
        summary.left_out[1]
            .reason
            .contains("no column `a`; there are")
    );
}

#[test]
fn columns_are_refused_with_what_is_wrong_and_what_there_is() {
    for (columns, said) in [
        ("answer=a", "write instruction=COLUMN"),
        ("instruction", "has no `=`"),
        ("instruction=", "names no column"),
        ("instruction=a,instruction=b", "named twice"),
        ("instruction=a+b", "`instruction` is one value"),
        ("instruction=a,colour=b", "no key `colour`; known are id"),
    ] {
        let error = of_table(columns, "q.csv", b"a\n1\n", &logic())
            .unwrap_err()
            .to_string();
        assert!(error.contains(said), "{columns}: {error}");
    }
    let columns = "instruction=qestion,answer=a";
    let table = b"question,a\nx,1\n";
    let error = of_table(columns, "q.csv", table, &logic())
        .unwrap_err()
        .to_string();
    assert!(error.contains("did you mean `question`?"), "{error}");
    let columns = "instruction=question,answer=a";
    let error = of_table(columns, "q.csv", table, &ImportOptions::default()).unwrap_err();
    assert!(
        error.to_string().contains("nothing says what task"),
        "{error}"
    );
    let error = of_table(columns, "q.csv", b"question,question\nx,1\n", &logic()).unwrap_err();
    assert!(
        error.to_string().contains("two columns are called"),
        "{error}"
    );
    let error = of_table(columns, "q.csv", b"", &logic())
        .unwrap_err()
        .to_string();
    assert!(error.contains("it has no rows"), "{error}");
    let bytes = b"question,a\n\xff,1\nx,1\n";
    let (_, summary) = of_table(columns, "q.csv", bytes, &logic()).unwrap();
    assert!(
        summary.left_out[0]
            .to_string()
            .contains("field 1 is no UTF-8")
    );
}

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let files = Files::new();
    let rows = files.add(
        "t.jsonl",
        "{\"question\": \"1 + 1?\", \"answer\": \"#### 2\"}\n",
    );
    let out = files.add("out/problems.jsonl", "what was there");
    let import = |path: PathBuf| {
        let origin = Origin::Source(Source::Gsm8k);
        import_to(&origin, &[path], &ImportOptions::default(), &out)
    };
    let bad = files.add("bad.jsonl", "{\"question\": \"1 + 1?\"}\n");
    let error = import(bad).unwrap_err().to_string();
    assert!(
        error.contains("all 1 rows are left out, the first because: row 1 of"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "what was there");
    assert_eq!(import(rows).unwrap().problems, 2);
    assert!(
        matches!(&read_problems(std::slice::from_ref(&out)).unwrap()[0].gold, Gold::Answer(two) if two == "2")
    );
    assert_eq!(std::fs::read_dir(out.parent().unwrap()).unwrap().count(), 1);
}
