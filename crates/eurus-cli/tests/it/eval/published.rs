//! Made-up rows in the form in which the data of each built-in task are published.

use serde_json::{Map, Value, json};

/// Who the problems are about: each is told from the others by one of these names, which no example has.
pub const NAMES: [&str; 6] = ["Ada", "Ben", "Cleo", "Dan", "Eva", "Finn"];

/// The data of a task: as many items as there are names.
pub struct Published {
    /// Files by their names.
    pub files: Vec<(&'static str, String)>,
    /// What a model says that is right, to each item.
    pub right: Vec<String>,
}

/// The data of a task, if there is one of the name.
pub fn published(task: &str) -> Option<Published> {
    Some(match task {
        "asdiv" => numbers(
            "asdiv.json",
            json!({"Instances": rows(|name, right| json!({"Input": question(name), "Output Answer": [right.to_string()], "split": "test"}))}).to_string(),
        ),
        "bbh" => with_right(
            vec![
                (
                    "bbh/sums.json",
                    json!({"examples": rows(|name, right| json!({"input": question(name), "target": right.to_string()}))}).to_string(),
                ),
                (
                    "cot-prompts/sums.txt",
                    "notice\n-----\nSums.\n\nQ: 1 + 1\nA: Let's think step by step.\n2\n\nQ: 1 + 2\nA: Let's think step by step.\n3\n\nQ: 1 + 3\nA: Let's think step by step.\n4\n".to_owned(),
                ),
            ],
            |_, right| format!("So the answer is {right}."),
        ),
        "gsm8k" => numbers(
            "test.jsonl",
            lines(|name, right| json!({"question": question(name), "answer": format!("They count.\n#### {right}")})),
        ),
        "gsmplus" => {
            let seeds = NAMES.iter().enumerate().map(|(at, name)| {
                let row = json!({"question": question(name), "answer": number(at).to_string()});
                (at.to_string(), json!({"perturbation_questions": {"numerical substitution": row}}))
            });
            numbers("gsmplus_test.json", json!(seeds.collect::<Map<_, _>>()).to_string())
        }
        "humaneval" => with_right(
            vec![(
                "HumanEval.jsonl",
                lines(|name, right| json!({
                    "task_id": format!("HumanEval/{name}"),
                    "prompt": format!("def {}(x):\n    \"\"\" {} \"\"\"\n", function(name), question(name)),
                    "entry_point": function(name),
                    "canonical_solution": format!("    return x + {right}\n"),
                    "test": format!("def check(candidate):\n    assert candidate(1) == {}\n", 1 + right),
                })),
            )],
            |name, right| format!(" {}(x):\n    return x + {right}\n```", function(name)),
        ),
        "ifeval" => with_right(
            vec![(
                "input_data.jsonl",
                lines(|name, right| json!({
                    "key": right, "prompt": question(name),
                    "instruction_id_list": ["punctuation:no_comma", "change_case:english_lowercase"], "kwargs": [{}, {}],
                })),
            )],
            |_, _| "there is no such thing here.".to_owned(),
        ),
        "leetcode" => with_right(
            vec![(
                "leetcode-test.json",
                json!(rows(|name, right| json!({
                    "task_id": function(name), "prompt_sft": question(name), "meta": {"difficulty": "Easy"},
                    "test": format!("my_solution = Solution()\nassert my_solution.plus(1) == {}\n", 1 + right),
                }))).to_string(),
            )],
            |_, right| format!("\nclass Solution:\n    def plus(self, x):\n        return x + {right}\n```"),
        ),
        "math" => {
            let column = |value: &dyn Fn(usize) -> Value| -> Value {
                (0..NAMES.len()).map(|at| (at.to_string(), value(at))).collect::<Map<_, _>>().into()
            };
            let columns = json!({
                "problem": column(&|at| json!(question(NAMES[at]))),
                "level": column(&|_| json!("Level 1")),
                "type": column(&|_| json!("Algebra")),
                "expected_answer": column(&|at| json!(number(at).to_string())),
                "id": column(&|at| json!(at)),
            });
            numbers("math_test_cleaned.json", columns.to_string())
        }
        "mbpp" => with_right(
            vec![(
                "new_mbpp.json",
                json!(rows(|name, right| json!({
                    "task_id": right, "prompt": question(name), "test_imports": [],
                    "code": format!("def {}(x):\n  return x + {right}", function(name)),
                    "test_list": [format!("assert {}(1) == {}", function(name), 1 + right)],
                }))).to_string(),
            )],
            |name, right| format!(" {}(x):\n    return x + {right}\n```", function(name)),
        ),
        "mint" => with_right(
            vec![
                ("math.test_prompts.jsonl", lines(|name, right| json!({"id": right, "prompt": question(name), "reference": right.to_string()}))),
                ("template_with_tool.txt", "Solve it.\n{in_context_example}\n{task_prompt}".to_owned()),
                ("in_context_humaneval.txt", "An example.".to_owned()),
                ("in_context_mbpp.txt", "An example.".to_owned()),
                ("in_context_reasoning.txt", "An example.".to_owned()),
            ],
            |_, right| format!("<solution> {right} </solution>"),
        ),
        "mmlu" => with_right(
            vec![
                (
                    "test/sums_test.csv",
                    rows(|name, _| json!(format!("{},1,2,3,4,C\n", question(name)))).iter().filter_map(Value::as_str).collect(),
                ),
                ("dev/sums_dev.csv", "1 + 0?,1,2,3,4,A\n".repeat(5)),
            ],
            |_, _| " C".to_owned(),
        ),
        "mtbench" => with_right(
            vec![("question.jsonl", lines(|name, right| json!({"question_id": right, "category": "writing", "turns": [question(name), "Shorter."]})))],
            |_, right| format!("There are {right}."),
        ),
        "svamp" => numbers(
            "SVAMP.json",
            json!(rows(|name, right| json!({
                "ID": format!("chal-{right}"), "Body": "They count", "Question": question(name), "Equation": "",
                "Answer": f64::from(right), "Type": "Addition",
            }))).to_string(),
        ),
        "theoremqa" => numbers(
            "theorem_qa.json",
            json!(rows(|name, right| json!({
                "Question": question(name), "Answer": right, "Answer_type": "integer", "Picture": null,
                "id": format!("{name}.json"), "field": "Math",
            }))).to_string(),
        ),
        _ => return None,
    })
}

/// Which of the names a text speaks of.
pub fn named(text: &str) -> Option<usize> {
    NAMES.iter().position(|name| text.contains(&question(name)))
}

fn question(name: &str) -> String {
    format!("How many has {name}?")
}

fn number(at: usize) -> u32 {
    NAMES.len() as u32 + at as u32
}

/// The authors' MBPP strips the letters of `def` from the front of a name.
fn function(name: &str) -> String {
    format!("plus_{}", name.to_lowercase())
}

fn rows(row: impl Fn(&str, u32) -> Value) -> Vec<Value> {
    let names = NAMES.iter().enumerate();
    names.map(|(at, name)| row(name, number(at))).collect()
}

fn lines(row: impl Fn(&str, u32) -> Value) -> String {
    let rows = rows(row).into_iter();
    rows.map(|row| format!("{row}\n")).collect()
}

/// Problems whose answer is a number, in words or as what a program prints.
fn numbers(file: &'static str, content: String) -> Published {
    with_right(vec![(file, content)], |_, right| {
        format!("```python\nprint({right})\n```\nThe answer is \\boxed{{{right}}}.")
    })
}

fn with_right(
    files: Vec<(&'static str, String)>,
    right: impl Fn(&str, u32) -> String,
) -> Published {
    let names = NAMES.iter().enumerate();
    let right = names.map(|(at, name)| right(name, number(at))).collect();
    Published { files, right }
}
