//! What a checkpoint answers and scores on a GPU is what it does on the CPU, and files of the two are not mixed.
//!
//! Mesa's driver of Vulkan, which computes on the processor, will do. Where there is none, and `EURUS_DEVICES` does not name `wgpu`,
//! nothing is proved.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_support::skip;

use crate::common::{LEVEL, Workplace, ensure_says};
use crate::serve::{TASK, chat, serve};

/// What f32 sums in another order may change of a reward or a log-prob.
const TOLERANCE: f64 = 1e-4;

const ON_GPU: &str = "--device wgpu";

/// A folder with a model and prompts, where there is something to compute with.
fn place() -> Result<Option<Workplace>> {
    let folder = Path::new("/usr/share/vulkan/icd.d");
    let mut drivers = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_there = drivers.any(|it| it.file_name().to_string_lossy().starts_with("lvp_icd"));
    let asked = std::env::var("EURUS_DEVICES").unwrap_or_default();
    if !is_there && !asked.split(',').any(|it| it == "wgpu") {
        skip(
            "there is no driver of Vulkan that computes on the processor (Debian's mesa-vulkan-drivers)",
        );
        return Ok(None);
    }
    let place = Workplace::new()?;
    let prompts: Vec<Value> = (0..6)
        .map(|it| json!({"id": format!("p{it}"), "prompt": format!("What is {it} + 1?")}))
        .collect();
    place.write_rows("prompts.jsonl", &prompts)?;
    Ok(Some(place))
}

fn lines(place: &Workplace, name: &str) -> Result<Vec<Value>> {
    let text = fs::read_to_string(place.path(name))?;
    let lines = text.lines().map(serde_json::from_str);
    Ok(lines.collect::<Result<_, _>>()?)
}

/// All numbers of a value, with the values that are none.
fn numbers(value: &Value, found: &mut Vec<f64>, others: &mut Vec<String>) {
    match value {
        Value::Number(number) => found.push(number.as_f64().unwrap_or(f64::NAN)),
        Value::Array(all) => all.iter().for_each(|it| numbers(it, found, others)),
        Value::Object(all) => all.values().for_each(|it| numbers(it, found, others)),
        other => others.push(other.to_string()),
    }
}

fn ensure_near(left: &[Value], right: &[Value]) -> Result<()> {
    ensure!(left.len() == right.len() && !left.is_empty());
    for (left, right) in left.iter().zip(right) {
        let [mut a, mut b] = [Vec::new(), Vec::new()];
        let [mut texts, mut other_texts] = [Vec::new(), Vec::new()];
        numbers(left, &mut a, &mut texts);
        numbers(right, &mut b, &mut other_texts);
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < TOLERANCE * f64::max(1.0, a.abs());
        let same = texts == other_texts && a.len() == b.len();
        ensure!(same && a.iter().zip(&b).all(near), "{left}\n{right}");
    }
    Ok(())
}

#[test]
fn greedy_answers_are_those_of_the_cpu_and_a_file_has_those_of_one_device() -> Result<()> {
    let Some(place) = place()? else {
        return Ok(());
    };
    let run = "generate --model model --data prompts.jsonl --max-tokens 24 --logprobs";
    let greedy = format!("{run} --temperature 0");
    place.succeed(&format!("{greedy} --out cpu.jsonl"))?;
    place.succeed(&format!("{greedy} {ON_GPU} --out gpu.jsonl"))?;
    ensure_near(&lines(&place, "cpu.jsonl")?, &lines(&place, "gpu.jsonl")?)?;

    // What is drawn comes of the same random numbers: a boundary between two tokens is all that rounding can move.
    let drawn = format!("{run} --samples 4 --seed 3");
    place.succeed(&format!("{drawn} --out cpu.drawn.jsonl"))?;
    place.succeed(&format!(
        "{drawn} {ON_GPU} --max-rows 5 --out gpu.drawn.jsonl"
    ))?;
    let (cpu, gpu) = (
        lines(&place, "cpu.drawn.jsonl")?,
        lines(&place, "gpu.drawn.jsonl")?,
    );
    let pairs = || cpu.iter().zip(&gpu);
    let same = |field: &'static str| pairs().filter(|(a, b)| a[field] == b[field]).count();
    ensure!(cpu.len() == 24 && same("seed") == 24, "{cpu:?}\n{gpu:?}");
    ensure!(
        same("text") >= 22,
        "{} of 24 answers are the same",
        same("text")
    );

    let settings =
        |name: &str| -> Result<Value> { Ok(serde_json::from_slice(&fs::read(place.path(name))?)?) };
    ensure!(settings("cpu.run.json")?["model"].get("device").is_none());
    ensure!(settings("gpu.run.json")?["model"]["device"] == "wgpu");
    for (out, device, says) in [
        (
            "cpu",
            ON_GPU,
            "`model.device` is null there and \"wgpu\" here",
        ),
        ("gpu", "", "`model.device` is \"wgpu\" there and null here"),
    ] {
        let said = place.refusal(&format!("{greedy} {device} --samples 2 --out {out}.jsonl"))?;
        ensure_says(&said, &[&format!("{out}.run.json"), says])?;
    }
    Ok(())
}

#[test]
fn a_server_on_a_gpu_answers_as_the_cpu_does() -> Result<()> {
    let Some(place) = place()? else {
        return Ok(());
    };
    let mut request = chat(16);
    request["temperature"] = json!(0.0);
    let mut answers = Vec::new();
    for device in ["", ON_GPU] {
        let server = serve(&place, &format!("--model model {device}"))?;
        let (status, answer) = server.ask("/v1/chat/completions", "", &request)?;
        ensure!(status == "200", "{answer}");
        let text = answer["choices"][0]["message"]["content"].as_str();
        answers.push(text.context("an answer")?.to_owned());
        server.kill()?;
    }
    ensure!(
        answers[0] == answers[1] && !answers[0].is_empty(),
        "{answers:?}"
    );
    Ok(())
}

#[test]
fn scores_on_a_gpu_are_near_those_of_the_cpu() -> Result<()> {
    let Some(place) = place()? else {
        return Ok(());
    };
    let train = "--data pairs.jsonl --epochs 2 --trees-per-step 3 --learning-rate 3e-3";
    place.succeed(&format!("reward --model model {train} --out rm"))?;
    place.succeed(&format!(
        "prefer --model model --algorithm dpo {train} --out dpo"
    ))?;
    let run = "score --model rm --policy dpo --reference model --data pairs.jsonl --each-turn";
    place.succeed(&format!("{run} --out cpu.jsonl"))?;
    place.succeed(&format!("{run} {ON_GPU} --out gpu.jsonl"))?;
    ensure_near(&lines(&place, "cpu.jsonl")?, &lines(&place, "gpu.jsonl")?)?;

    // The benchmark of a reward model takes the same way.
    let bench = "eval rm pairs --data pairs.jsonl --model rm --json";
    let accuracy = |device: &str| -> Result<Value> {
        Ok(serde_json::from_str(
            &place.succeed(&format!("{bench} {device}"))?,
        )?)
    };
    ensure_near(&[accuracy("")?], &[accuracy(ON_GPU)?])?;

    // Scores that were broken off, here by a row that is none, are not gone on with on another device.
    let row = json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]});
    place.write_rows("broken.jsonl", &[row, json!({"id": 3})])?;
    let run = "score --model rm --data broken.jsonl --out other.jsonl";
    let said = place.refusal(&format!("{run} {ON_GPU}"))?;
    ensure_says(&said, &["row 2 of broken.jsonl"])?;
    let said = place.refusal(run)?;
    ensure_says(&said, &["other.jsonl.unfinished", "of another `device`"])?;
    Ok(())
}

#[test]
fn a_benchmark_is_run_on_a_gpu_and_its_folder_has_the_answers_of_one_device() -> Result<()> {
    let Some(place) = place()? else {
        return Ok(());
    };
    fs::write(place.path("sums.toml"), TASK)?;
    let rows: Vec<Value> = (0..12)
        .map(|it| json!({"question": format!("{it} + 1"), "answer": it + 1}))
        .collect();
    place.write_rows("sums.jsonl", &rows)?;
    let run = "eval run --task sums.toml --model model --limit 3 --json --out run";
    let told = place.succeed(&format!("{run} {ON_GPU}"))?;
    let summary: Value = serde_json::from_str(&told)?;
    let identity = &summary["run"]["model"]["identity"];
    ensure!(identity["device"] == "wgpu", "{summary}");
    let said = place.refusal(run)?;
    ensure_says(
        &said,
        &["run.json", "`model.identity.device` is \"wgpu\" there"],
    )
}

#[test]
fn trees_are_built_by_a_checkpoint_on_a_gpu_and_a_store_has_those_of_one_device() -> Result<()> {
    let Some(place) = place()? else {
        return Ok(());
    };
    let problem =
        json!({"id": "a", "task": "Math_CoT", "instruction": "What is 1 + 1?", "answer": "2"});
    place.write_rows("problems.jsonl", &[problem])?;
    let run_file = |device: &str| {
        let text = format!(
            "[actors]\ncheap = \"small\"\nsamples = 2\n[sampling]\nmax_tokens = 8\n[trees]\nmax_turns = 2\n\
             [sandbox]\nrequire = \"{}\"\ninterpreters = 1\n[endpoints.small]\ncheckpoint = \"model\"\n{device}",
            *LEVEL
        );
        fs::write(place.path("synth.toml"), text)
    };
    let run = "synth run --config synth.toml --data problems.jsonl --store run.db";
    run_file("device = \"wgpu\"\n")?;
    let said = place.succeed(run)?;
    ensure_says(&said, &["1 of 1 problems are done"])?;
    run_file("")?;
    let said = place.refusal(run)?;
    ensure_says(&said, &["/endpoints/small/device = \"wgpu\"", "--fork"])
}
