//! Rows as other tools write them, file by file: what is said, how many rows are used, and what they become.

use crate::cases::{
    ASKED, OF_A_STEP, PREFER, converted, ensure_first_loss, ensure_preferences, lines, place_with,
    says, told_of, violations,
};
use crate::common::{ensure_near, ensure_says};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

#[test]
fn columns_around_a_prompt_become_part_of_it() -> Result<()> {
    let place = place_with("dropped_columns")?;
    let system = says("system", "Answer in French.");
    let first = |file: &str, to: &str| -> Result<Value> {
        let rows = converted(&place, file, to)?;
        ensure!(rows.len() == if to.contains("unpaired") { 12 } else { 6 });
        Ok(rows[0].clone())
    };
    let rows = converted(&place, "pref_system_column.jsonl", "trl-preference-chat")?;
    ensure_preferences(&rows, std::slice::from_ref(&system))?;
    let history = [says("user", "Hi"), says("assistant", "Hello")];
    let rows = converted(&place, "pref_history_column.jsonl", "trl-preference-chat")?;
    ensure_preferences(&rows, &history)?;
    for file in ["orca_system_column.jsonl", "sharegpt_system_column.jsonl"] {
        let row = first(file, "trl-messages")?;
        let messages = json!([
            system,
            says("user", ASKED),
            says("assistant", "3 is larger.")
        ]);
        ensure!(row["messages"] == messages, "{file}: {row}");
    }
    let row = first("sft_input_column.jsonl", "trl-messages")?;
    let asked = says("user", "Which number is larger?\n0 and 3");
    ensure!(row["messages"][0] == asked, "{row}");
    let row = first("unpaired_system_column.jsonl", "trl-unpaired-chat")?;
    ensure!(
        row["prompt"] == json!([system, says("user", ASKED)]),
        "{row}"
    );
    ensure!(row["label"] == true, "{row}");

    let counted = ["6 rows read", "6 responses to imitate in 6 trees"];
    told_of(&place, "sft", "sft_input_column.jsonl", &counted)?;
    let counted = [
        "12 rows read",
        "12 responses, 6 of them desirable, in 6 trees",
    ];
    let kto = "prefer --algorithm kto --unpaired";
    told_of(&place, kto, "unpaired_system_column.jsonl", &counted)?;
    ensure_first_loss(&place, 0.5)
}

#[test]
fn columns_that_are_not_used_do_not_matter_whatever_they_hold() -> Result<()> {
    let place = place_with("extra_columns")?;
    for file in [
        "completion_other",
        "conversations_other",
        "data_dict",
        "dataset_dict",
        "id_and_prompt_id",
        "id_float",
        "id_null",
        "label_text",
        "messages_text",
        "question_list",
        "response_list",
        "score_nan",
        "score_text",
        "source_and_dataset",
        "source_list",
        "system_prompt_null",
    ] {
        let file = format!("{file}.jsonl");
        let valid = place.succeed(&format!("data validate {file}"))?;
        ensure_says(&valid, &["6 records (trl-preference), all valid"])?;
        let rows = converted(&place, &file, "trl-preference-chat")?;
        ensure_preferences(&rows, &[]).with_context(|| file.clone())?;
    }
    told_of(
        &place,
        PREFER,
        "id_and_prompt_id.jsonl",
        &["6 pairs in 6 trees"],
    )?;
    // Policy and reference begin equal.
    ensure_first_loss(&place, std::f64::consts::LN_2)
}

/// What a file of one conversation becomes: its messages, or what it is refused with.
type Read = Result<Vec<Value>, &'static str>;

#[test]
fn messages_of_every_form_are_read_or_refused_by_their_field() -> Result<()> {
    let place = place_with("message_forms")?;
    let user = |text: &str| says("user", text);
    let assistant = |text: &str| says("assistant", text);
    let system = |text: &str| says("system", text);
    let asked = "Which of 1 and 4 is larger?";
    let answered = [user(asked), assistant("4 is larger.")];
    let after = |before: &[Value]| [before, &answered].concat();
    let cases: [(&str, Read, &[&str]); 16] = [
        (
            "content_null",
            Err("field `messages[1]`: a message of `assistant` has no `content`"),
            &[],
        ),
        ("content_parts", Ok(after(&[])), &["1 responses"]),
        ("empty_system", Ok(after(&[system("")])), &["1 responses"]),
        (
            "ends_with_user",
            Ok([&answered[..], &[user("Thanks")]].concat()),
            &[
                "1 with messages after the last answer, which train nothing (row 1",
                "1 responses",
            ],
        ),
        (
            "extra_fields",
            Ok(vec![
                json!({"role": "user", "content": asked, "name": "x"}),
                json!({"role": "assistant", "content": "4 is larger.", "reasoning_content": "think"}),
            ]),
            &["does not write `name` of message 1 (user)"],
        ),
        (
            "role_developer",
            Ok(after(&[says("developer", "Be brief.")])),
            &[
                "1 of the role `developer` are written as `system`",
                "1 responses",
            ],
        ),
        ("role_model", Ok(after(&[])), &["1 responses"]),
        ("role_upper", Ok(after(&[])), &["1 responses"]),
        (
            "sg_function",
            Err("field `conversations[1]`: a message of `function_call` is no call"),
            &[],
        ),
        ("sg_model", Ok(after(&[])), &["1 responses"]),
        ("sg_role_content", Ok(after(&[])), &["1 responses"]),
        // What the assistant says before it was asked is history.
        (
            "sg_starts_gpt",
            Ok(after(&[assistant("Hi")])),
            &["1 responses"],
        ),
        (
            "starts_with_assistant",
            Ok(after(&[assistant("Hello.")])),
            &["1 responses"],
        ),
        (
            "system_late",
            Ok(after(&[
                user("Hi."),
                assistant("Hello."),
                system("Be brief."),
            ])),
            &["2 responses"],
        ),
        (
            "tool",
            Ok(vec![
                user(asked),
                json!({"role": "assistant", "content": "", "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "larger", "arguments": "{}"}}]}),
                says("tool", "4"),
                assistant("4 is larger."),
            ]),
            &["does not write `tool_calls` of message 2 (assistant)"],
        ),
        ("two_users", Ok(after(&[user("Hi.")])), &["1 responses"]),
    ];
    for (name, read, trained) in cases {
        let file = format!("{name}.jsonl");
        let sft = format!("sft --model model --data {file} {OF_A_STEP}");
        match read {
            Ok(messages) => {
                let rows = converted(&place, &file, "trl-messages")?;
                let [row] = &rows[..] else {
                    anyhow::bail!("{file}: {} rows", rows.len());
                };
                ensure!(row["messages"] == json!(messages), "{file}: {row}");
                if trained[0].starts_with("does not write") {
                    let refused = [&format!("row 1 of {file}"), trained[0]];
                    ensure_says(&place.refusal(&sft)?, &refused)?;
                    continue;
                }
                let said = place.told(&sft)?;
                ensure_says(&said, trained).with_context(|| file.clone())?;
                ensure_says(&said, &["1 rows read", "in 1 trees"])?;
            }
            Err(why) => {
                let place_of = format!("row 1 of {file}");
                ensure_says(
                    &violations(&place, &file)?,
                    &[&place_of, why, "1 violation in 1 record "],
                )?;
                let refused = [
                    "1 of 1 rows cannot be trained on: 1 invalid",
                    &place_of,
                    why,
                ];
                ensure_says(&place.refusal(&sft)?, &refused)?;
            }
        }
    }
    Ok(())
}

#[test]
fn conversations_train_every_answer_or_the_last() -> Result<()> {
    let place = place_with("multi_turn_sft")?;
    let all = ["6 rows read", "12 responses to imitate in 6 trees"];
    told_of(&place, "sft", "messages.jsonl", &all)?;
    let last = ["6 responses to imitate in 6 trees"];
    told_of(&place, "sft --last-turn-only", "messages.jsonl", &last)?;
    let mut losses = Vec::new();
    for file in ["alpaca.json", "plain.jsonl", "trlcomp.jsonl"] {
        told_of(&place, "sft", file, &last)?;
        losses.push(place.losses_of("out")?);
        let rows = converted(&place, file, "sft")?;
        ensure!(
            rows.len() == 6 && rows[0]["response"] == "3 is larger.",
            "{rows:?}"
        );
        ensure!(rows[0]["dataset"] == "unknown", "{rows:?}");
    }
    // The same texts in three spellings.
    ensure_near(&losses[0], &losses[1])?;
    ensure_near(&losses[0], &losses[2])?;
    ensure_says(
        &place.refusal("data convert messages.jsonl --to sft --out x.jsonl")?,
        &[
            "row 1 of messages.jsonl",
            "its rows have one user message and its answer",
        ],
    )
}

#[test]
fn preferences_under_other_names_are_the_same_preferences() -> Result<()> {
    let place = place_with("other_preference_columns")?;
    let brief = [says("system", "Be brief.")];
    for (file, before) in [
        ("hh.jsonl", &[][..]),
        ("lf_alpaca.json", &[]),
        ("lf_sharegpt.json", &[]),
        ("mixed_prompt.jsonl", &brief),
        ("orca.jsonl", &brief),
        ("responses.jsonl", &[]),
    ] {
        let rows = converted(&place, file, "trl-preference-chat")?;
        ensure_preferences(&rows, before).with_context(|| file)?;
        told_of(&place, PREFER, file, &["6 rows read", "6 pairs in 6 trees"])?;
        ensure_first_loss(&place, std::f64::consts::LN_2)?;
    }
    Ok(())
}

#[test]
fn preferences_of_trl_train_whatever_is_left_out() -> Result<()> {
    let place = place_with("trl_preference")?;
    let brief = [says("system", "Be brief.")];
    for (file, before) in [
        ("std", &[][..]),
        ("chat", &[]),
        ("sys", &brief),
        ("binarized", &[]),
    ] {
        let file = format!("{file}.jsonl");
        let rows = converted(&place, &file, "trl-preference-chat")?;
        ensure_preferences(&rows, before).with_context(|| file.clone())?;
        told_of(&place, PREFER, &file, &["6 pairs in 6 trees"])?;
        ensure_first_loss(&place, std::f64::consts::LN_2)?;
        told_of(&place, "reward", &file, &["6 pairs in 6 trees"])?;
        let rows = converted(&place, &file, "trl-unpaired-chat")?;
        let labels: Vec<bool> = rows
            .iter()
            .filter_map(|row| row["label"].as_bool())
            .collect();
        ensure!(labels == [true, false].repeat(6), "{labels:?}");
        let pairs = format!("data convert {file} --to pair --out pair.jsonl --overwrite");
        if file == "sys.jsonl" {
            let refused = ["row 1 of sys.jsonl", "its rows have no system message"];
            ensure_says(&place.refusal(&pairs)?, &refused)?;
            continue;
        }
        place.succeed(&pairs)?;
        let rows = lines(&place, "pair.jsonl")?;
        let named = |row: &Value| {
            ["id", "parent_id", "dataset"]
                .iter()
                .all(|it| row[it].is_string())
        };
        ensure!(rows.len() == 6 && rows.iter().all(named), "{rows:?}");
        told_of(&place, PREFER, "pair.jsonl", &["6 pairs in 6 trees"])?;
    }
    ensure_says(
        &place.refusal("data validate std.jsonl chat.jsonl")?,
        &["chat.jsonl is `trl-preference-chat` and std.jsonl is `trl-preference`"],
    )
}

#[test]
fn verdicts_of_every_form_train_and_a_side_that_is_missing_is_told() -> Result<()> {
    let place = place_with("unpaired_forms")?;
    let kto = "prefer --algorithm kto --unpaired";
    for name in ["bool_", "float_", "int_", "str_", "yes"] {
        let file = format!("label_{name}.jsonl");
        let counted = [
            "12 rows read",
            "12 responses, 6 of them desirable, in 6 trees",
        ];
        told_of(&place, kto, &file, &counted)?;
        ensure_first_loss(&place, 0.5)?;
        let rows = converted(&place, &file, "trl-unpaired-chat")?;
        let good = rows.iter().filter(|row| row["label"] == true).count();
        ensure!((rows.len(), good) == (12, 6), "{file}");
    }
    for file in ["all_true.jsonl", "kto_tag.jsonl"] {
        let counted = [
            "6 responses, 6 of them desirable",
            "warning: none is undesirable",
        ];
        told_of(&place, kto, file, &counted)?;
    }
    let run = format!("{kto} --model model --data one_prompt.jsonl {OF_A_STEP}");
    let refused = place.run(&run)?;
    let said = String::from_utf8(refused.stderr)?;
    ensure!(!refused.status.success(), "{said}");
    let words = [
        "6 responses, 3 of them desirable, in 1 trees",
        "there is only one tree",
    ];
    ensure_says(&said, &words)
}
