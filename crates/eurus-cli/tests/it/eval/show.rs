//! `eurus eval show`.

use anyhow::{Result, ensure};
use eurus::forest::ChatTokenizer;
use serde_json::{Value, json};

use crate::common::{Workplace, ensure_says};

/// A folder with two problems of SVAMP.
fn with_svamp() -> Result<Workplace> {
    let place = Workplace::new()?;
    let row = |id: &str, body: &str, answer: f64| json!({ "ID": id, "Body": body, "Question": "How many?", "Equation": "", "Answer": answer, "Type": "Addition" });
    let rows = json!([row("chal-1", "2 and 3", 5.0), row("chal-2", "4 and 5", 9.0)]);
    std::fs::write(place.path("SVAMP.json"), rows.to_string())?;
    Ok(place)
}

#[test]
fn the_first_prompt_is_shown_with_the_right_answer() -> Result<()> {
    let place = with_svamp()?;
    let text = place.succeed("eval show svamp --data .")?;
    let says = [
        "SVAMP (svamp), version 1, setting cot",
        "note: 2 items, where the published data have 1000",
        "item chal-1, type Addition",
        "--- user\nSolve the following math problem step-by-step.",
        "\n2 and 3. How many?\n",
        "at most 1024 tokens",
        "--- the right answer\n5\n",
    ];
    ensure_says(&text, &says)?;
    let text = place.succeed("eval show svamp --data SVAMP.json --setting pot --item 1")?;
    let says = [
        "setting pot",
        "--- system\nTool available:",
        "4 and 5. How many?",
        "2048 tokens",
    ];
    ensure_says(&text, &says)
}

#[test]
fn with_a_model_its_text_and_tokens_are_shown() -> Result<()> {
    let place = with_svamp()?;
    let shown = |more: &str| -> Result<Value> {
        let text = place.succeed(&format!(
            "eval show svamp --data . --model model --json{more}"
        ))?;
        Ok(serde_json::from_str(&text)?)
    };
    let cot = shown("")?;
    let tokenizer = ChatTokenizer::from_folder(place.path("model"))?;
    let tokens: Vec<u32> = serde_json::from_value(cot["sent"]["tokens"].clone())?;
    let text = tokenizer.decode_with_special_tokens(&tokens)?;
    ensure!(cot["sent"]["text"] == text, "{text}");
    ensure!(
        text.starts_with("<|im_start|>user\nSolve the following"),
        "{text}"
    );
    ensure!(text.ends_with("<|im_start|>assistant\n"), "{text}");
    ensure!(cot["item"]["gold"] == 5 && cot["data_sha256"].is_string());
    // This tokenizer begins texts with nothing, so that once more is the same.
    ensure!(shown(" --bos template")?["sent"]["tokens"] == cot["sent"]["tokens"]);
    ensure!(cot["sent"]["bos_count"] == 0);
    let pot = shown(" --setting pot")?;
    ensure!(
        pot["sent"]["without_system"] == false,
        "ChatML knows the system"
    );
    let text = place.succeed("eval show svamp --data . --model model")?;
    ensure_says(
        &text,
        &[
            "--- the prompt as sent, ",
            "--- its ",
            "no token of its own",
        ],
    )
}

#[test]
fn the_token_that_begins_a_text_is_counted_once_and_twice() -> Result<()> {
    let place = with_svamp()?;
    let path = place.path("model/tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    let begin = "<|im_start|>";
    let id = ChatTokenizer::from_folder(place.path("model"))?.encode_text(begin)?;
    tokenizer["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [{ "SpecialToken": { "id": begin, "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
        "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 0 } }],
        "special_tokens": { begin: { "id": begin, "ids": id, "tokens": [begin] } },
    });
    std::fs::write(&path, tokenizer.to_string())?;
    let shown = |more: &str| -> Result<Value> {
        let text = place.succeed(&format!(
            "eval show svamp --data . --model model --json {more}"
        ))?;
        Ok(serde_json::from_str::<Value>(&text)?["sent"].take())
    };
    let (twice, once) = (shown("")?, shown("--bos template")?);
    ensure!(twice["bos"] == begin && twice["bos_count"] == 2, "{twice}");
    ensure!(once["bos_count"] == 1, "{once}");
    ensure!(twice["text"] == once["text"]);
    ensure!(
        twice["tokens"].as_array().map(|it| &it[1..])
            == once["tokens"].as_array().map(|it| &it[..])
    );
    let text = place.succeed("eval show svamp --data . --model model")?;
    ensure_says(&text, &["; <|im_start|> begins them 2 times"])
}

#[test]
fn a_task_of_ones_own_has_its_data_beside_it() -> Result<()> {
    let place = Workplace::new()?;
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/evaluation");
    for name in ["own-task.toml", "own-task.jsonl"] {
        std::fs::copy(format!("{docs}/{name}"), place.path(name))?;
    }
    let text = place.succeed("eval show own-task.toml")?;
    let page = std::fs::read_to_string(format!("{docs}/own-task.md"))?;
    ensure!(
        page.contains(text.trim_end()),
        "the page shows something else than\n{text}"
    );
    Ok(())
}

#[test]
fn what_is_not_there_is_named_with_what_is_meant() -> Result<()> {
    let place = with_svamp()?;
    for (line, says) in [
        (
            "eval show swamp --data .",
            "there is no task `swamp`; did you mean `svamp`?",
        ),
        (
            "eval show svamp --data . --setting pott",
            "did you mean `pot`?",
        ),
        (
            "eval show svamp",
            "SVAMP.json, with the fields ID, Body, Question, Answer, Type; published at",
        ),
        (
            "eval show svamp --data model",
            "model: the data of the task `svamp` are not there: SVAMP.json",
        ),
        (
            "eval show svamp --data . --item 2",
            "--item 2: there are 2 items",
        ),
        ("eval show none.toml", "none.toml: cannot be read"),
        (
            "eval show svamp --data . --model nowhere",
            "nowhere: the model folder (--model) does not exist",
        ),
        (
            "eval show svamp --data . --bos twice",
            "--bos twice has no effect without --model",
        ),
        (
            "eval show svamp --data . --grader author",
            "unknown rules `author`; known are authors and fixed",
        ),
    ] {
        ensure_says(&place.refusal(line)?, &[says])?;
    }
    Ok(())
}
