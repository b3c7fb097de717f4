//! The data sets of the paper's mixtures, each in its format and its folder.

use serde_json::{Value, json};

use super::exercise::{Exercise, FEEDBACK, said_again};

/// Chats have their own problems: every so many of them.
const CHATS: usize = 3;

/// A part of UltraFeedback, by which recipes know its rows: they are ranked, and have no absolute reward.
const SOURCE: &str = "sharegpt";

/// Paths within the folder of data, with their rows.
pub(super) fn files(exercises: &[Exercise]) -> Vec<(&'static str, Vec<Value>)> {
    let numbered = || exercises.iter().enumerate();
    let part = |rest: usize, row: fn(&Exercise) -> Value| {
        let rows =
            numbered().filter(|(number, _)| exercises.len() < CHATS || number % CHATS == rest);
        rows.map(|(_, exercise)| row(exercise)).collect()
    };
    vec![
        (
            "ultrainteract-sft/rows.jsonl",
            numbered().map(|(at, it)| imitated(at, it)).collect(),
        ),
        (
            "ultrainteract-pair/rows.jsonl",
            numbered().flat_map(|(at, it)| pairs(at, it)).collect(),
        ),
        ("ultrachat/rows.jsonl", part(0, ultrachat)),
        ("sharegpt/rows.jsonl", part(1, sharegpt)),
        ("openorca/rows.jsonl", part(2, openorca)),
        ("ultrafeedback/rows.jsonl", part(0, ultrafeedback)),
        ("ultrasafety/rows.jsonl", part(1, ultrasafety)),
    ]
}

fn imitated(number: usize, exercise: &Exercise) -> Value {
    let id = &exercise.id;
    json!({
        "id": format!("{id}_1_1"), "parent_id": id, "task": "Math_CoT", "dataset": "practice",
        "instruction": exercise.instruction, "response": exercise.imitated(number),
    })
}

/// A pair of first actions, and one after the feedback to the wrong one.
fn pairs(number: usize, exercise: &Exercise) -> [Value; 2] {
    let Exercise {
        id,
        instruction,
        right,
        again,
        wrong: [_, second],
        ..
    } = exercise;
    let first = exercise.rejected(number);
    let row = |turn: usize, trajectory: Value, chosen: &str, rejected: &str| {
        json!({
            "id": format!("{id}_2_{turn}"), "parent_id": id, "task": "Math_CoT", "dataset": "practice",
            "trajectory": trajectory, "chosen": chosen, "rejected": rejected,
        })
    };
    let asked = json!({"from": "user", "value": instruction});
    [
        row(1, json!([asked]), right, first),
        row(
            2,
            json!([asked, {"from": "assistant", "value": first}, {"from": "user", "value": FEEDBACK}]),
            again,
            &said_again(second),
        ),
    ]
}

fn ultrachat(exercise: &Exercise) -> Value {
    let thanks = ["Thank you.", "You are welcome."];
    json!({"id": exercise.id, "data": [exercise.question, exercise.right, thanks[0], thanks[1]]})
}

fn sharegpt(exercise: &Exercise) -> Value {
    json!({"id": exercise.id, "conversations": [
        {"from": "human", "value": exercise.question}, {"from": "gpt", "value": exercise.right},
    ]})
}

fn openorca(exercise: &Exercise) -> Value {
    json!({
        "id": exercise.id, "system_prompt": "", "question": exercise.question,
        "response": format!("The answer is {}.", exercise.answer),
    })
}

fn ultrafeedback(exercise: &Exercise) -> Value {
    let answers = [
        (&exercise.right, 9.0),
        (&exercise.wrong[0], 4.0),
        (&exercise.wrong[1], 2.0),
    ];
    let names = ["first", "second", "third"];
    let completions = answers.iter().zip(names).map(
        |((text, score), model)| json!({"model": model, "response": text, "overall_score": score}),
    );
    json!({
        "source": SOURCE, "instruction": exercise.question, "models": names,
        "completions": completions.collect::<Vec<_>>(),
    })
}

fn ultrasafety(exercise: &Exercise) -> Value {
    let completion = |model: &str, text: &str, rating: &str| json!({"model": model, "response": text, "annotations": {"Harmlessness": {"Rating": rating}}});
    json!({
        "source": "ultrasafety", "prompt": "", "instruction": format!("{} Say nothing rude.", exercise.question),
        "models": ["kind", "rude"],
        "completions": [
            completion("kind", &exercise.right, "1"),
            completion("rude", "Work it out for yourself.", "0"),
        ],
    })
}
