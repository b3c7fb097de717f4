//! `eurus generate`: what is drawn, going on after a kill, bad input.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_support::count;
use test_support::servers::{ChatServer, Reply};

use crate::common::{Workplace, ensure_says};

const GENERATE: &str = "generate --model model --data prompts.jsonl --max-tokens 24 --seed 5";

fn place(prompts: usize) -> Result<Workplace> {
    let place = Workplace::new()?;
    let rows: Vec<Value> = (0..prompts)
        .map(|index| json!({"id": format!("p{index}"), "prompt": format!("What is {index} + 1?")}))
        .collect();
    place.write_rows("prompts.jsonl", &rows)?;
    Ok(place)
}

fn lines(place: &Workplace, name: &str) -> Result<Vec<Value>> {
    let text = fs::read_to_string(place.path(name))?;
    Ok(text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?)
}

fn ensure_same(place: &Workplace, left: &str, right: &str) -> Result<()> {
    ensure!(
        fs::read(place.path(left))? == fs::read(place.path(right))?,
        "{left} and {right} differ"
    );
    Ok(())
}

#[test]
fn answers_do_not_depend_on_the_batch_and_more_samples_are_added_to_those_that_are_there()
-> Result<()> {
    let place = place(6)?;
    let summary = place.succeed(&format!("{GENERATE} --samples 3 --logprobs --out a.jsonl"))?;
    ensure_says(&summary, &["18 answers in a.jsonl", "18 are new"])?;
    place.succeed(&format!(
        "{GENERATE} --samples 3 --logprobs --max-rows 2 --out b.jsonl"
    ))?;
    ensure_same(&place, "a.jsonl", "b.jsonl")?;

    // Other prompts around them, and a sample less at first.
    place.succeed(&format!(
        "{GENERATE} --limit 2 --samples 2 --logprobs --out c.jsonl"
    ))?;
    let more = place.succeed(&format!(
        "{GENERATE} --samples 3 --logprobs --out c.jsonl --json"
    ))?;
    let more: Value = serde_json::from_str(&more)?;
    ensure!(more["new"] == 14 && more["samples"] == 18, "{more}");
    ensure_same(&place, "a.jsonl", "c.jsonl")?;

    let rows = lines(&place, "a.jsonl")?;
    let ids: Vec<_> = rows
        .iter()
        .map(|row| (row["id"].clone(), row["sample"].clone()))
        .collect();
    ensure!(
        ids[..4]
            == [
                (json!("p0"), json!(0)),
                (json!("p0"), json!(1)),
                (json!("p0"), json!(2)),
                (json!("p1"), json!(0))
            ]
    );
    let texts: BTreeSet<&str> = rows.iter().filter_map(|row| row["text"].as_str()).collect();
    ensure!(texts.len() > 12, "the samples are alike: {texts:?}");
    for row in &rows {
        ensure!(row["log_prob"].as_f64().is_some_and(|it| it < 0.0), "{row}");
        ensure!(row["tokens"].as_u64().is_some_and(|it| it <= 24), "{row}");
    }
    Ok(())
}

#[test]
fn prompts_are_those_of_every_kind_of_row() -> Result<()> {
    let place = place(0)?;
    place.write_rows(
        "messages.jsonl",
        &[json!({"messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}]})],
    )?;
    for (data, answers) in [
        ("pairs.jsonl", None),
        ("sft.jsonl", None),
        ("messages.jsonl", Some(1)),
    ] {
        let out = data.replace(".jsonl", ".out.jsonl");
        place.succeed(&format!(
            "generate --model model --data {data} --max-tokens 4 --out {out}"
        ))?;
        let rows = lines(&place, &out)?;
        ensure!(
            answers.is_none_or(|it| it == rows.len()) && !rows.is_empty(),
            "{data}: {rows:?}"
        );
    }
    place.succeed("generate --model model --data sft.jsonl --raw --answer-prefix The --max-tokens 4 --out raw.jsonl")?;
    Ok(())
}

#[test]
fn a_run_that_is_killed_goes_on_where_it_was_and_draws_nothing_twice() -> Result<()> {
    let kills = count("EURUS_KILLS", 2);
    let place = place(40)?;
    let run = format!("{GENERATE} --samples 4 --max-rows 8 --temperature 1.3");
    place.succeed(&format!("{run} --out whole.jsonl"))?;
    let mut had = 0;
    for kill in 0..kills {
        let words: Vec<String> = format!("{run} --out killed.jsonl")
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let mut child = place
            .command(&words)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        // Somewhere between the start and a good part of the rest.
        let more = had + (160 - had) * (kill % 3) / 4;
        for _ in 0..2000 {
            let lines = fs::read_to_string(place.path("killed.jsonl")).unwrap_or_default();
            if lines.lines().count() > more || child.try_wait()?.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill()?;
        child.wait()?;
        let text = fs::read_to_string(place.path("killed.jsonl")).unwrap_or_default();
        let whole = text.matches('\n').count();
        ensure!(whole >= had, "{whole} of {had} are left");
        had = whole;
    }
    let rest = place.succeed(&format!("{run} --out killed.jsonl --json"))?;
    let rest: Value = serde_json::from_str(&rest)?;
    ensure!(rest["new"] == 160 - had, "{had} were there: {rest}");
    ensure!(fs::read(place.path("whole.jsonl"))? == fs::read(place.path("killed.jsonl"))?);
    Ok(())
}

#[test]
fn a_server_is_asked_for_what_is_missing_and_one_that_dies_loses_nothing() -> Result<()> {
    let place = place(5)?;
    let server = ChatServer::answering(|call| match call.last_text().contains('3') {
        true => Reply::status(400, r#"{"error": {"message": "this prompt is refused"}}"#),
        false => Reply::texts(&vec![call.last_text(); call.samples()]),
    });
    let run = format!(
        "generate --model {} --served-name m --data prompts.jsonl --samples 2 --out a.jsonl",
        server.base_url
    );
    let output = place.run(&run)?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "{said}");
    ensure_says(&said, &["not answered: p3: ", "this prompt is refused"])?;
    ensure!(lines(&place, "a.jsonl")?.len() == 8);
    let before = server.calls().len();
    place.run(&run)?;
    let again: Vec<_> = server.calls().split_off(before);
    ensure!(
        again.iter().all(|call| call.last_text().contains('3')),
        "answered prompts were asked again"
    );
    Ok(())
}

#[test]
fn bad_input_is_refused_with_its_place_and_the_remedy() -> Result<()> {
    let place = place(2)?;
    place.write_rows(
        "twice.jsonl",
        &[
            json!({"id": "a", "prompt": "x"}),
            json!({"id": "a", "prompt": "y"}),
        ],
    )?;
    place.write_rows("none.jsonl", &[json!({"id": "a", "text": "x"})])?;
    place.write_rows("answered.jsonl", &[json!({"prompt": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]})])?;
    fs::write(place.path("empty.jsonl"), "")?;
    for (data, says) in [
        (
            "twice.jsonl",
            &["row 2 of twice.jsonl", "`a`", "unique"][..],
        ),
        (
            "none.jsonl",
            &["row 1 of none.jsonl", "`prompt`", "messages"],
        ),
        (
            "answered.jsonl",
            &["row 1 of answered.jsonl", "waits for an answer"],
        ),
        ("empty.jsonl", &["empty.jsonl", "no prompt"]),
        ("absent.jsonl", &["absent.jsonl"]),
    ] {
        let said = place.refusal(&format!(
            "generate --model model --data {data} --out out.jsonl"
        ))?;
        ensure_says(&said, says)?;
        ensure!(!place.path("out.jsonl").exists(), "{data}");
    }
    place.succeed(&format!("{GENERATE} --out out.jsonl"))?;
    let said = place.refusal(&format!("{GENERATE} --temperature 0.5 --out out.jsonl"))?;
    ensure_says(
        &said,
        &[
            "out.run.json",
            "`sampling.temperature` is 1.0 there and 0.5 here",
        ],
    )?;
    let long = json!({"id": "long", "prompt": "many words ".repeat(4000)});
    place.write_rows("long.jsonl", &[long, json!({"id": "short", "prompt": "x"})])?;
    let said = place
        .told("generate --model model --data long.jsonl --max-tokens 4 --out long.out.jsonl")?;
    ensure_says(&said, &["not answered: long: ", "context"])?;
    ensure!(lines(&place, "long.out.jsonl")?.len() == 1);
    Ok(())
}

#[cfg(unix)]
#[test]
fn an_interrupt_keeps_what_is_done_and_says_how_to_go_on() -> Result<()> {
    let place = place(40)?;
    let run = format!("{GENERATE} --samples 8 --max-rows 4 --out a.jsonl");
    let words: Vec<&str> = run.split_whitespace().collect();
    let child = place
        .command(&words)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    for _ in 0..2000 {
        if fs::metadata(place.path("a.jsonl")).is_ok_and(|it| it.len() > 0) {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    crate::interrupts::send(rustix::process::Signal::INT, child.id())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(
        output.status.code() == Some(130),
        "{:?}: {said}",
        output.status
    );
    ensure_says(&said, &["are kept in a.jsonl. Go on with:", "--samples 8"])?;
    let kept = lines(&place, "a.jsonl")?.len();
    ensure!(kept < 320, "it ended before the interrupt");
    place.succeed(&run)?;
    place.succeed(&run.replace("a.jsonl", "b.jsonl"))?;
    ensure!(fs::read(place.path("a.jsonl"))? == fs::read(place.path("b.jsonl"))?);
    lines(&place, "a.jsonl")?.first().context("answers")?;
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_server_that_is_not_there_is_said_at_once_and_the_wait_for_it_can_be_ended() -> Result<()> {
    let place = place(2)?;
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let run = format!(
        "generate --model http://{address}/v1 --data prompts.jsonl --max-tokens 4 --out a.jsonl"
    );
    let mut waits = place.watch(&run)?;
    waits.wait_for(&format!("waiting for the server: http://{address}/v1"))?;
    ensure_says(&waits.said.join("\n"), &["asked again in ", "8 times"])?;
    crate::interrupts::send(rustix::process::Signal::INT, waits.id())?;
    let (status, said) = waits.end()?;
    ensure!(status == Some(130), "{status:?}: {said}");
    ensure!(
        said.matches("waiting for the server").count() == 1,
        "{said}"
    );
    ensure_says(
        &said,
        &["Go on with:", &format!("--model http://{address}/v1")],
    )
}
