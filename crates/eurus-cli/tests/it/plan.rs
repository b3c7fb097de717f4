//! What a run costs, told before it starts.

use crate::common::{Workplace, ensure_says, events};
use anyhow::{Result, ensure};
use serde_json::Value;

const PREFER: &str =
    "prefer --model model --data pairs.jsonl --algorithm kto --epochs 2 --trees-per-step 4";

fn plan(place: &Workplace, arguments: &str) -> Result<Value> {
    let printed = place.succeed(&format!("plan {arguments} --json"))?;
    Ok(serde_json::from_str(&printed)?)
}

fn sum(steps: &[Value], field: &str) -> u64 {
    steps.iter().filter_map(|step| step[field].as_u64()).sum()
}

#[test]
fn a_plan_has_the_steps_and_tokens_of_the_run() -> Result<()> {
    let place = Workplace::new()?;
    for (command, examples) in [
        (PREFER, 12),
        (
            "reward --model model --data pairs.jsonl --trees-per-step 4",
            12,
        ),
        ("sft --model model --data sft.jsonl --token-budget 150", 6),
    ] {
        let planned = plan(&place, command)?;
        let out = format!("out-{examples}-{}", command.len());
        place.succeed(&format!("{command} --out {out}"))?;
        let steps: Vec<Value> = events(&place.path(&out).join("metrics.jsonl"))?
            .into_iter()
            .filter(|event| event["loss"].is_number() || event["unique_tokens"].is_number())
            .collect();
        let run = &planned["run"];
        ensure!(planned["examples"] == examples, "{planned}");
        ensure!(planned["trees"] == 6, "{planned}");
        ensure!(run["steps"] == steps.len(), "{command}: {planned}");
        for field in ["unique_tokens", "naive_tokens"] {
            ensure!(
                run[field] == sum(&steps, field),
                "{command}: {field}: {run}"
            );
        }
        ensure!(planned["rows"]["read"] == examples, "{planned}");
        for (part, field) in [("memory", "total"), ("time", "flops"), ("time", "seconds")] {
            ensure!(planned[part][field].as_f64() > Some(0.0), "{planned}");
        }
    }
    Ok(())
}

#[test]
fn a_plan_reads_the_headers_of_the_weights_and_writes_nothing() -> Result<()> {
    let place = Workplace::new()?;
    let plan = format!("plan {PREFER} --out runs/kto --snapshot-every 5");
    let before = place.names()?;
    let table = place.succeed(&plan)?;
    ensure_says(
        &table,
        &[
            "optimizer steps",
            "naive tokens",
            "reference tokens",
            "% full",
            "peak memory",
            "GFLOP/s",
        ],
    )?;
    ensure!(before == place.names()?);
    std::fs::remove_file(place.path("model/model.safetensors"))?;
    let message = place.refusal(&plan)?;
    ensure_says(&message, &["model: no model.safetensors"])?;
    ensure!(!message.contains("rows read"), "{message}");
    Ok(())
}

#[test]
fn adapters_have_few_gradients_and_the_reference_costs_a_pass() -> Result<()> {
    let place = Workplace::new()?;
    let full = plan(&place, PREFER)?;
    let adapters = plan(&place, &format!("{PREFER} --lora-rank 2"))?;
    let number = |plan: &Value, part: &str, field: &str| plan[part][field].as_f64();
    ensure!(number(&adapters, "memory", "moments") < number(&full, "memory", "moments"));
    ensure!(number(&adapters, "time", "flops") < number(&full, "time", "flops"));
    let recomputed = plan(&place, &format!("{PREFER} --recompute-activations"))?;
    let activations = |plan: &Value| number(plan, "memory", "activations");
    ensure!(activations(&recomputed) < activations(&full));
    ensure!(number(&recomputed, "time", "flops") > number(&full, "time", "flops"));
    let reward = plan(
        &place,
        "reward --model model --data pairs.jsonl --epochs 2 --trees-per-step 4",
    )?;
    ensure!(full["run"]["reference_tokens"].as_u64() > Some(0), "{full}");
    ensure!(reward["run"]["reference_tokens"] == 0, "{reward}");
    ensure!(number(&reward, "time", "flops") < number(&full, "time", "flops"));
    Ok(())
}

/// Bytes of the tensors in a safetensors file.
fn bytes_of_tensors(file: &std::path::Path) -> Result<u64> {
    let bytes = std::fs::read(file)?;
    let header: [u8; 8] = bytes[..8].try_into()?;
    Ok(bytes.len() as u64 - 8 - u64::from_le_bytes(header))
}

#[test]
fn the_moments_that_are_planned_are_those_that_the_optimizer_keeps() -> Result<()> {
    let place = Workplace::new()?;
    let runs = [
        "sft --model model --data sft.jsonl",
        "sft --model model --data sft.jsonl --lora-rank 4",
        "reward --model model --data pairs.jsonl",
    ];
    for (number, run) in runs.into_iter().enumerate() {
        let mut planned = Vec::new();
        for optimizer in ["adamw", "adafactor"] {
            let run = format!("{run} --optimizer {optimizer} --max-steps 1");
            let bytes = plan(&place, &run)?["memory"]["moments"].as_u64();
            let out = format!("{optimizer}-{number}");
            place.succeed(&format!("{run} --out {out} --snapshot-every 1"))?;
            let snapshot = place.path(&format!("{out}.snapshots/step-00000001"));
            let kept = bytes_of_tensors(&snapshot.join("moments.safetensors"))?;
            ensure!(bytes == Some(kept), "{run}: {bytes:?} planned, {kept} kept");
            planned.push(kept);
        }
        ensure!(planned[1] < planned[0], "{run}: {planned:?}");
    }
    Ok(())
}

#[test]
fn answers_of_an_evaluation_are_planned_up_to_the_context_and_take_what_they_need() -> Result<()> {
    let place = Workplace::new()?;
    let config: Value =
        serde_json::from_str(&std::fs::read_to_string(place.path("model/config.json"))?)?;
    let number = |field: &str| config[field].as_u64().unwrap_or(0);
    let run = "prefer --model model --data pairs.jsonl --algorithm dpo --max-steps 1";
    let eval = format!("{run} --eval pairs.jsonl --eval-samples 2 --eval-max-tokens");
    ensure!(plan(&place, run)?["memory"]["evaluation"] == 0);
    let bytes = |tokens: usize| -> Result<u64> {
        let planned = plan(&place, &format!("{eval} {tokens}"))?;
        Ok(planned["memory"]["evaluation"].as_u64().unwrap_or(0))
    };
    // Two rows of keys and values, one step fewer than tokens.
    let of_token =
        2 * number("num_hidden_layers") * number("num_key_value_heads") * number("head_dim") * 4;
    ensure!(of_token > 0, "{config}");
    ensure!(bytes(105)? - bytes(5)? == 2 * 100 * of_token);
    let context = number("max_position_embeddings") as usize;
    ensure!(bytes(20_000)? == bytes(context)?, "capped at the context");
    let table = place.succeed(&format!("plan {eval} 20000"))?;
    ensure_says(&table, &["evaluation", "for the answers of --eval-samples"])?;

    // And the run with that limit is one that a small machine can do.
    place.succeed(&format!("{eval} 20000 --out out"))?;
    let events = events(&place.path("out/metrics.jsonl"))?;
    let answered = events.iter().filter(|event| event["event"] == "evaluated");
    for event in answered {
        let tokens = event["judgement"]["metrics"]["mean_tokens"].as_f64();
        ensure!(tokens < Some(context as f64), "{event}");
    }
    Ok(())
}
