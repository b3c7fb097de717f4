//! Rows as other tools write them, file by file: what is said, how many rows are used, and what they become.
//!
//! The files lie in `tests/cases`, a folder for each kind of form.

use crate::common::{Workplace, ensure_near, ensure_says};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

const OF_A_STEP: &str = "--max-steps 1 --learning-rate 1e-5 --out out --overwrite";

/// The model, and the files of a folder.
fn place_with(folder: &str) -> Result<Workplace> {
    let place = Workplace::new()?;
    let cases = format!("{}/tests/cases/{folder}", env!("CARGO_MANIFEST_DIR"));
    for file in std::fs::read_dir(&cases).with_context(|| cases.clone())? {
        let file = file?;
        std::fs::copy(file.path(), place.path(&file.file_name().to_string_lossy()))?;
    }
    Ok(place)
}

/// The rows that a file becomes in another format.
fn converted(place: &Workplace, file: &str, to: &str) -> Result<Vec<Value>> {
    place.succeed(&format!(
        "data convert {file} --to {to} --out converted.jsonl --overwrite"
    ))?;
    lines(place, "converted.jsonl")
}

fn lines(place: &Workplace, file: &str) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(place.path(file))?;
    text.lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

fn told_of(place: &Workplace, command: &str, file: &str, says: &[&str]) -> Result<()> {
    let run = format!("{command} --model model --data {file} {OF_A_STEP}");
    ensure_says(&place.told(&run)?, says).map_err(|it| it.context(file.to_owned()))
}

/// What `validate` says of a file that has violations.
fn violations(place: &Workplace, file: &str) -> Result<String> {
    let output = place.run(&format!("data validate {file}"))?;
    ensure!(
        output.status.code() == Some(1),
        "{file}: {:?}",
        output.status
    );
    Ok(String::from_utf8([output.stdout, output.stderr].concat())?)
}

fn says(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

const ASKED: &str = "Which of 0 and 3 is larger?";

/// Every one of these files has six preferences of the same texts; a system message stands before some.
fn ensure_preferences(rows: &[Value], before: &[Value]) -> Result<()> {
    ensure!(rows.len() == 6, "{} rows", rows.len());
    for (n, row) in rows.iter().enumerate() {
        let mut prompt = before.to_vec();
        prompt.push(says(
            "user",
            &format!("Which of {n} and {} is larger?", n + 3),
        ));
        ensure!(row["prompt"] == json!(prompt), "{row}");
        let answer = |n: usize| json!([says("assistant", &format!("{n} is larger."))]);
        ensure!(row["chosen"] == answer(n + 3), "{row}");
        ensure!(row["rejected"] == answer(n), "{row}");
    }
    Ok(())
}

/// The loss of the only step of a run.
fn ensure_first_loss(place: &Workplace, expected: f64) -> Result<()> {
    let losses = place.losses_of("out")?;
    // As it is printed in f32.
    ensure_near(&losses, &[f64::from(expected as f32)])
}

const PREFER: &str = "prefer --algorithm dpo";

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
fn the_papers_presets_train_as_json_lines_and_as_tables() -> Result<()> {
    let place = place_with("paper_mixtures")?;
    let mix = "data mix --seed 1 --overwrite --preset";
    for ending in ["jsonl", "parquet"] {
        let said = place.succeed(&format!("{mix} eurus-7b-sft --out sft.{ending} --source ultrainteract=ui_sft.jsonl --source ultrachat=uc.jsonl --source sharegpt=sg.jsonl --source openorca=oo.jsonl --take ultrachat=all --take sharegpt=all --take openorca=all"))?;
        ensure_says(
            &said,
            &["32 rows (trl-messages)", "ultrachat: 8 of 8 rows (all)"],
        )?;
        let file = format!("sft.{ending}");
        told_of(
            &place,
            "sft",
            &file,
            &["32 rows read", "40 responses to imitate in 20 trees"],
        )?;
        let said = place.succeed(&format!("{mix} eurus-preference --out pairs.{ending} --source ultrainteract=ui_pair.jsonl --source ultrafeedback=uf.jsonl"))?;
        ensure_says(
            &said,
            &[
                "40 rows (trl-preference-chat)",
                "ultrafeedback: 24 of 24 rows",
            ],
        )?;
        let file = format!("pairs.{ending}");
        told_of(
            &place,
            PREFER,
            &file,
            &["40 rows read", "40 pairs in 16 trees"],
        )?;
        ensure_first_loss(&place, std::f64::consts::LN_2)?;
        told_of(&place, "reward", &file, &["40 pairs in 16 trees"])?;
    }
    told_of(
        &place,
        PREFER,
        "uf.jsonl",
        &["8 rows read", "24 pairs in 8 trees"],
    )?;
    let scored = "prefer --scored --loss nca-k";
    told_of(
        &place,
        scored,
        "uf.jsonl",
        &["8 prompts with 24 scored responses"],
    )
}

#[test]
fn the_mixture_of_reward_models_ranks_what_it_should_only_rank() -> Result<()> {
    let place = place_with("rm_mixture")?;
    place.succeed("data augment ui_pair.jsonl --out augmented.jsonl --seed 1")?;
    for ending in ["jsonl", "parquet"] {
        let said = place.succeed(&format!("data mix --preset eurus-rm-7b --seed 1 --overwrite --out mix.{ending} --source ultrainteract=ui_pair.jsonl --source augmented=augmented.jsonl --source ultrafeedback=uf.jsonl --source ultrasafety=us.jsonl"))?;
        ensure_says(
            &said,
            &["48 rows (trl-preference-chat)", "ultrasafety: 8 of 8 rows"],
        )?;
        told_of(
            &place,
            "reward --rank-only ultrafeedback,ultrasafety",
            &format!("mix.{ending}"),
            &[
                "48 rows read",
                "48 pairs in 16 trees, 16 of them only ranked",
            ],
        )?;
    }
    Ok(())
}

#[test]
fn tables_of_other_tools_have_the_same_rows() -> Result<()> {
    let place = place_with("parquet")?;
    let expected = converted(&place, "plain.parquet", "pair")?;
    ensure!(expected.len() == 12, "{} rows", expected.len());
    for file in [
        "binary_text.parquet",
        "brotli.parquet",
        "dictionary.parquet",
        "large_string.parquet",
        "lz4.parquet",
        "odd_types.parquet",
        "pandas_index.parquet",
        "snappy_small_groups.parquet",
        "string_view.parquet",
        "zstd_v2.parquet",
        "x.arrow",
    ] {
        let valid = place.succeed(&format!("data validate {file}"))?;
        ensure_says(&valid, &["12 records (pair), all valid"])?;
        ensure!(converted(&place, file, "pair")? == expected, "{file}");
    }
    let texts = |rows: &[Value]| -> Vec<[Value; 3]> {
        let text = |row: &Value| ["trajectory", "chosen", "rejected"].map(|it| row[it].clone());
        rows.iter().map(text).collect()
    };
    // Ids of another type, and none.
    for file in ["numeric_id.parquet", "json_in_string.parquet"] {
        let rows = converted(&place, file, "pair")?;
        ensure!(texts(&rows) == texts(&expected), "{file}: {rows:?}");
    }
    for file in ["plain.parquet", "binary_text.parquet", "x.arrow"] {
        told_of(
            &place,
            PREFER,
            file,
            &["12 rows read", "12 pairs in 6 trees"],
        )?;
        ensure_first_loss(&place, std::f64::consts::LN_2)?;
    }
    let empty = place.refusal("data validate no_rows.parquet")?;
    ensure_says(&empty, &["no_rows.parquet: there is no record in it"])?;
    // What other rows have is null in a table; in one row it is set, and the template has no place for it.
    let rows = converted(&place, "unified_nulls.parquet", "trl-preference-chat")?;
    let calls: Vec<&Value> = rows
        .iter()
        .map(|row| &row["rejected"][0]["tool_calls"])
        .collect();
    ensure!(
        rows.len() == 6 && calls[3][0]["function"]["name"] == "x",
        "{calls:?}"
    );
    ensure!(
        calls.iter().filter(|calls| calls.is_null()).count() == 5,
        "{calls:?}"
    );
    let run = format!("{PREFER} --model model --data unified_nulls.parquet {OF_A_STEP}");
    let why = "does not write `tool_calls`";
    ensure_says(&place.refusal(&run)?, &["row 4 of row group 1", why])?;
    let dropped = [
        "6 rows read; dropped: 1 invalid (row 4",
        why,
        "5 pairs in 5 trees",
    ];
    let run = format!("{PREFER} --drop-unusable");
    told_of(&place, &run, "unified_nulls.parquet", &dropped)
}

#[test]
fn columns_of_other_types_do_not_matter_in_tables() -> Result<()> {
    let place = place_with("parquet_time_column")?;
    let expected = converted(&place, "naive.parquet", "pair")?;
    ensure!(expected.len() == 12, "{} rows", expected.len());
    for file in [
        "binary_bytes",
        "date",
        "decimal",
        "duration",
        "half",
        "map",
        "nan",
        "tz_city",
        "tz_utc",
    ] {
        let file = format!("{file}.parquet");
        let valid = place.succeed(&format!("data validate {file}"))?;
        ensure_says(&valid, &["12 records (pair), all valid"])?;
        ensure!(converted(&place, &file, "pair")? == expected, "{file}");
    }
    told_of(&place, PREFER, "tz_city.parquet", &["12 pairs in 6 trees"])
}

#[test]
fn scores_of_every_form_rank_answers_and_what_has_none_is_told() -> Result<()> {
    let place = place_with("scored_forms")?;
    let scored = "prefer --scored --loss nca-k";
    for (name, better, worse) in [
        ("annotations_list", 5.0, 2.0),
        ("fine_only", 4.5, 2.0),
        ("generations", 5.0, 2.0),
        ("nectar", -1.0, -2.0),
        ("overall", 8.0, 3.0),
        ("ratings", 5.0, 2.0),
        ("text_score", 8.0, 3.0),
    ] {
        let file = format!("{name}.jsonl");
        let rows = converted(&place, &file, "trl-preference-chat")?;
        ensure_preferences(&rows, &[]).with_context(|| file.clone())?;
        let scores = [&rows[0]["score_chosen"], &rows[0]["score_rejected"]];
        ensure!(
            scores == [&json!(better), &json!(worse)],
            "{file}: {scores:?}"
        );
        told_of(
            &place,
            scored,
            &file,
            &["6 prompts with 12 scored responses in 6 trees"],
        )?;
    }
    for file in ["na.jsonl", "ties.jsonl"] {
        let said = place.succeed(&format!(
            "data convert {file} --to trl-preference --out x.jsonl --overwrite"
        ))?;
        let nothing = format!(
            "0 rows (trl-preference) in x.jsonl; 6 records give no row (first: row 1 of {file})"
        );
        ensure_says(&said, &[&nothing])?;
        let run = format!("{scored} --model model --data {file} {OF_A_STEP}");
        let refused = "6 of 6 rows cannot be trained on: 6 with fewer than two scored answers";
        ensure_says(&place.refusal(&run)?, &[refused])?;
    }
    Ok(())
}

#[test]
fn scores_that_contradict_their_ratings_are_warned_of_and_the_ratings_can_be_taken() -> Result<()> {
    let place = place_with("ultrafeedback_ten")?;
    let output = place.run("data validate uf.jsonl")?;
    let said = String::from_utf8([output.stdout, output.stderr].concat())?;
    ensure!(output.status.success(), "{said}");
    for row in 1..=6 {
        let warned = format!(
            "warning: row {row} of uf.jsonl: field `completions[1].overall_score` is 10, and the mean of the ratings beside it is 1"
        );
        ensure_says(&said, &[&warned])?;
    }
    ensure_says(&said, &["6 records (ultrafeedback), all valid; 6 warnings"])?;

    let convert = "data convert uf.jsonl --to trl-preference-chat --out x.jsonl --overwrite";
    let doubted = "6 records have a score that the ratings beside it contradict, --score-by fine-grained takes the ratings (first: row 1 of uf.jsonl)";
    ensure_says(&place.succeed(convert)?, &[doubted])?;
    let rows = lines(&place, "x.jsonl")?;
    ensure!(
        rows[0]["chosen"][0]["content"] == "0 is larger.",
        "{}",
        rows[0]
    );
    let said = place.succeed(&format!("{convert} --score-by fine-grained"))?;
    ensure!(!said.contains("contradict"), "{said}");
    let rows = lines(&place, "x.jsonl")?;
    ensure_preferences(&rows, &[])?;
    ensure!(rows[0]["score_chosen"] == 5.0 && rows[0]["score_rejected"] == 1.0);

    let warned = [
        "warning: 6 with a doubtful score (first: row 1",
        "--score-by fine-grained takes the ratings",
        "6 pairs in 6 trees",
    ];
    told_of(&place, PREFER, "uf.jsonl", &warned)?;
    let run = format!("{PREFER} --score-by fine-grained --model model --data uf.jsonl {OF_A_STEP}");
    let said = place.told(&run)?;
    ensure!(!said.contains("doubtful"), "{said}");
    let mix = "data mix --source a=uf.jsonl --to trl-preference-chat --out mix.jsonl --overwrite";
    ensure_says(
        &place.succeed(mix)?,
        &["6 records have a score that the ratings beside it contradict"],
    )?;
    place.succeed(&format!("{mix} --score-by fine-grained"))?;
    place.succeed("data mix --repeat mix.jsonl.manifest.json --out again.jsonl")?;
    let rows = lines(&place, "again.jsonl")?;
    ensure!(
        rows.iter().all(|row| row["score_chosen"] == 5.0),
        "{rows:?}"
    );
    // Where nothing is ranked the choice says nothing.
    for run in [
        format!(
            "{PREFER} --model model --data x.jsonl --out other --learning-rate 1e-5 --score-by overall"
        ),
        "data convert x.jsonl --to trl-unpaired-chat --out y.jsonl --score-by overall".to_owned(),
    ] {
        let refused = place.refusal(&run)?;
        ensure_says(&refused, &["--score-by overall has no effect"])?;
    }
    Ok(())
}

#[test]
fn the_oddities_of_released_rows_are_read_or_told_by_row() -> Result<()> {
    let place = place_with("ultrainteract_rows")?;
    for name in [
        "differ_in_space_only",
        "no_task",
        "null_parent",
        "numeric_ids",
        "one_parent_for_all",
        "repeats_earlier_action",
        "task_spelling",
    ] {
        let file = format!("{name}.jsonl");
        let valid = place.succeed(&format!("data validate {file}"))?;
        ensure_says(&valid, &["6 records (pair), all valid"])?;
        told_of(
            &place,
            PREFER,
            &file,
            &["6 rows read", "6 pairs in 3 trees"],
        )?;
        ensure_first_loss(&place, std::f64::consts::LN_2)?;
    }
    let twice = "row 7 of dup_ids.jsonl: has the same record as row 1 of dup_ids.jsonl";
    ensure_says(&violations(&place, "dup_ids.jsonl")?, &[twice])?;
    let counted = [
        "8 rows read",
        "1 duplicate (row 7: the same as row 1)",
        "8 pairs in 3 trees",
    ];
    told_of(&place, PREFER, "dup_ids.jsonl", &counted)?;
    for (name, rows, kind, why) in [
        (
            "empty_action_in_history",
            1,
            "empty",
            "row 2 of empty_action_in_history.jsonl: field `trajectory[1].value` is empty",
        ),
        (
            "empty_observation",
            1,
            "empty",
            "row 2 of empty_observation.jsonl: field `trajectory[2].value` is empty",
        ),
        (
            "human_gpt_trajectory",
            6,
            "invalid",
            "row 1 of human_gpt_trajectory.jsonl: field `trajectory[0].from`: unknown variant `human`",
        ),
        (
            "other_task",
            6,
            "invalid",
            "row 1 of other_task.jsonl: field `task`: unknown task `Chat`",
        ),
        (
            "system_in_trajectory",
            6,
            "invalid",
            "row 1 of system_in_trajectory.jsonl: field `trajectory[0].from`: unknown variant `system`",
        ),
    ] {
        let invalid = format!("in 6 records (pair), {rows} of which are invalid by themselves");
        let said = violations(&place, &format!("{name}.jsonl"))?;
        ensure_says(&said, &[why, &invalid])?;
        let run = format!("{PREFER} --model model --data {name}.jsonl {OF_A_STEP}");
        let refused = format!("{rows} of 6 rows cannot be trained on: {rows} {kind}");
        ensure_says(&place.refusal(&run)?, &[why, &refused])?;
        let dropping = place.run(&format!("{run} --drop-unusable"))?;
        let said = String::from_utf8(dropping.stderr)?;
        let dropped = format!("6 rows read; dropped: {rows} {kind}");
        ensure_says(&said, &[&dropped])?;
        ensure!(dropping.status.success() == (rows < 6), "{said}");
    }
    Ok(())
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

#[test]
fn one_row_that_is_too_long_costs_that_row_alone() -> Result<()> {
    let place = Workplace::new()?;
    let row = |n: usize| json!({"prompt": format!("{n} bags?"), "chosen": "Answer: 6", "rejected": "Answer: 7"});
    let mut long = row(2);
    long["chosen"] = json!("6".repeat(70 << 20));
    let rows = [row(1), long, row(3), row(4)].map(|row| row.to_string());
    for (file, text, second) in [
        ("rows.jsonl", rows.join("\n"), "row 2 of rows.jsonl"),
        (
            "rows.json",
            format!("[{}]", rows.join(",")),
            "element 2 of rows.json",
        ),
    ] {
        std::fs::write(place.path(file), text)?;
        let why = format!(
            "{second}: the record has {} bytes, more than 67108864, and was not read",
            rows[1].len()
        );
        let said = violations(&place, file)?;
        ensure_says(&said, &[&why, "1 violation in 4 records"])?;
        let said = place.succeed(&format!("data convert {file} --to trl-preference --out x.jsonl --skip-invalid rejects.jsonl --overwrite"))?;
        ensure_says(
            &said,
            &["3 rows (trl-preference)", "1 invalid records left out"],
        )?;
        let dropping = format!("{PREFER} --drop-unusable");
        told_of(
            &place,
            &dropping,
            file,
            &["4 rows read; dropped: 1 invalid", "3 pairs in 3 trees"],
        )?;
    }
    Ok(())
}

#[test]
fn the_last_row_is_read_before_anything_is_rendered_and_weights_before_rows() -> Result<()> {
    let place = Workplace::new()?;
    let mut rows: Vec<Value> = (0..2000)
        .map(|n| json!({"prompt": format!("{n} bags?"), "chosen": "6", "rejected": "7"}))
        .collect();
    rows.push(json!({"prompt": "How many?", "chosen": "6"}));
    place.write_rows("rows.jsonl", &rows)?;
    let said = violations(&place, "rows.jsonl")?;
    let why = "row 2001 of rows.jsonl: field `rejected`: is missing";
    ensure_says(&said, &[why, "1 violation in 2,001 records"])?;
    let run = format!("{PREFER} --model model --data rows.jsonl {OF_A_STEP}");
    let refused = ["1 of 2001 rows cannot be trained on: 1 invalid", why];
    for run in [run.clone(), format!("plan {run}")] {
        ensure_says(&place.refusal(&run)?, &refused)?;
    }
    std::fs::remove_file(place.path("model/model.safetensors"))?;
    for run in [run.clone(), format!("plan {run}")] {
        let said = place.refusal(&run)?;
        ensure!(
            said.contains("safetensors") && !said.contains("row 2001"),
            "{said}"
        );
    }
    Ok(())
}
