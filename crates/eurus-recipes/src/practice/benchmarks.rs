//! The benchmarks of the paper in the forms in which they are published, with word problems in them.

use serde_json::{Map, Value, json};

use super::exercise::Exercise;

/// Examples that BBH shows before each item.
const SHOTS: &str = "notice\n-----\nSums.\n\nQ: 1 + 1\nA: Let's think step by step.\nSo the answer is 2.\n\n\
                     Q: 1 + 2\nA: Let's think step by step.\nSo the answer is 3.\n\n\
                     Q: 1 + 3\nA: Let's think step by step.\nSo the answer is 4.\n";

/// Paths within the folder of benchmarks, with their contents.
pub(super) fn files(exercises: &[Exercise]) -> Vec<(&'static str, String)> {
    let mut files = numbers(exercises);
    files.extend(programs(exercises));
    files.extend(texts(exercises));
    files.extend(rewards(exercises));
    files
}

fn rows(exercises: &[Exercise], row: impl Fn(usize, &Exercise) -> Value) -> Vec<Value> {
    let rows = exercises.iter().enumerate();
    rows.map(|(number, exercise)| row(number, exercise))
        .collect()
}

fn lines(exercises: &[Exercise], row: impl Fn(usize, &Exercise) -> Value) -> String {
    let rows = rows(exercises, row).into_iter();
    rows.map(|row| format!("{row}\n")).collect()
}

fn array(exercises: &[Exercise], row: impl Fn(usize, &Exercise) -> Value) -> String {
    Value::Array(rows(exercises, row)).to_string()
}

/// Problems whose answer is a number.
fn numbers(exercises: &[Exercise]) -> Vec<(&'static str, String)> {
    let column = |value: &dyn Fn(usize, &Exercise) -> Value| -> Value {
        let values = exercises.iter().enumerate();
        let values = values.map(|(at, exercise)| (at.to_string(), value(at, exercise)));
        values.collect::<Map<_, _>>().into()
    };
    let math = json!({
        "problem": column(&|_, it| json!(it.question)),
        "level": column(&|_, _| json!("Level 1")),
        "type": column(&|_, _| json!("Prealgebra")),
        "expected_answer": column(&|_, it| json!(it.answer.to_string())),
        "id": column(&|at, _| json!(at)),
    });
    let gsmplus = exercises.iter().enumerate().map(|(at, it)| {
        let row = json!({"question": it.question, "answer": it.answer.to_string()});
        let kinds = json!({"perturbation_questions": {"numerical substitution": row}});
        (at.to_string(), kinds)
    });
    let asdiv = rows(
        exercises,
        |_, it| json!({"Input": it.question, "Output Answer": [it.answer.to_string()], "split": "test"}),
    );
    vec![
        (
            "test.jsonl",
            lines(
                exercises,
                |_, it| json!({"question": it.question, "answer": format!("{}\n#### {}", it.right, it.answer)}),
            ),
        ),
        ("math_test_cleaned.json", math.to_string()),
        (
            "gsmplus_test.json",
            Value::Object(gsmplus.collect()).to_string(),
        ),
        ("asdiv.json", json!({"Instances": asdiv}).to_string()),
        (
            "SVAMP.json",
            array(exercises, |at, it| {
                json!({
                    "ID": format!("chal-{at}"), "Body": "", "Question": it.question, "Equation": "",
                    "Answer": it.answer as f64, "Type": "Addition",
                })
            }),
        ),
        (
            "theorem_qa.json",
            array(exercises, |at, it| {
                json!({
                    "Question": it.question, "Answer": it.answer, "Answer_type": "integer", "Picture": null,
                    "id": format!("{at}.json"), "field": "Math",
                })
            }),
        ),
    ]
}

/// Problems that a function solves.
fn programs(exercises: &[Exercise]) -> Vec<(&'static str, String)> {
    let name = |at: usize| format!("solve_{at}");
    vec![
        (
            "HumanEval.jsonl",
            lines(exercises, |at, it| {
                json!({
                    "task_id": format!("HumanEval/{at}"), "entry_point": name(at),
                    "prompt": format!("def {}():\n    \"\"\" {} \"\"\"\n", name(at), it.question),
                    "canonical_solution": format!("    return {}\n", it.answer),
                    "test": format!("def check(candidate):\n    assert candidate() == {}\n", it.answer),
                })
            }),
        ),
        (
            "new_mbpp.json",
            array(exercises, |at, it| {
                json!({
                    "task_id": at, "prompt": it.question, "test_imports": [],
                    "code": format!("def {}():\n  return {}", name(at), it.answer),
                    "test_list": [format!("assert {}() == {}", name(at), it.answer)],
                })
            }),
        ),
        (
            "leetcode-test.json",
            array(exercises, |at, it| {
                json!({
                    "task_id": name(at), "prompt_sft": it.question, "meta": {"difficulty": "Easy"},
                    "test": format!("my_solution = Solution()\nassert my_solution.solve() == {}\n", it.answer),
                })
            }),
        ),
    ]
}

/// Problems with choices, with rules for the text, and in turns.
fn texts(exercises: &[Exercise]) -> Vec<(&'static str, String)> {
    let choices = exercises.iter().enumerate().map(|(at, it)| {
        let right = at % 4;
        let choices = (0..4).map(|place| (it.answer + place - right as i64).to_string());
        let choices: Vec<String> = choices.collect();
        let letter = ['A', 'B', 'C', 'D'][right];
        format!(
            "\"{}\",{},{letter}\n",
            it.question.replace('"', "'"),
            choices.join(",")
        )
    });
    let shots: String = (1..=5)
        .map(|at| format!("1 + {at}?,{},0,9,10,A\n", 1 + at))
        .collect();
    let bbh = rows(
        exercises,
        |_, it| json!({"input": it.question, "target": it.answer.to_string()}),
    );
    let example = "An example of a problem that is solved in turns.".to_owned();
    vec![
        ("bbh/sums.json", json!({"examples": bbh}).to_string()),
        ("cot-prompts/sums.txt", SHOTS.to_owned()),
        (
            "input_data.jsonl",
            lines(exercises, |at, it| {
                json!({
                    "key": at, "prompt": it.question,
                    "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}],
                })
            }),
        ),
        (
            "math.test_prompts.jsonl",
            lines(
                exercises,
                |at, it| json!({"id": at, "prompt": it.question, "reference": it.answer.to_string()}),
            ),
        ),
        (
            "template_with_tool.txt",
            "Solve it.\n{in_context_example}\n{task_prompt}".to_owned(),
        ),
        ("in_context_humaneval.txt", example.clone()),
        ("in_context_mbpp.txt", example.clone()),
        ("in_context_reasoning.txt", example),
        ("test/sums_test.csv", choices.collect()),
        ("dev/sums_dev.csv", shots),
    ]
}

/// Benchmarks of reward models.
fn rewards(exercises: &[Exercise]) -> Vec<(&'static str, String)> {
    let said = |prompt: &str, text: &str| json!([{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]);
    // RewardBench asks for all of its sections.
    let subsets = [
        "alpacaeval-easy",
        "mt-bench-hard",
        "refusals-dangerous",
        "math-prm",
    ];
    vec![
        (
            "rewardbench.jsonl",
            lines(exercises, |at, it| {
                json!({
                    "id": at, "subset": subsets[at % subsets.len()], "prompt": it.instruction,
                    "chosen": it.right, "rejected": it.wrong[0],
                })
            }),
        ),
        (
            "autoj.jsonl",
            lines(exercises, |at, it| {
                let (first, second) = match at % 2 {
                    0 => (&it.right, &it.wrong[0]),
                    _ => (&it.wrong[0], &it.right),
                };
                json!({
                    "scenario": "math_reasoning", "label": at % 2, "prompt": it.instruction,
                    "response 1": first, "response 2": second,
                })
            }),
        ),
        (
            "mtbench.jsonl",
            lines(exercises, |at, it| {
                json!({
                    "question_id": at, "turn": 1, "model_a": "right", "model_b": "wrong", "winner": "model_a",
                    "judge": "expert_1", "conversation_a": said(&it.instruction, &it.right),
                    "conversation_b": said(&it.instruction, &it.wrong[0]),
                })
            }),
        ),
        (
            "pairs.jsonl",
            lines(exercises, |at, it| {
                let asked = json!([{"role": "user", "content": it.instruction}]);
                let answer = |text: &str| json!([{"role": "assistant", "content": text}]);
                json!({"prompt": asked, "chosen": answer(&it.right), "rejected": answer(it.rejected(at))})
            }),
        ),
    ]
}
