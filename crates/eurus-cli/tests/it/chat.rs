//! `eurus chat`, as its users run it, from a pipe.

use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_support::servers::{ChatServer, Reply};

use crate::common::{Workplace, ensure_says};

/// What the program says to these lines.
fn said_to(place: &Workplace, command: &str, lines: &str) -> Result<String> {
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    let mut child = place
        .command(&words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("a pipe")?;
    stdin.write_all(lines.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{errors}");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn a_conversation_goes_on_with_the_answer_that_was_taken_and_is_saved_as_a_row() -> Result<()> {
    let place = Workplace::new()?;
    let server = ChatServer::answering(|call| {
        let asked = call.body["messages"].as_array().map_or(0, Vec::len);
        let texts: Vec<String> = (0..call.samples())
            .map(|sample| format!("{asked} messages, answer {sample}"))
            .collect();
        Reply::texts(&texts)
    });
    let command = format!("chat --model {} --served-name m", server.base_url);
    let lines = "/system Be brief.\n/samples 2\nHello\n/take 2\n/samples 1\nMore\n/save a.jsonl\n/undo\n/save a.jsonl\n/sampels 3\n/quit\nnot read\n";
    let said = said_to(&place, &command, lines)?;
    ensure_says(
        &said,
        &[
            "[1] 2 messages, answer 0",
            "[2] 2 messages, answer 1",
            "going on with answer 2",
            "4 messages, answer 0",
            "there is no /sampels",
        ],
    )?;
    let rows = std::fs::read_to_string(place.path("a.jsonl"))?;
    let rows: Vec<Value> = rows
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let texts = |row: &Value| -> Vec<String> {
        let messages = row["messages"].as_array().cloned().unwrap_or_default();
        messages
            .iter()
            .map(|it| it["content"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let whole = [
        "Be brief.",
        "Hello",
        "2 messages, answer 1",
        "More",
        "4 messages, answer 0",
    ];
    ensure!(texts(&rows[0]) == whole, "{rows:?}");
    ensure!(texts(&rows[1]) == whole[..3], "{rows:?}");
    ensure_says(&place.succeed("data stats a.jsonl")?, &["# Instructions"])
}

#[test]
fn a_checkpoint_talks_the_same_from_the_same_seed_and_what_it_cannot_read_ends_nothing()
-> Result<()> {
    let place = Workplace::new()?;
    let long = "word ".repeat(3000);
    let lines = format!("one two\n{long}\nthree\n");
    let command = "chat --model model --max-tokens 12 --seed 3";
    let said = said_to(&place, command, &lines)?;
    ensure!(said == said_to(&place, command, &lines)?);
    ensure_says(&said, &["context"])?;
    ensure!(
        said_to(
            &place,
            "chat --model model --max-tokens 12 --seed 4",
            &lines
        )? != said
    );
    Ok(())
}
