//! Tasks: those that are built in, and one of a user's own.

use std::path::PathBuf;

use eurus_eval::graders::{Rules, Verdict};
use eurus_eval::tasks::{DataPlace, Task, TaskFile};
use serde_json::{Value, json};
use test_support::folders;

use crate::own::{OWN_ROWS, OWN_TASK, Own};

const SCHEMA: &str = include_str!("../../../../docs/src/schema/eurus-task-1.schema.json");

fn refusal(task: &str) -> String {
    Task::parse(task).unwrap_err().to_string()
}

#[test]
fn an_own_task_in_ten_lines_is_asked_and_graded() {
    assert_eq!(OWN_TASK.lines().count(), 10);
    let own = Own::new(OWN_TASK, "own-task.jsonl", OWN_ROWS);
    let task = own.read().unwrap();
    let items = own.load().unwrap();
    assert_eq!((items.items.len(), items.note()), (3, None));
    let item = &items.items[1];
    assert_eq!(
        item.request.messages[0].content,
        "What is a dozen plus 1? End with the number."
    );
    assert_eq!(item.gold, json!(13));
    let grade = |answer| task.grade(item, answer, Rules::Authors, None).unwrap();
    assert!(grade("12 + 1 = 13").is_correct());
    assert_eq!(grade("It is 13.").extracted.as_deref(), Some("13"));
    assert!(!grade("13 or 14").is_correct());
    assert!(!grade("I do not know.").is_correct());
    let item = &items.items[2];
    let grade = task.grade(item, "Together 1,250.", Rules::Fixed, None);
    assert!(grade.unwrap().is_correct());
}

#[test]
fn the_schema_of_the_documentation_is_that_of_the_code() {
    let code = serde_json::to_string_pretty(&TaskFile::schema()).unwrap() + "\n";
    let folder = env!("CARGO_TARGET_TMPDIR");
    test_support::assert_published(&code, SCHEMA, "eurus-task-1.schema.json", folder);
}

#[test]
fn built_in_tasks_and_the_documented_one_fit_the_schema() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let mut tasks = Task::all().unwrap();
    assert_eq!(tasks.len(), 14);
    tasks.push(Task::parse(OWN_TASK).unwrap());
    for task in tasks {
        let file = serde_json::to_value(task.file()).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&file)
            .map(|it| it.to_string())
            .collect();
        assert!(errors.is_empty(), "{}: {errors:?}", task.name());
        let names: Vec<&str> = file
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert!(!names.is_empty());
    }
}

#[test]
fn a_slip_in_a_task_file_is_named_with_what_is_meant() {
    for (from, to, says) in [
        ("gold =", "golt =", "did you mean `gold`?"),
        ("\"number\"", "\"nunber\"", "did you mean `number`?"),
        (
            "\"last_number\"",
            "\"last_numbers\"",
            "did you mean `last_number`?",
        ),
        (
            "gold = \"result\"",
            "gold = \"resullt\"",
            "`gold` uses `resullt`, and `data.fields` has no such field; did you mean `result`?",
        ),
        (
            "{{ second }}",
            "{{ seconds }}",
            "`prompt.messages[0]` uses `seconds`",
        ),
        (
            "{{ second }}",
            "{{ second }",
            "`prompt.messages[0]`: syntax error",
        ),
        ("role = \"user\"", "role = \"usr\"", "did you mean `user`?"),
        (
            "name = \"sums\"",
            "name = \"Sums\"",
            "`name` is `Sums`; lower-case letters",
        ),
        (
            "[[prompt.messages]]",
            "[[prompt.shot.messages]]",
            "unknown field `shot`",
        ),
        (
            "name = \"number\"",
            "name = \"number\", tolerance = -1.0",
            "`grader.tolerance` is -1",
        ),
        (
            "by = \"last_number\"",
            "by = \"regex\", pattern = \"(\"",
            "`extraction.pattern` is no regular expression",
        ),
        (
            "[data]",
            "[decoding]\ntemperature = -1.0\n[data]",
            "temperature is -1",
        ),
    ] {
        assert!(OWN_TASK.contains(from), "{from}");
        let said = refusal(&OWN_TASK.replace(from, to));
        assert!(said.contains(says), "{to}: {said}");
    }
    let error = Task::built_in("humanevil").unwrap_err().to_string();
    assert!(error.contains("did you mean `humaneval`?"), "{error}");
    let error = Task::built_in("svamp")
        .unwrap()
        .with_setting("cott")
        .unwrap_err();
    assert!(error.to_string().contains("did you mean `cot`?"), "{error}");
}

#[test]
fn programs_are_graded_with_an_interpreter_alone() {
    let task = r#"
        name = "programs"
        gold = "tests"
        grader = { name = "python_asserts", entry_point = "name" }
        extraction = { by = "code" }
        [data]
        file = "programs.jsonl"
        fields = ["name", "tests"]
        [[prompt.messages]]
        role = "user"
        content = "Write {{ name }}."
    "#;
    let rows = "{\"name\": \"double\", \"tests\": [\"assert double(2) == 4\", \"assert double(0) == 0\"]}\n";
    let own = Own::new(task, "programs.jsonl", rows);
    let (task, items) = (own.read().unwrap(), own.load().unwrap());
    let item = &items.items[0];
    let answer = "Like so:\n```python\ndef double(x):\n    return x + x\n```\nThat is all.";
    let error = task
        .grade(item, answer, Rules::Authors, None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`programs`, item `0`") && error.contains("no interpreter"),
        "{error}"
    );
    let python = code_interpreter::Python::find().unwrap();
    let start =
        || code_interpreter::Interpreter::start(&python, code_interpreter::Limits::default());
    let (mut tests, mut candidate) = (start().unwrap(), start().unwrap());
    let mut grade = |answer: &str| {
        let pythons = eurus_eval::tasks::Pythons {
            tests: &mut tests,
            candidate: &mut candidate,
        };
        task.grade(item, answer, Rules::Authors, Some(pythons))
            .unwrap()
    };
    assert_eq!(grade(answer).verdict, Verdict::Correct);
    assert!(!grade(&answer.replace("x + x", "x * x + 1")).is_correct());
}

/// Folder of the published rows of a task, and the items that are there.
const PUBLISHED: [(&str, &str, usize); 14] = [
    ("humaneval", "humaneval", 164),
    ("mbpp", "mbpp", 399),
    ("leetcode", "leetcode", 180),
    ("gsm8k", "gsm8k", 1319),
    ("gsmplus", "gsmplus", 2400),
    ("math", "math", 500),
    ("theoremqa", "theoremqa", 800),
    ("svamp", "numeric", 1000),
    ("asdiv", "numeric", 618),
    ("bbh", "bbh", 6511),
    ("ifeval", "ifeval", 541),
    ("mmlu", "mmlu", 14042),
    ("mint", "mint", 361),
    ("mtbench", "mtbench", 80),
];

#[test]
fn built_in_tasks_read_all_published_rows() {
    let Some(data) = folders::data() else {
        return;
    };
    for (name, folder, count) in PUBLISHED {
        let task = Task::built_in(name).unwrap();
        let items = task
            .load(&DataPlace::new(data.join("eval").join(folder)))
            .unwrap();
        assert_eq!(
            (items.items.len(), items.bad.as_slice()),
            (count, &[][..]),
            "{name}"
        );
        let published = task.file().data.items.unwrap();
        let is_smaller = ["gsmplus", "math"].contains(&name);
        assert_eq!(published != count, is_smaller, "{name}");
        assert_eq!(items.note().is_some(), is_smaller, "{name}");
        for item in &items.items {
            assert!(
                item.gold != Value::Null || name == "mtbench",
                "{name} {}",
                item.id
            );
        }
    }
}

#[test]
fn clusters_groups_and_later_turns_are_those_of_the_rows() {
    let Some(data) = folders::data() else {
        return;
    };
    let load = |name: &str, folder: &str| {
        let place: PathBuf = data.join("eval").join(folder);
        Task::built_in(name)
            .unwrap()
            .load(&DataPlace::new(place))
            .unwrap()
            .items
    };
    let gsmplus = load("gsmplus", "gsmplus");
    let clusters: std::collections::BTreeSet<_> =
        gsmplus.iter().map(|item| &item.cluster).collect();
    assert_eq!(clusters.len(), 300);
    assert_eq!(load("svamp", "numeric")[0].gold, json!(51));
    assert_eq!(load("gsm8k", "gsm8k")[0].gold, json!("18"));
    assert_eq!(load("bbh", "bbh")[0].gold, json!("the answer is False."));
    let mint = load("mint", "mint");
    let code = mint
        .iter()
        .filter(|item| item.groups["split"] == "code")
        .count();
    assert_eq!((code, mint.len() - code), (136, 225));
    let mtbench = load("mtbench", "mtbench");
    assert!(mtbench.iter().all(|item| item.later_turns.len() == 1));
    let with_reference = mtbench
        .iter()
        .filter(|item| !item.row["reference"].is_null())
        .count();
    assert_eq!(with_reference, 30);
    let bbh = load("bbh", "bbh");
    let tasks: std::collections::BTreeSet<_> =
        bbh.iter().map(|item| &item.groups["task"]).collect();
    assert_eq!(tasks.len(), 27);
}

/// An answer in words, from the right one.
type Wording<'a> = &'a dyn Fn(&str) -> String;

#[test]
fn right_answers_are_right_by_the_graders_of_their_tasks() {
    let Some(data) = folders::data() else {
        return;
    };
    let boxed = |gold: &str| format!("So it is $\\boxed{{{gold}}}$.");
    let sentence = |gold: &str| format!("Let us see. So {gold}");
    let letter = |gold: &str| format!(" {gold}");
    let wordings: [(&str, &str, Wording<'_>); 5] = [
        ("svamp", "numeric", &boxed),
        ("asdiv", "numeric", &boxed),
        ("gsm8k", "gsm8k", &boxed),
        ("bbh", "bbh", &sentence),
        ("mmlu", "mmlu", &letter),
    ];
    for (name, folder, worded) in wordings {
        let task = Task::built_in(name).unwrap();
        let place = DataPlace::new(data.join("eval").join(folder));
        let items = task.load(&place).unwrap().items;
        for item in items.iter().step_by(items.len() / 100) {
            let gold = item
                .gold
                .as_str()
                .map_or_else(|| item.gold.to_string(), str::to_owned);
            for rules in Rules::ALL {
                let grade = task.grade(item, &worded(&gold), rules, None).unwrap();
                assert!(grade.is_correct(), "{name} {}: {rules}: {grade:?}", item.id);
                let grade = task.grade(item, "I do not know", rules, None).unwrap();
                assert!(
                    !grade.is_correct(),
                    "{name} {}: {rules}: {grade:?}",
                    item.id
                );
            }
        }
    }
}

#[test]
fn programs_of_built_in_tasks_are_run() {
    let Some(data) = folders::data() else {
        return;
    };
    let python = code_interpreter::Python::find().unwrap();
    let start =
        || code_interpreter::Interpreter::start(&python, code_interpreter::Limits::default());
    let (mut tests, mut candidate) = (start().unwrap(), start().unwrap());
    let mut is_right = |task: &Task, folder: &str, answer: &str| {
        let place = DataPlace::new(data.join("eval").join(folder));
        let item = &task.load(&place).unwrap().items[0];
        assert!(task.grader().needs_python());
        let error = task.grade(item, answer, Rules::Authors, None).unwrap_err();
        assert!(error.to_string().contains("no interpreter"), "{error}");
        Rules::ALL.map(|rules| {
            let (tests, candidate) = (&mut tests, &mut candidate);
            let python = eurus_eval::tasks::Pythons { tests, candidate };
            task.grade(item, answer, rules, Some(python))
                .unwrap()
                .is_correct()
        })
    };
    let svamp = Task::built_in("svamp")
        .unwrap()
        .with_setting("pot")
        .unwrap();
    let program = "Subtract.\n```python\nprice = 76 - 25\nprint(price)\n```\nDone.";
    assert_eq!(is_right(&svamp, "numeric", program), [true; 2]);
    assert_eq!(
        is_right(&svamp, "numeric", &program.replace("25", "24")),
        [false; 2]
    );
    let mbpp = Task::built_in("mbpp").unwrap();
    let function =
        " similar_elements(a, b):\n    return tuple(set(a) & set(b))\n```\nIt meets both.";
    assert_eq!(is_right(&mbpp, "mbpp", function), [true; 2]);
    assert_eq!(
        is_right(&mbpp, "mbpp", &function.replace('&', "|")),
        [false; 2]
    );
}

#[test]
fn instructions_of_ifeval_are_graded_loosely_by_the_task() {
    let Some(data) = folders::data() else {
        return;
    };
    let task = Task::built_in("ifeval").unwrap();
    let place = DataPlace::new(data.join("eval").join("ifeval"));
    let items = task.load(&place).unwrap().items;
    let item = items.iter().find(|item| item.id == "1001").unwrap();
    let grade = |answer| task.grade(item, answer, Rules::Authors, None).unwrap();
    assert!(grade("Fairest Japan awaiteth thee").is_correct());
    assert!(!grade("Fairest Japan, awaiteth thee").is_correct());
}
