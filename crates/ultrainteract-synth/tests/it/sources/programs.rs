//! CodeContests, TACO and Magicoder.

use code_interpreter::{Limits, Status};
use serde_json::{Value, json};
use ultrainteract::Task;
use ultrainteract::action_text::python_blocks;
use ultrainteract_synth::sources::{ImportOptions, Origin, Source, import_to};
use ultrainteract_synth::{Gold, IoTest};

use super::{Files, imported, lines, try_import, with_options};
use crate::support;

fn contest(name: &str, description: &str) -> Value {
    json!({
        "name": name, "description": description,
        "public_tests": {"input": ["1\n"], "output": ["2\n"]},
        "private_tests": {"input": [], "output": []},
        "generated_tests": {"input": ["3\n"], "output": ["4\n"]},
        "solutions": {
            "language": [2, 3, 3, 1, 3],
            "solution": ["int main() {}", "print(int(input()) + 1)\n", "print(int(input()) + 1)", "print 1", "print(-~int(input()))"],
        },
        "incorrect_solutions": {"language": [3], "solution": ["print(1)"]},
        "time_limit": {"seconds": 2, "nanos": 0}, "memory_limit_bytes": 256000000,
        "input_file": "", "output_file": "",
    })
}

#[test]
fn code_contests_has_parallel_lists_or_lists_of_objects() {
    let mut objects = contest("2_B. Other", "Add one more.");
    objects["public_tests"] = json!([{"input": "1\n", "output": "2\n"}]);
    objects["solutions"] = json!([{"language": "PYTHON3", "solution": "print(2)"}]);
    let mut files = contest("3_C. Files", "Read a file.");
    files["input_file"] = json!("input.txt");
    let mut untested = contest("4_D. None", "No tests.");
    untested["public_tests"] = json!({"input": [], "output": []});
    untested["generated_tests"] = Value::Null;
    let mut uneven = contest("5_E. Uneven", "Uneven.");
    uneven["private_tests"] = json!({"input": ["1"], "output": []});
    let rows = [
        contest("1_A. One", "Add one.\n"),
        objects,
        files,
        untested,
        uneven,
    ];
    let (problems, left_out) = imported(Source::CodeContests, "train.jsonl", &lines(&rows));
    assert_eq!(problems.len(), 2);
    let one = &problems[0];
    assert_eq!(
        (&*one.id, &*one.dataset),
        ("codecontests-1_A. One", "codecontest")
    );
    let test = |input: &str, output: &str| IoTest {
        input: input.into(),
        output: output.into(),
        time_limit_ms: Some(2000),
        memory_limit_bytes: Some(256_000_000),
    };
    assert_eq!(
        one.gold,
        Gold::Tests(vec![test("1\n", "2\n"), test("3\n", "4\n")])
    );
    assert_eq!(
        one.solutions,
        [
            "```python\nprint(int(input()) + 1)\n```",
            "```python\nprint(-~int(input()))\n```"
        ]
    );
    assert!(
        one.ground_truth()
            .unwrap()
            .starts_with("a program that passes 2 tests")
    );
    assert_eq!(problems[1].solutions.len(), 1);
    for (left_out, said) in left_out
        .iter()
        .zip(["`input.txt`", "no tests", "of the same number"])
    {
        assert!(left_out.contains(said), "{left_out}");
    }
    assert_eq!(left_out.len(), 3);
    let few = ImportOptions {
        most_solutions: 1,
        ..ImportOptions::default()
    };
    let (problems, _) = with_options(
        Source::CodeContests,
        "train.jsonl",
        &lines(&rows[..1]),
        &few,
    );
    assert_eq!(problems[0].solutions.len(), 1);
}

fn taco(question: &str, input_output: &str, starter: &str) -> Value {
    json!({
        "question": question, "starter_code": starter, "solutions": "[\"print(1)\\n\"]",
        "input_output": input_output, "difficulty": "EASY", "source": "codeforces",
        "time_limit": "1.5 seconds", "memory_limit": "256.0 megabytes",
    })
}

#[test]
fn taco_has_json_inside_strings() {
    let rows = [
        taco(
            "Print.",
            r#"{"inputs": ["1\n", ["2", "3"]], "outputs": ["1\n", ["5", 6]]}"#,
            "",
        ),
        taco("None.", "", ""),
        taco("Empty.", r#"{"inputs": [], "outputs": []}"#, ""),
        taco("Broken.", r#"{"inputs": ["#, ""),
        taco("Uneven.", r#"{"inputs": ["1"], "outputs": []}"#, ""),
        taco("Silent.", r#"{"inputs": ["1"], "outputs": [""]}"#, ""),
    ];
    let (problems, left_out) = imported(Source::Taco, "train.jsonl", &lines(&rows));
    assert_eq!(problems.len(), 1);
    let Gold::Tests(tests) = &problems[0].gold else {
        panic!("{:?}", problems[0].gold)
    };
    assert_eq!((&*tests[1].input, &*tests[1].output), ("2\n3", "5\n6"));
    assert_eq!(tests[0].time_limit_ms, Some(1500));
    assert_eq!(tests[0].memory_limit_bytes, Some(256 << 20));
    assert_eq!(problems[0].solutions, ["```python\nprint(1)\n```"]);
    assert_eq!(problems[0].task, Task::Coding);
    let said = [
        "there are no tests",
        "has no tests",
        "is no JSON",
        "1 inputs and 0 outputs",
        "any program would pass",
    ];
    assert_eq!(left_out.len(), said.len());
    for (left_out, said) in left_out.iter().zip(said) {
        assert!(left_out.contains(said), "{left_out}");
    }
}

#[test]
fn function_tests_of_taco_pass_right_functions_alone() {
    let Some(environment) = support::python(Limits::default()) else {
        return;
    };
    let tests = concat!(
        r#"{"fn_name": "grow", "inputs": [[1, "a\"\\\n\u00e9"], [123456789012345678901234567890, ""], [0, null]], "#,
        r#""outputs": [[2, "a\"\\\n\u00e9"], [[123456789012345678901234567891, ""]], [1, null]]}"#
    );
    let plain = taco("Grow.", tests, "def grow(n, text):\n\t");
    let class = taco(
        "Grow in a class.",
        tests,
        "\nclass Solution:\n    def grow(self, n, text):\n        ",
    );
    let (problems, left_out) = imported(Source::Taco, "train.jsonl", &lines(&[plain, class]));
    assert!(left_out.is_empty(), "{left_out:?}");
    assert!(
        problems[0]
            .instruction
            .ends_with("\n\n```python\ndef grow(n, text):\n```")
    );
    let outcome = |problem: usize, program: &str| {
        let Gold::Asserts { code, entry_point } = &problems[problem].gold else {
            panic!("{:?}", problems[problem].gold)
        };
        let cells = vec![
            program.to_owned(),
            code.clone(),
            format!("check({entry_point})"),
        ];
        let runs = environment
            .pool()
            .map(&[cells], |interpreter, cells| interpreter.run(cells))
            .unwrap();
        runs[0].iter().all(|run| run.status == Status::Ok) && runs[0].len() == 3
    };
    assert!(outcome(0, "def grow(n, text):\n    return n + 1, text"));
    assert!(outcome(0, "def grow(n, text):\n    return [n + 1, text]"));
    assert!(!outcome(0, "def grow(n, text):\n    return n + 1.0, text"));
    assert!(!outcome(0, "def grow(n, text):\n    return None"));
    let class = "class Solution:\n    def grow(self, n, text):\n        return n + 1, text";
    assert!(outcome(1, class));
    assert!(!outcome(1, &class.replace("+ 1", "+ 2")));
}

#[test]
fn taco_leaves_out_what_code_contests_has() {
    let statement = "Alice has n stones and Bob takes away some of them one after the other until none is left. \
                     Print how many turns Bob has taken in the end. The first line has the number of stones.";
    let files = Files::new();
    let contests = files.add(
        "contests.jsonl",
        lines(&[contest("1_A. Stones", statement)]),
    );
    let problems = files.add("problems.jsonl", "");
    let origin = Origin::Source(Source::CodeContests);
    import_to(&origin, &[contests], &ImportOptions::default(), &problems).unwrap();
    let tests = r#"{"inputs": ["1"], "outputs": ["1"]}"#;
    let again = taco(
        &format!("{statement}\n\n-----Input-----\n\nOne line."),
        tests,
        "",
    );
    let other = taco(
        "Carol sorts her cards by colour and prints the largest of each colour on a line.",
        tests,
        "",
    );
    let options = ImportOptions {
        not_like: vec![problems],
        ..ImportOptions::default()
    };
    let (kept, left_out) = with_options(
        Source::Taco,
        "train.jsonl",
        &lines(&[again, other]),
        &options,
    );
    assert_eq!(kept.len(), 1);
    assert!(
        left_out[0].contains("much like problem `codecontests-1_A. Stones`"),
        "{left_out:?}"
    );
}

#[test]
fn magicoder_is_refused_unless_unjudged_problems_are_asked_for() {
    let files = Files::new();
    let row = json!({"instruction": "Write a loop.", "response": "for i in range(3): ..."});
    let path = files.add("magicoder.jsonl", lines(&[row]));
    let origin = Origin::Source(Source::Magicoder);
    let error = try_import(&origin, path.clone(), &ImportOptions::default()).unwrap_err();
    assert!(
        error.to_string().contains("nothing to judge an action by"),
        "{error}"
    );
    let options = ImportOptions {
        unjudged: true,
        ..ImportOptions::default()
    };
    let (problems, summary) = try_import(&origin, path, &options).unwrap();
    assert_eq!(problems[0].gold, Gold::Unjudged);
    assert_eq!(problems[0].ground_truth(), None);
    assert_eq!(summary.by_judgement["unjudged"], 1);
    assert!(python_blocks(&problems[0].solutions[0]).is_empty());
}
