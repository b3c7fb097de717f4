//! `eurus score`: rewards and log-ratios of answers, whatever they are computed with.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use rustix::process::Signal;

use crate::common::{Workplace, ensure_says};
use crate::interrupts::send;

/// A reward model and a policy that learned a little.
fn place() -> Result<Workplace> {
    let place = Workplace::new()?;
    let train = "--data pairs.jsonl --epochs 2 --trees-per-step 3 --learning-rate 3e-3";
    place.succeed(&format!("reward --model model {train} --out rm"))?;
    place.succeed(&format!(
        "prefer --model model --algorithm dpo {train} --out dpo"
    ))?;
    Ok(place)
}

fn lines(place: &Workplace, name: &str) -> Result<Vec<Value>> {
    let text = fs::read_to_string(place.path(name))?;
    Ok(text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?)
}

fn number(row: &Value, field: &str) -> Result<f64> {
    row[field]
        .as_f64()
        .with_context(|| format!("no number `{field}` in {row}"))
}

fn sum(row: &Value, field: &str) -> Result<f64> {
    let values = row[field]
        .as_array()
        .with_context(|| format!("no list `{field}`"))?;
    Ok(values.iter().filter_map(Value::as_f64).sum())
}

/// All numbers of a file in order.
fn numbers(value: &Value, found: &mut Vec<f64>) {
    match value {
        Value::Number(number) => found.extend(number.as_f64()),
        Value::Array(items) => items.iter().for_each(|it| numbers(it, found)),
        Value::Object(fields) => fields.values().for_each(|it| numbers(it, found)),
        _ => {}
    }
}

#[test]
fn scores_do_not_depend_on_the_budget_and_pairs_that_were_learned_are_told_apart() -> Result<()> {
    let place = place()?;
    let run = "score --model rm --policy dpo --reference model --data pairs.jsonl --each-turn --each-step";
    place.succeed(&format!("{run} --out a.jsonl"))?;
    place.succeed(&format!("{run} --token-budget 300 --out b.jsonl"))?;
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for (left, right) in lines(&place, "a.jsonl")?
        .iter()
        .zip(lines(&place, "b.jsonl")?)
    {
        numbers(left, &mut a);
        numbers(&right, &mut b);
    }
    ensure!(a.len() == b.len() && !a.is_empty());
    ensure!(
        a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4),
        "{a:?}\n{b:?}"
    );
    let rows = lines(&place, "a.jsonl")?;
    let right = rows.iter().filter(|row| {
        row["chosen"]["implicit_reward"].as_f64() > row["rejected"]["implicit_reward"].as_f64()
    });
    ensure!(right.count() == rows.len(), "{rows:?}");
    for row in rows
        .iter()
        .flat_map(|row| [&row["chosen"], &row["rejected"]])
    {
        // The last turn is what is scored, the steps are its parts, and the turns all that was said.
        let turns = row["turns"].as_array().context("turns")?;
        let last = turns.last().context("a turn")?;
        ensure!(number(last, "implicit_reward")? == number(row, "implicit_reward")?);
        ensure!((sum(row, "steps")? - number(row, "implicit_reward")?).abs() < 1e-5);
        let of_turns: f64 = turns
            .iter()
            .filter_map(|turn| turn["implicit_reward"].as_f64())
            .sum();
        ensure!((of_turns - number(row, "sum_of_turns")?).abs() < 1e-9);
        ensure!(number(row, "least_step")? <= number(row, "implicit_reward")?.max(0.0));
    }
    Ok(())
}

#[test]
fn the_implicit_reward_of_a_model_against_itself_is_0_and_a_tree_has_a_score_on_every_action()
-> Result<()> {
    let place = place()?;
    place.succeed("data convert pairs.jsonl --to tree --out trees.jsonl")?;
    place.succeed(
        "score --policy model --reference model --model rm --data trees.jsonl --out t.jsonl",
    )?;
    let mut nodes = 0;
    for row in lines(&place, "t.jsonl")? {
        for node in row["nodes"].as_array().context("nodes")? {
            nodes += 1;
            ensure!(number(node, "implicit_reward")? == 0.0 && number(node, "log_ratio")? == 0.0);
            ensure!(number(node, "log_prob")? < 0.0);
            number(node, "reward")?;
        }
    }
    ensure!(nodes >= 12, "{nodes} actions");
    Ok(())
}

#[test]
fn answers_of_generate_are_scored_after_their_prompts() -> Result<()> {
    let place = place()?;
    let rows: Vec<Value> = (0..3)
        .map(|it| json!({"id": format!("p{it}"), "prompt": format!("What is {it}?")}))
        .collect();
    place.write_rows("prompts.jsonl", &rows)?;
    place.succeed("generate --model model --data prompts.jsonl --samples 4 --max-tokens 12 --system Short. --answer-prefix So --logprobs --out answers.jsonl")?;
    place.succeed("score --model rm --policy model --no-reference --data answers.jsonl --prompts prompts.jsonl --out s.jsonl")?;
    let scores = lines(&place, "s.jsonl")?;
    ensure!(scores.len() == 12);
    // The same conversations, written out.
    let whole: Vec<Value> = lines(&place, "answers.jsonl")?
        .iter()
        .map(|row| {
            let question = format!("What is {}?", &row["id"].as_str().unwrap_or_default()[1..]);
            let answer = format!("So{}", row["text"].as_str().unwrap_or_default());
            json!({"messages": [
                {"role": "system", "content": "Short."},
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ]})
        })
        .collect();
    place.write_rows("whole.jsonl", &whole)?;
    place.succeed(
        "score --model rm --policy model --no-reference --data whole.jsonl --out w.jsonl",
    )?;
    for (sample, whole) in scores.iter().zip(lines(&place, "w.jsonl")?) {
        for field in ["reward", "log_prob"] {
            ensure!(
                (number(sample, field)? - number(&whole, field)?).abs() < 1e-4,
                "{sample} {whole}"
            );
        }
    }
    Ok(())
}

#[test]
fn what_cannot_be_scored_is_told_and_the_rest_is_scored() -> Result<()> {
    let place = place()?;
    let answer = |text: String| json!({"prompt": "x", "completion": text});
    place.write_rows(
        "long.jsonl",
        &[answer("many words ".repeat(4000)), answer("short".into())],
    )?;
    let told = place.told("score --model rm --data long.jsonl --out l.jsonl")?;
    ensure_says(&told, &["not scored: \"row-1\": has ", "tokens"])?;
    let rows = lines(&place, "l.jsonl")?;
    ensure!(rows.len() == 2 && rows[0]["not_scored"].is_string() && rows[1]["reward"].is_number());
    for (arguments, says) in [
        (
            "--data pairs.jsonl --out o.jsonl",
            &["--model", "--policy"][..],
        ),
        (
            "--policy model --data pairs.jsonl --out o.jsonl",
            &["--reference", "--no-reference"],
        ),
        (
            "--model model --data pairs.jsonl --out o.jsonl",
            &["regression_head"],
        ),
        (
            "--model rm --data pairs.jsonl --out l.jsonl",
            &["l.jsonl", "--overwrite"],
        ),
        (
            "--model rm --data pairs.jsonl --prompts sft.jsonl --out o.jsonl",
            &["--prompts has no effect"],
        ),
    ] {
        ensure_says(&place.refusal(&format!("score {arguments}"))?, says)?;
    }
    Ok(())
}

#[test]
fn interrupted_and_killed_scoring_goes_on_to_the_same_file() -> Result<()> {
    let place = Workplace::new()?;
    let words = |count: usize| vec!["one"; 1 + count % 23].join(" ");
    let rows: Vec<Value> = (0..400)
        .map(|id| {
            let (asked, said) = (words(id / 4), words(id));
            json!({"id": format!("r{id}"), "prompt": asked, "chosen": said, "rejected": "two"})
        })
        .collect();
    place.write_rows("many.jsonl", &rows)?;
    let run = "score --policy model --reference model --data many.jsonl --token-budget 256 --out";
    place.succeed(&format!("{run} whole.jsonl"))?;
    let mut ended = 0;
    for signal in [Signal::INT, Signal::KILL, Signal::TERM] {
        let words: Vec<String> = format!("{run} again.jsonl")
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let child = place
            .command(&words)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let begun = fs::metadata(place.path("again.jsonl.unfinished")).map_or(0, |it| it.len());
        for _ in 0..2000 {
            let now = fs::metadata(place.path("again.jsonl.unfinished")).map_or(0, |it| it.len());
            if now > begun.max(2000) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        send(signal, child.id())?;
        let output = child.wait_with_output()?;
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        if place.path("again.jsonl").exists() {
            break;
        }
        ended += 1;
        if signal != Signal::KILL {
            ensure_says(
                &message,
                &["are kept in again.jsonl.unfinished", "Go on with:"],
            )?;
            ensure!(matches!(output.status.code(), Some(130 | 143)), "{message}");
        }
    }
    ensure!(ended > 0, "it was over before the first interrupt");
    if !place.path("again.jsonl").exists() {
        let other = place.refusal(&format!("{run} again.jsonl --beta 0.3"))?;
        ensure_says(&other, &["another `beta`", "remove the file"])?;
        ensure_says(
            &place.succeed(&format!("{run} again.jsonl"))?,
            &["rows were there"],
        )?;
    }
    ensure!(fs::read(place.path("again.jsonl"))? == fs::read(place.path("whole.jsonl"))?);
    ensure!(!place.path("again.jsonl.unfinished").exists());
    Ok(())
}
