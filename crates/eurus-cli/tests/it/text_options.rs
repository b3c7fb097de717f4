//! How rows become tokens, from the command line: chat templates, rows that are too long, the report.

use std::fs;

use crate::common::{Workplace, pair_rows};
use anyhow::{Context, Result, ensure};
use eurus::forest::{BuiltInTemplate, ChatTokenizer, Message};
use serde_json::{Value, json};

const PREFER: &str =
    "prefer --model model --data pairs.jsonl --algorithm dpo --out out --max-steps 1";
const SFT: &str = "sft --model model --data sft.jsonl --out out --max-steps 1";

/// What a command that succeeds says on standard error.
fn said(place: &Workplace, arguments: &str) -> Result<String> {
    let output = place.run(arguments)?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "{arguments}: {said}");
    Ok(said)
}

/// A workplace whose second problem has a long first answer in the history of its second turn.
fn with_long_history() -> Result<Workplace> {
    let place = Workplace::new()?;
    let mut rows = pair_rows();
    let long = "7 ".repeat(120) + "so Answer: 7";
    rows[2]["rejected"] = json!(long);
    rows[3]["trajectory"][1]["value"] = json!(long);
    place.write_rows("pairs.jsonl", &rows)?;
    Ok(place)
}

#[test]
fn a_row_that_is_too_long_is_cut_or_dropped_and_counted() -> Result<()> {
    let place = with_long_history()?;
    // The long answer is too long as the response of its own row, and goes from the history of the next row.
    let cut = said(
        &place,
        &format!("{PREFER} --max-path-tokens 250 --over-long cut"),
    )?;
    for words in [
        "11 pairs in 6 trees",
        "2 of 12 pairs are longer than --max-path-tokens = 250",
        "1 dropped because they do not fit even without a history",
        "1 cut, 1 turns with ",
    ] {
        ensure!(cut.contains(words), "`{words}` is missing in:\n{cut}");
    }
    let dropped = said(
        &place,
        &format!("{PREFER} --max-length 250 --over-long drop --overwrite"),
    )?;
    for words in [
        "10 pairs in 5 trees",
        "1 dropped for their history; 1 dropped because they do not fit even without",
    ] {
        ensure!(
            dropped.contains(words),
            "`{words}` is missing in:\n{dropped}"
        );
    }
    let nothing = place.run(&format!(
        "{PREFER} --max-path-tokens 9 --over-long cut --overwrite"
    ))?;
    let message = String::from_utf8(nothing.stderr)?;
    ensure!(nothing.status.code() == Some(1), "{message}");
    ensure!(
        message.contains("no row is left: 12 rows read; 12 longer than"),
        "{message}"
    );
    let sft = place.run(&format!(
        "{SFT} --max-path-tokens 9 --over-long drop --overwrite"
    ))?;
    let message = String::from_utf8(sft.stderr)?;
    ensure!(
        message.contains("no row is left: 6 rows read; 6 longer than"),
        "{message}"
    );
    Ok(())
}

#[test]
fn a_chat_template_by_name_is_used_and_becomes_part_of_the_result() -> Result<()> {
    let place = Workplace::new()?;
    for name in ["tokenizer_config.json", "special_tokens_map.json"] {
        let path = place.path("model").join(name);
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        let fields = config.as_object_mut().context("an object")?;
        fields.remove("chat_template");
        fs::write(&path, config.to_string())?;
    }
    let without = place.run(SFT)?;
    let message = String::from_utf8(without.stderr)?;
    ensure!(message.contains("no chat template"), "{message}");
    ensure!(
        message.contains("choose a built-in one: mistral, llama-2, chatml"),
        "{message}"
    );

    place.succeed(&format!("{SFT} --chat-template mistral"))?;
    let render = |folder: &str| -> Result<String> {
        let tokenizer = ChatTokenizer::from_folder(place.path(folder))?;
        Ok(tokenizer.template().render(&[Message::user("7?")], true)?)
    };
    ensure!(render("out")? == "[INST] 7? [/INST]");

    fs::write(place.path("mine.jinja"), BuiltInTemplate::ChatMl.source())?;
    place.succeed(&format!("{SFT} --chat-template mine.jinja --overwrite"))?;
    ensure!(render("out")?.starts_with("<|im_start|>user\n7?"));

    let unknown = place.run(&format!("{SFT} --chat-template alpaca --overwrite"))?;
    let message = String::from_utf8(unknown.stderr)?;
    ensure!(unknown.status.code() == Some(1), "{message}");
    ensure!(
        message.contains(
            "alpaca: --chat-template is neither auto, nor one of mistral, llama-2, chatml, qwen3, qwen3-thinking, \
             smollm3, llama-3, nor a file"
        ),
        "{message}"
    );
    Ok(())
}

#[test]
fn tokens_that_differ_from_those_of_the_whole_text_are_counted_and_shown() -> Result<()> {
    let place = Workplace::new()?;
    let clean = said(&place, PREFER)?;
    ensure!(clean.contains("tokens: 0 of 18 paths differ"), "{clean}");
    ensure!(clean.contains("compared 6 of 6 trees"), "{clean}");
    ensure!(!clean.contains("--show-tokenization"), "{clean}");

    // A template that breaks a word of the vocabulary in two.
    let source = "{% for m in messages %}{% if m.role == 'user' %}Q: {{ m.content }} Ans{% else %}wer: \
        {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}";
    fs::write(place.path("mine.jinja"), source)?;
    let own = format!("{PREFER} --overwrite --chat-template mine.jinja");
    let counted = said(&place, &own)?;
    ensure!(counted.contains("of 18 paths differ"), "{counted}");
    ensure!(
        counted.contains("--show-tokenization shows where"),
        "{counted}"
    );
    let shown = said(&place, &format!("{own} --show-tokenization"))?;
    ensure!(shown.contains("in the whole text"), "{shown}");
    ensure!(shown.contains("p2, node "), "{shown}");
    Ok(())
}

#[test]
fn the_summary_says_how_full_forests_were() -> Result<()> {
    let place = Workplace::new()?;
    let summary = place.succeed(PREFER)?;
    ensure!(summary.contains("in forests "), "{summary}");
    let metrics = fs::read_to_string(place.path("out/metrics.jsonl"))?;
    let steps = metrics.lines().filter_map(|line| {
        let event: Value = serde_json::from_str(line).ok()?;
        event["utilization"].as_f64()
    });
    let shares: Vec<f64> = steps.collect();
    ensure!(!shares.is_empty());
    ensure!(shares.iter().all(|share| *share > 0.0 && *share <= 1.0));
    Ok(())
}
