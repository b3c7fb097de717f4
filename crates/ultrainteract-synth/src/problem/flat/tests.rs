//! Tests of the flat form.

use super::*;

fn read(gold: &str) -> Result<Problem, Vec<String>> {
    let text = format!(r#"{{"id": "p", "task": "Coding", "instruction": "Do it.", {gold}}}"#);
    serde_json::from_str::<Fields>(&text).unwrap().problem()
}

fn faults(gold: &str) -> String {
    read(gold).unwrap_err().join("; ")
}

#[test]
fn every_gold_is_read_back_as_it_was_written() {
    for gold in [
        r#""answer": "1/2""#,
        r#""answer": 12"#,
        r#""choices": ["C", "A", "B"], "answer": "B""#,
        r#""tests": [{"input": "1\n", "output": "2\n", "time_limit_ms": 1500}]"#,
        r#""asserts": ["assert f(1) == 2", "assert f(2) == 3"], "entry_point": "f", "solutions": ["def f(x): return x + 1"]"#,
        r#""unjudged": true, "dataset": "d""#,
    ] {
        let problem = read(gold).unwrap();
        let text = serde_json::to_string(&problem).unwrap();
        assert_eq!(
            serde_json::from_str::<Problem>(&text).unwrap(),
            problem,
            "{text}"
        );
    }
}

#[test]
fn a_choice_is_meant_by_its_text_before_its_letter_before_its_number() {
    let index = |answer: &str| {
        let gold = format!(r#""choices": ["C", "7", "red"], "answer": {answer}"#);
        match read(&gold).unwrap().gold {
            Gold::Choice { answer, .. } => answer,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(index(r#""C""#), 0);
    assert_eq!(index(r#""c""#), 2);
    assert_eq!(index(r#""(B)""#), 1);
    assert_eq!(index("7"), 1);
    assert_eq!(index("3"), 2);
    assert_eq!(index(r#"" red ""#), 2);
}

#[test]
fn a_bare_program_becomes_an_action_and_a_written_action_stays() {
    let solution = |text: &str| {
        let gold = format!(
            r#""tests": [{{"input": "", "output": "1"}}], "solutions": [{}]"#,
            serde_json::to_string(text).unwrap()
        );
        read(&gold).unwrap().solutions.remove(0)
    };
    assert_eq!(solution("print(1)\n"), "```python\nprint(1)\n```");
    let action = "Print it.\n```python\nprint(1)\n```";
    assert_eq!(solution(action), action);
    let program = "s = '''\n```\n'''\nprint(1)";
    assert_eq!(python_blocks(&solution(program)), [format!("{program}\n")]);
}

#[test]
fn what_cannot_be_judged_by_is_refused_with_its_remedy() {
    for (gold, said) in [
        (r#""answer": "1", "answer": "2""#, "`answer` is there twice"),
        (r#""dataset": "d""#, "give `answer`"),
        (r#""answer": " ""#, "`answer` is empty"),
        (r#""answer": true"#, "`answer` is a boolean"),
        (
            r#""answer": 123456789012345678901234567890"#,
            "write it as a string",
        ),
        (
            r#""answer": -123456789012345678901234567890"#,
            "write it as a string",
        ),
        (
            r#""answer": "1", "tests": []"#,
            "has `answer` and `tests`; keep the one",
        ),
        (
            r#""choices": ["red", "blue"], "answer": "bleu""#,
            "none of `choices`; write a choice, its letter (A to B), or its number from 1; did you mean `blue`?",
        ),
        (r#""choices": ["red", "blue"]"#, "no `answer` beside it"),
        (r#""choices": ["red", "red "], "answer": "A""#, "twice"),
        (r#""choices": ["red"], "answer": "A""#, "has 1 entries"),
        (
            r#""choices": "red", "answer": "A""#,
            "`choices` is a string",
        ),
        (r#""tests": []"#, "`tests` is empty"),
        (
            r#""tests": [{"input": "1", "output": ""}]"#,
            "any program would pass",
        ),
        (
            r#""tests": [{"input": "1"}]"#,
            "`tests[0]`: missing field `output`",
        ),
        (r#""asserts": "assert f(1)""#, "no `entry_point`"),
        (r#""entry_point": "f""#, "no `asserts`"),
        (
            r#""asserts": "assert g(1)", "entry_point": "f""#,
            "never calls `f`",
        ),
        (
            r#""asserts": "f(1)", "entry_point": "f""#,
            "asserts nothing",
        ),
        (
            r#""asserts": "assert f(1)", "entry_point": "f(1)""#,
            "must be the name of a function",
        ),
        (
            r#""answer": "1", "solutons": []"#,
            "unknown key `solutons`; did you mean `solutions`?",
        ),
        (
            r#""answer": "1", "colour": 1"#,
            "unknown key `colour`; known are id, task",
        ),
        (
            r#""answer": "1", "solutions": [""]"#,
            "`solutions` is empty",
        ),
    ] {
        assert!(faults(gold).contains(said), "{gold}: {}", faults(gold));
    }
}

#[test]
fn all_faults_of_a_problem_are_named_at_once() {
    let fields = serde_json::from_str(r#"{"task": "Maths_CoT", "instruction": 3, "anser": 1}"#);
    let faults = from_fields(fields.unwrap()).unwrap_err().join("\n");
    for said in [
        "unknown key `anser`; did you mean `answer`?",
        "`id` is missing",
        "did you mean `Math_CoT`?",
        "`instruction` is a number",
        "nothing says what is right",
    ] {
        assert!(faults.contains(said), "{faults}");
    }
}
