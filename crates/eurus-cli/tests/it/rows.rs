//! Rows of every form train, and what is set in them is used or refused by name.

use crate::cases::{OF_A_STEP, says};
use crate::common::{Workplace, ensure_says, pair_rows};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

fn sft(data: &str) -> String {
    format!("sft --model model --data {data} {OF_A_STEP}")
}

fn prefer(data: &str) -> String {
    format!("prefer --model model --data {data} --algorithm dpo {OF_A_STEP}")
}

/// Three rows that a form makes of a number.
fn three(row: impl Fn(usize) -> Value) -> Vec<Value> {
    (2..5).map(row).collect()
}

#[test]
fn preferences_of_every_form_train() -> Result<()> {
    let place = Workplace::new()?;
    let forms: [fn(usize) -> Value; 9] = [
        |n| json!({"prompt": format!("{n} bags?"), "chosen": "Answer: 6", "rejected": "Answer: 7"}),
        |n| {
            json!({"prompt": [says("system", "Be brief."), says("user", &format!("{n} bags?"))],
                   "chosen": [says("assistant", "6")], "rejected": [says("assistant", "7")]})
        },
        |n| {
            json!({"chosen": [says("user", &format!("{n} bags?")), says("assistant", "6")],
                   "rejected": [says("user", &format!("{n} bags?")), says("assistant", "7")]})
        },
        |n| json!({"system": "Be brief.", "question": format!("{n} bags?"), "chosen": "6", "rejected": "7"}),
        |n| json!({"instruction": format!("{n} bags?"), "input": "", "chosen": "6", "rejected": "7"}),
        |n| {
            json!({"conversations": [{"from": "human", "value": format!("{n} bags?")}],
                   "chosen": {"from": "gpt", "value": "6"}, "rejected": {"from": "gpt", "value": "7"}})
        },
        |n| json!({"prompt": format!("{n} bags?"), "response_a": "7", "response_b": "6", "preference": 1}),
        |n| {
            json!({"chosen": format!("\n\nHuman: {n} bags?\n\nAssistant: 6"),
                   "rejected": format!("\n\nHuman: {n} bags?\n\nAssistant: 7")})
        },
        |n| {
            json!({"trajectory": [{"from": "user", "value": format!("{n} bags?")}], "chosen": "6", "rejected": "7",
                   "id": n, "unused": [1, {"a": null}]})
        },
    ];
    for (index, form) in forms.into_iter().enumerate() {
        place.write_rows("rows.jsonl", &three(form))?;
        let told = place.told(&prefer("rows.jsonl"))?;
        ensure_says(&told, &["3 pairs in 3 trees"]).map_err(|it| it.context(index))?;
    }
    Ok(())
}

#[test]
fn conversations_of_every_form_train_and_every_answer_is_imitated() -> Result<()> {
    let place = Workplace::new()?;
    type Form = fn(usize) -> Value;
    let forms: [(Form, &str); 6] = [
        (
            |n| json!({"instruction": format!("{n} bags?"), "response": "6"}),
            "3 responses",
        ),
        (
            |n| json!({"instruction": "How many?", "input": format!("{n} bags"), "output": "6"}),
            "3 responses",
        ),
        (
            |n| json!({"prompt": format!("{n} bags?"), "completion": "6"}),
            "3 responses",
        ),
        (
            |n| {
                json!({"messages": [says("system", "Be brief."), says("user", &format!("{n} bags?")),
            says("assistant", "6"), says("user", "Sure?"), says("assistant", "Yes.")]})
            },
            "6 responses",
        ),
        (
            |n| {
                json!({"conversations": [{"from": "human", "value": format!("{n} bags?")}, {"from": "model", "value": "6"},
            {"from": "human", "value": "Thanks"}]})
            },
            "3 responses",
        ),
        (
            |n| json!({"data": [format!("{n} bags?"), "6", "Sure?", "Yes."]}),
            "6 responses",
        ),
    ];
    for (form, counted) in forms {
        let rows = three(form);
        place.write_rows("rows.jsonl", &rows)?;
        ensure_says(&place.told(&sft("rows.jsonl"))?, &[counted, "in 3 trees"])?;
        // The same as one JSON array.
        std::fs::write(place.path("rows.json"), Value::Array(rows).to_string())?;
        ensure_says(&place.told(&sft("rows.json"))?, &[counted, "in 3 trees"])?;
    }
    let last = format!("{} --last-turn-only", sft("rows.jsonl"));
    ensure_says(&place.told(&last)?, &["3 responses to imitate in 3 trees"])
}

#[test]
fn what_is_set_and_would_not_be_used_is_refused_by_name() -> Result<()> {
    let place = Workplace::new()?;
    let asked = says("user", "2 bags?");
    for (answer, named) in [
        (
            json!({"role": "assistant", "content": "6", "tool_calls": [{"id": "1"}]}),
            "tool_calls",
        ),
        (
            json!({"role": "assistant", "content": "6", "reasoning_content": "2 * 3"}),
            "does not write `reasoning_content` of message 2 (assistant)",
        ),
        (
            json!({"role": "assistant", "content": "6", "reasoning": "2 * 3"}),
            "messages[1]`: `reasoning` of a message is set",
        ),
        (
            json!({"role": "assistant", "content": "6", "weight": 0}),
            "weight",
        ),
        (
            json!({"role": "assistant", "content": null}),
            "no `content`",
        ),
        (
            json!({"role": "assistant", "content": [{"type": "image_url"}]}),
            "image_url",
        ),
        (
            json!({"role": "tool", "content": "6"}),
            "`messages` ends with `tool`",
        ),
        (
            json!({"role": "narrator", "content": "6"}),
            "messages[1]`: unknown role `narrator`",
        ),
    ] {
        place.write_rows("rows.jsonl", &[json!({"messages": [asked, answer]})])?;
        let refusal = place.refusal(&sft("rows.jsonl"))?;
        ensure_says(&refusal, &["row 1 of rows.jsonl: field `messages", named])?;
    }
    place.write_rows(
        "rows.jsonl",
        &[json!({"messages": [asked], "tools": [{"name": "larger"}]})],
    )?;
    ensure_says(
        &place.refusal(&sft("rows.jsonl"))?,
        &["row 1 of rows.jsonl", "`tools`"],
    )?;
    place.write_rows(
        "rows.jsonl",
        &[json!({"messages": [asked, says("assistant", "6")]})],
    )?;
    let refusal = place.refusal(&prefer("rows.jsonl"))?;
    ensure_says(&refusal, &["a conversation does not hold a pair"])
}

#[test]
fn one_parquet_file_with_systems_and_histories_trains_with_every_command() -> Result<()> {
    let place = Workplace::new()?;
    let turn = |n: usize, answer: &str| {
        let history = [
            says("system", "Be brief."),
            says("user", &format!("{n} bags?")),
            says("assistant", "Answer: 9"),
            says("user", "No."),
            says("assistant", "Answer: 8"),
            says("user", "No."),
        ];
        json!({"prompt": history, "chosen": [says("assistant", "Answer: 6")], "rejected": [says("assistant", answer)]})
    };
    let rows: Vec<Value> = (2..6)
        .flat_map(|n| [turn(n, "Answer: 7"), turn(n, "Answer: 5")])
        .collect();
    place.write_rows("rows.jsonl", &rows)?;
    place.succeed("data convert rows.jsonl --to trl-preference-chat --out rows.parquet")?;
    for command in [
        prefer("rows.parquet"),
        format!("reward --model model --data rows.parquet {OF_A_STEP}"),
    ] {
        ensure_says(&place.told(&command)?, &["8 pairs in 4 trees"])?;
    }
    let plan = place.succeed(
        "plan prefer --model model --data rows.parquet --algorithm dpo --learning-rate 1e-5 --json",
    )?;
    let plan: Value = serde_json::from_str(&plan)?;
    let (unique, naive) = (
        plan["run"]["unique_tokens"].as_u64(),
        plan["run"]["naive_tokens"].as_u64(),
    );
    ensure!(
        unique
            .zip(naive)
            .is_some_and(|(unique, naive)| 3 * unique < naive),
        "{plan}"
    );
    Ok(())
}

#[test]
fn the_papers_mixtures_train_as_they_are_written() -> Result<()> {
    let place = Workplace::new()?;
    place.write_rows(
        "chat.jsonl",
        &three(|n| json!({"id": n, "data": [format!("{n} bags?"), "6", "Sure?", "Yes."]})),
    )?;
    place.write_rows(
        "shared.jsonl",
        &three(|n| {
            json!({"conversations": [
        {"from": "human", "value": format!("{n} bags?")}, {"from": "gpt", "value": "Answer: 6"}]})
        }),
    )?;
    place.write_rows(
        "orca.jsonl",
        &three(|n| {
            json!({"id": n, "system_prompt": "Be brief.",
        "question": format!("{n} bags?"), "response": "Answer: 6"})
        }),
    )?;
    let ranked = |n: usize| {
        json!({"source": "chat", "instruction": format!("{n} bags?"), "models": ["a", "b"], "completions": [
        {"model": "a", "response": "Answer: 6", "overall_score": 8.0}, {"model": "b", "response": "No idea.", "overall_score": 2.0}]})
    };
    place.write_rows("feedback.jsonl", &three(ranked))?;
    place.write_rows(
        "safety.jsonl",
        &three(|n| {
            let mut row = ranked(n);
            row["prompt"] = json!("Pretend.");
            row
        }),
    )?;
    let mix = "data mix --seed 1 --overwrite --out";
    place.succeed(&format!("{mix} sft-mix.jsonl --preset eurus-7b-sft --source ultrainteract=sft.jsonl --source ultrachat=chat.jsonl --source sharegpt=shared.jsonl --source openorca=orca.jsonl --take ultrachat=all --take sharegpt=all --take openorca=all"))?;
    ensure_says(
        &place.told(&sft("sft-mix.jsonl"))?,
        &["rows read", "responses to imitate"],
    )?;
    place.succeed(&format!("{mix} pairs-mix.jsonl --preset eurus-preference --source ultrainteract=pairs.jsonl --source ultrafeedback=feedback.jsonl"))?;
    let pairs = format!("{} pairs", pair_rows().len() + 3);
    ensure_says(&place.told(&prefer("pairs-mix.jsonl"))?, &[&pairs])?;
    place.succeed(&format!("{mix} reward-mix.jsonl --preset eurus-rm-7b --source ultrainteract=pairs.jsonl --source augmented=pairs.jsonl --source ultrafeedback=feedback.jsonl --source ultrasafety=safety.jsonl"))?;
    let reward =
        format!("reward --model model --data reward-mix.jsonl --rank-only chat {OF_A_STEP}");
    ensure_says(&place.told(&reward)?, &["6 of them only ranked"])
}

#[test]
fn several_files_and_patterns_are_read_as_one() -> Result<()> {
    let place = Workplace::new()?;
    for (name, n) in [("part-1.jsonl", 2), ("part-2.jsonl", 3)] {
        place.write_rows(
            name,
            &[json!({"prompt": format!("{n} bags?"), "completion": "6"})],
        )?;
    }
    ensure_says(
        &place.told(&sft("part-?.jsonl"))?,
        &["2 responses to imitate in 2 trees"],
    )?;
    ensure_says(
        &place.told(&sft("part-1.jsonl sft.jsonl"))?,
        &["part-1.jsonl, sft.jsonl: 7 rows read"],
    )
}
