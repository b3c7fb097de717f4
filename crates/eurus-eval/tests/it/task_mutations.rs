//! Task files and data that a seeded mutator has put together: an error or fewer items, never a panic.
//!
//! `EURUS_MUTATIONS` sets how many of each there are; `--nocapture` prints how they ended.

#![allow(clippy::print_stdout, reason = "the counts are the result")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use eurus_eval::graders::Rules;
use eurus_eval::tasks::{DataPlace, Task};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use test_support::count;

use crate::mutated::mutated;
use crate::own::{OWN_ROWS, OWN_TASK};

const TASKS: [&str; 6] = [
    OWN_TASK,
    include_str!("../../tasks/bbh.toml"),
    include_str!("../../tasks/gsmplus.toml"),
    include_str!("../../tasks/mbpp.toml"),
    include_str!("../../tasks/mint.toml"),
    include_str!("../../tasks/mmlu.toml"),
];

/// Data of each task, by the names that it looks for.
const DATA: [&[(&str, &str)]; 6] = [
    &[("own-task.jsonl", OWN_ROWS)],
    &[
        (
            "bbh/sums.json",
            r#"{"examples": [{"input": "1 + 1", "target": "2"}, {"input": "2 + 2", "target": "4"}]}"#,
        ),
        (
            "cot-prompts/sums.txt",
            "notice\n-----\nSums.\n\nQ: a\nA: Let's think step by step.\nb\n\nQ: c\nA: Let's think step by step.\nd\n\nQ: e\nA: Let's think step by step.\nf\n",
        ),
    ],
    &[(
        "gsmplus_test.json",
        r#"{"0": {"perturbation_questions": {"a": {"question": "1 + 1?", "answer": "2"}, "b": {"question": "1?", "answer": "None"}}}}"#,
    )],
    &[(
        "new_mbpp.json",
        r#"[{"task_id": 2, "prompt": "Add.", "code": "def add(a,b):\n  return a + b", "test_list": ["assert add(1, 2) == 3"], "test_imports": []}]"#,
    )],
    &[
        (
            "mmlu.test_prompts.jsonl",
            "{\"id\": 0, \"prompt\": \"1?\\nOptions: A ) 1 , B ) 2\", \"reference\": \"a\"}\n{\"id\": 1, \"prompt\": \"2?\\nOptions: A ) x , B ) 2\", \"reference\": \"b\"}\n",
        ),
        (
            "template_with_tool.txt",
            "{max_total_steps} {in_context_example} {task_prompt}",
        ),
        ("in_context_humaneval.txt", "one"),
        ("in_context_mbpp.txt", "two"),
        ("in_context_reasoning.txt", "three"),
    ],
    &[
        (
            "test/sums_test.csv",
            "1 + 1?,1,2,3,4,B\n\"2, 3?\",None,2,3,4,C\n",
        ),
        (
            "dev/sums_dev.csv",
            "a,1,2,3,4,A\nb,1,2,3,4,B\nc,1,2,3,4,C\nd,1,2,3,4,D\ne,1,2,3,4,A\n",
        ),
    ],
];

fn write(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Reads the task and all items, and grades an answer to each where no program is run: how that ends.
fn ends(folder: &Path) -> &'static str {
    let Ok(task) = Task::read(folder.join("task.toml")) else {
        return "task refused";
    };
    let mut end = "as published";
    for rules in Rules::ALL {
        let place = DataPlace::new(folder).with_rules(rules);
        let items = match task.load(&place) {
            Ok(items) => items,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return "data refused";
            }
        };
        if !items.bad.is_empty() {
            end = "rows left out";
        }
        for item in &items.items {
            let _ = task.grade(item, "The answer is 5.\n```python\nx = 1\n```", rules, None);
        }
    }
    end
}

#[test]
fn no_fault_in_a_task_file_or_its_data_ends_in_a_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(23);
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let folder = tempfile::tempdir().unwrap();
    for (number, (task, data)) in TASKS.iter().zip(DATA).enumerate() {
        let folder = folder.path().join(number.to_string());
        let sound = || {
            write(&folder, "task.toml", task.as_bytes());
            for (name, content) in data {
                write(&folder, name, content.as_bytes());
            }
        };
        sound();
        assert_eq!(ends(&folder), "as published", "task {number}");
        for _ in 0..count("EURUS_MUTATIONS", 60) {
            sound();
            let faulty_task = rng.random_bool(0.5);
            let what = if faulty_task { "task" } else { "data" };
            let (name, content) = match faulty_task {
                true => ("task.toml", *task),
                false => data[rng.random_range(0..data.len())],
            };
            write(&folder, name, &mutated(&mut rng, content));
            *counts.entry((what, ends(&folder))).or_default() += 1;
        }
    }
    for ((what, end), count) in &counts {
        println!("{count:5} faults in the {what}: {end}");
    }
    assert!(counts.values().sum::<usize>() >= 200);
    assert!(counts.contains_key(&("data", "rows left out")));
    assert!(counts.contains_key(&("task", "task refused")));
}
