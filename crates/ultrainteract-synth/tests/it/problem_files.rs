//! Problems of a user's own, good and bad.

use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;
use ultrainteract::Task;
use ultrainteract_synth::{Error, Gold, IoTest, Problem, read_problems, read_problems_skipping};

fn file(content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("problems.jsonl");
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

const GOOD: &str = r#"{"id": "a", "task": "Math_CoT", "instruction": "6 * 7?", "answer": 42}"#;

#[test]
fn lines_arrays_and_compressed_files_give_the_same_problems() {
    let other = r#"{"id": "b", "task": "logic", "instruction": "Which?", "choices": ["x", "y"], "answer": "b"}"#;
    let (folder, lines) = file(format!("\u{feff}{GOOD}\n\n{other}\n"));
    let array = folder.path().join("problems.json");
    std::fs::write(&array, format!("[{GOOD},\n{other}]")).unwrap();
    let problems = read_problems(&[lines]).unwrap();
    assert_eq!(read_problems(&[array]).unwrap(), problems);
    let packed = folder.path().join("packed.jsonl.gz");
    ultrainteract::formats::write_jsonl(&packed, &problems).unwrap();
    assert_eq!(read_problems(&[packed]).unwrap(), problems);
    assert_eq!(problems[0].gold, Gold::Answer("42".into()));
    assert_eq!(problems[1].ground_truth().unwrap(), "(B) y");
    assert_eq!(problems[1].task, Task::Logic);
}

#[test]
fn all_bad_lines_are_named_at_once_with_file_line_and_remedy() {
    let mut content = Vec::new();
    for line in [
        GOOD,
        r#"{"id": "a", "task": "Math_CoT", "instruction": "6 * 8?", "answer": 48}"#,
        r#"{"id": "c", "task": "Math_CoT", "instruction": "6 * 9?"}"#,
        r#"{"id": "d", "task": "Maths_PoT", "instruction": " ", "answer": "1"}"#,
        r#"{"id": "e", "task": "Logic", "instruction": "Which?", "choices": ["x", "y"], "answer": "z"}"#,
        r#"{"id": "f", "task": "Coding", "instruction": "Do.", "answer": "1", "tests": [{"input": "1", "output": "2"}]}"#,
        r#"{"id": "g", "task": "Coding", "instruction": "Do.", "asserts": "assert f(1)"}"#,
        r#"{"id": "h", "task": "Coding", "instruction": "Do.", "anwser": "1"}"#,
        r#"{"id": "i", "task": "Coding", "#,
        r#"["id", "j"]"#,
    ] {
        content.extend_from_slice(line.as_bytes());
        content.push(b'\n');
    }
    content.extend_from_slice(
        b"{\"id\": \"k\", \"task\": \"Logic\", \"instruction\": \"\xff\", \"answer\": \"1\"}\n",
    );
    let (_folder, path) = file(&content);
    let error = read_problems(std::slice::from_ref(&path))
        .unwrap_err()
        .to_string();
    let place = |line: usize| format!("\n  row {line} of {}: ", path.display());
    for (line, said) in [
        (2, "`id` is `a`, which row 1 of"),
        (3, "nothing says what is right; give `answer`"),
        (4, "did you mean `Math_PoT`?"),
        (5, "`answer` is `z`, which is none of `choices`"),
        (
            6,
            "has `answer` and `tests`; keep the one that is to decide",
        ),
        (7, "`asserts` has no `entry_point`"),
        (8, "unknown key `anwser`; did you mean `answer`?"),
        (9, "not JSON"),
        (10, "invalid type"),
        (11, "UTF-8"),
    ] {
        let (_, rest) = error.split_once(&place(line)).expect(&error);
        let message = rest.split("\n  row").next().unwrap();
        assert!(message.contains(said), "{line}: {message}");
    }
    assert!(
        error.starts_with("10 records are no problems; repair"),
        "{error}"
    );

    let read = read_problems_skipping(&[path]).unwrap();
    assert_eq!(read.problems.len(), 1);
    assert_eq!(read.bad.len(), 10);
    // What is written out can be repaired and read again.
    assert!(
        read.bad[7].text.ends_with(r#""task": "Coding", "#),
        "{:?}",
        read.bad[7]
    );
    assert!(read.bad[1].text.contains("6 * 9?"));
    let written = serde_json::to_value(&read.bad[0]).unwrap();
    assert!(
        written["location"]
            .as_str()
            .unwrap()
            .starts_with("row 2 of ")
    );
}

#[test]
fn an_id_of_another_file_is_a_duplicate_too() {
    let (_folder, first) = file(GOOD);
    let (_other, second) = file(GOOD);
    let error = read_problems(&[first.clone(), second])
        .unwrap_err()
        .to_string();
    let said = format!("which row 1 of {} has already", first.display());
    assert!(error.contains(&said), "{error}");
}

#[test]
fn a_file_without_problems_is_refused_however_it_is_read() {
    for content in ["", "\n\n", "[]"] {
        let (_folder, path) = file(content);
        for read in [
            read_problems(std::slice::from_ref(&path)).err(),
            read_problems_skipping(std::slice::from_ref(&path)).err(),
        ] {
            let error = read.unwrap();
            assert!(matches!(error, Error::NoProblems { .. }), "{error}");
            assert!(
                error
                    .to_string()
                    .contains("problems.jsonl: there is no problem"),
                "{error}"
            );
        }
    }
    let (_folder, path) = file("{}\n");
    assert!(matches!(
        read_problems_skipping(&[path]),
        Err(Error::BadProblems { .. })
    ));
    assert!(read_problems(&[]).is_err());
}

#[test]
fn what_is_no_problem_file_is_refused_by_name() {
    let (folder, path) = file(GOOD);
    let absent = folder.path().join("absent.jsonl");
    let error = read_problems(std::slice::from_ref(&absent))
        .unwrap_err()
        .to_string();
    assert!(error.contains("absent.jsonl"), "{error}");
    let table = folder.path().join("problems.csv");
    std::fs::copy(path, &table).unwrap();
    let error = read_problems(&[table]).unwrap_err().to_string();
    assert!(
        error.contains("convert it first, naming columns"),
        "{error}"
    );
}

fn gold() -> impl Strategy<Value = Gold> {
    let text = "[^\\s\u{feff}].{0,20}";
    let choices = proptest::collection::btree_set("[a-zA-Z0-9(]{1,3}", 2..6);
    let tests = (text, text).prop_map(|(input, output)| IoTest {
        input,
        output,
        time_limit_ms: Some(10),
        memory_limit_bytes: None,
    });
    prop_oneof![
        text.prop_map(Gold::Answer),
        (choices, any::<proptest::sample::Index>()).prop_map(|(choices, index)| Gold::Choice {
            answer: index.index(choices.len()),
            choices: choices.into_iter().collect(),
        }),
        proptest::collection::vec(tests, 1..4).prop_map(Gold::Tests),
        Just(Gold::Asserts {
            code: "def check(candidate):\n    assert candidate(1) == 2".into(),
            entry_point: "Solution().f".into(),
        }),
        Just(Gold::Unjudged),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn problems_are_read_back_as_they_were_written(
        golds in proptest::collection::vec(gold(), 1..5),
        instruction in "[^\\s].{0,30}",
        task in proptest::sample::select(Task::ALL.to_vec()),
        is_solved in any::<bool>(),
    ) {
        let problems: Vec<Problem> = golds.into_iter().enumerate().map(|(index, gold)| Problem {
            id: format!("p{index}"),
            task,
            instruction: instruction.clone(),
            gold,
            solutions: match is_solved {
                true => vec!["```python\nprint(1)\n```".to_owned(), "```python\nprint(2)\n```".to_owned()],
                false => Vec::new(),
            },
            dataset: String::new(),
        }).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.jsonl");
        ultrainteract::formats::write_jsonl(&path, &problems).unwrap();
        prop_assert_eq!(read_problems(&[path]).unwrap(), problems);
    }

    #[test]
    fn no_text_makes_the_reader_panic(content in proptest::collection::vec(any::<u8>(), 0..200), object in ".{0,100}") {
        let (_folder, path) = file(&content);
        let _ = read_problems_skipping(&[path]);
        let (_folder, path) = file(format!("{{\"id\": {object}, \"tests\": [{object}], \"choices\": [{object}]}}"));
        let _ = read_problems(&[path]);
    }
}
