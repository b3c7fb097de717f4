//! Adapter folders as models, and what is trained beside adapters.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::common::{Workplace, ensure_near, ensure_says};
use crate::weights::{self, change_json, json_of};

const SFT: &str = "sft --model model --data sft.jsonl --learning-rate 1e-2";
const PREFER: &str = "prefer --data pairs.jsonl --algorithm dpo --learning-rate 1e-3";

/// A workplace with a run that trained adapters, `lora`: merged, and apart in `lora/adapter`.
fn adapted(options: &str) -> Result<Workplace> {
    let place = Workplace::new()?;
    place.succeed(&format!("{SFT} --lora-rank 4 {options} --out lora"))?;
    Ok(place)
}

#[test]
fn an_adapter_folder_is_the_merged_model_as_policy_and_for_rewards() -> Result<()> {
    let place = adapted("")?;
    let line = "lora/adapter: an adapter of PEFT, merged into its base model";
    for run in [PREFER.to_owned(), "reward --data pairs.jsonl".to_owned()] {
        place.succeed(&format!("{run} --model lora --out merged --overwrite"))?;
        let told = place.told(&format!("{run} --model lora/adapter --out out --overwrite"))?;
        ensure_says(&told, &[line, "12 rows read"])?;
        ensure_near(&place.losses_of("out")?, &place.losses_of("merged")?)?;
        ensure!(weights::read(&place.path("out"))? == weights::read(&place.path("merged"))?);
        ensure!(place.path("out/tokenizer.json").is_file());
    }
    let plan = place.told(&format!("plan {PREFER} --model lora/adapter"))?;
    ensure_says(&plan, &[line, "12 rows read"])
}

#[test]
fn a_base_is_found_beside_the_adapter_or_said_to_be_missing() -> Result<()> {
    let place = adapted("")?;
    let settings = place.path("lora/adapter/adapter_config.json");
    let base =
        |name: &str| change_json(&settings, |it| it["base_model_name_or_path"] = json!(name));
    base("../../model")?;
    let told = place.told(&format!("{PREFER} --model lora/adapter --out out"))?;
    ensure_says(&told, &["merged into its base lora/adapter/../../model"])?;

    let offline = |model: &str| -> Result<String> {
        let run = format!("{PREFER} --model {model} --out other");
        let words: Vec<&str> = run.split_whitespace().collect();
        let mut command = place.command(&words);
        let output = command
            .env("HF_HUB_OFFLINE", "1")
            .env("HF_HOME", place.path("hub"))
            .output()?;
        ensure!(output.status.code() == Some(1));
        Ok(String::from_utf8(output.stderr)?)
    };
    base("some/where/else")?;
    let words = [
        "lora/adapter",
        "base `some/where/else`",
        "no such folder",
        "merge_and_unload",
    ];
    ensure_says(&offline("lora/adapter")?, &words)?;
    base("organization/name")?;
    ensure_says(
        &offline("lora/adapter")?,
        &["base `organization/name`", "not in the cache"],
    )?;

    // A whole model and an adapter in one folder: which of them is meant?
    fs::copy(&settings, place.path("lora/adapter_config.json"))?;
    ensure_says(&offline("lora")?, &["a whole model here and an adapter"])
}

#[test]
fn adapters_that_are_not_plain_are_refused_by_their_field() -> Result<()> {
    let place = adapted("")?;
    let settings = place.path("lora/adapter/adapter_config.json");
    let plain = fs::read(&settings)?;
    for (field, value) in [
        ("use_dora", json!(true)),
        ("bias", json!("all")),
        ("fan_in_fan_out", json!(true)),
        ("peft_type", json!("IA3")),
        ("init_lora_weights", json!("pissa")),
        ("target_parameters", json!(["mlp.experts.down_proj"])),
    ] {
        fs::write(&settings, &plain)?;
        change_json(&settings, |it| it[field] = value)?;
        let message = place.refusal(&format!("{PREFER} --model lora/adapter --out out"))?;
        ensure_says(&message, &[&format!("`{field}`"), "merge_and_unload"])?;
        ensure!(!message.contains("rows read"), "{message}");
    }
    fs::write(&settings, &plain)?;
    change_json(&settings, |it| it["rank_pattern"] = json!({"q_proj": 3}))?;
    let message = place.refusal(&format!("{PREFER} --model lora/adapter --out out"))?;
    ensure_says(
        &message,
        &["q_proj.lora_A.weight` has shape [4, 32]", "need [3, 32]"],
    )
}

#[test]
fn adapters_on_adapters_give_a_merged_model_alone() -> Result<()> {
    let place = adapted("")?;
    place.succeed(&format!(
        "{PREFER} --model lora/adapter --lora-rank 2 --out out"
    ))?;
    ensure!(place.path("out/model.safetensors").is_file());
    ensure!(
        !place.path("out/adapter").exists(),
        "its base is in no folder"
    );
    Ok(())
}

fn tensor<'a>(tensors: &'a [(String, weights::Tensor)], name: &str) -> Option<&'a weights::Tensor> {
    tensors
        .iter()
        .find(|(other, _)| other == name)
        .map(|(_, tensor)| tensor)
}

#[test]
fn embedding_and_output_projection_train_beside_adapters() -> Result<()> {
    let place = adapted("--modules-to-save embed_tokens,lm_head")?;
    let [before, after] = ["model", "lora"].map(|folder| weights::read(&place.path(folder)));
    let (before, after) = (before?, after?);
    let embedding = "model.embed_tokens.weight";
    // Both begin as the tied matrix, and are two from then on.
    ensure!(tensor(&before, "lm_head.weight").is_none());
    ensure!(tensor(&after, embedding) != tensor(&before, embedding));
    ensure!(tensor(&after, "lm_head.weight").is_some());
    ensure!(tensor(&after, "lm_head.weight") != tensor(&after, embedding));
    let config = json_of(&place.path("lora/config.json"))?;
    ensure!(config["tie_word_embeddings"] == json!(false), "{config}");
    let settings = json_of(&place.path("lora/adapter/adapter_config.json"))?;
    ensure!(settings["modules_to_save"] == json!(["embed_tokens", "lm_head"]));

    // Merged at the end of the run or when it is loaded: one model.
    place.succeed(&format!("{PREFER} --model lora --out merged"))?;
    place.succeed(&format!("{PREFER} --model lora/adapter --out apart"))?;
    ensure_near(&place.losses_of("apart")?, &place.losses_of("merged")?)?;
    ensure!(weights::read(&place.path("apart"))? == weights::read(&place.path("merged"))?);

    // The first loss is that of adapters alone: nothing is changed by being trained.
    place.succeed(&format!("{SFT} --lora-rank 4 --out alone"))?;
    let [with, alone] = ["lora", "alone"].map(|out| place.losses_of(out));
    ensure_near(&with?[..1], &alone?[..1])
}

#[test]
fn a_plan_counts_what_is_trained_beside_adapters() -> Result<()> {
    let place = Workplace::new()?;
    let trained = |options: &str| -> Result<[u64; 2]> {
        let plan = place.succeed(&format!("plan {SFT} --json --lora-rank 4 {options}"))?;
        let plan: Value = serde_json::from_str(&plan)?;
        let memory = |field: &str| plan["memory"][field].as_u64().unwrap_or_default();
        Ok([memory("parameters"), memory("trained_parameters")])
    };
    let config = json_of(&place.path("model/config.json"))?;
    let size = |field: &str| config[field].as_u64().unwrap_or_default();
    let matrix = size("vocab_size") * size("hidden_size");
    let [all, of_them] = trained("")?;
    ensure!(trained("--modules-to-save lm_head")? == [all + matrix, of_them + matrix]);
    ensure!(
        trained("--modules-to-save embed_tokens,lm_head")? == [all + matrix, of_them + 2 * matrix]
    );
    Ok(())
}

#[test]
fn names_of_layers_are_those_of_the_model_and_all_linear_is_all_of_them() -> Result<()> {
    let place = Workplace::new()?;
    let run = format!("{PREFER} --model model --lora-rank 4");
    place.succeed(&format!("{run} --out usual"))?;
    let told = place.told(&format!("{run} --lora-targets all-linear --out all"))?;
    ensure_says(&told, &["12 rows read"])?;
    ensure!(weights::read(&place.path("all"))? == weights::read(&place.path("usual"))?);
    for (given, named) in [
        ("q_proj,w_pack", "`w_pack`"),
        ("nothing", "`nothing`"),
        ("w1", "`w1`"),
    ] {
        for command in [format!("{run} --out out"), format!("plan {run}")] {
            let output = place.run(&format!("{command} --lora-targets {given}"))?;
            ensure!(output.status.code() == Some(2), "{given}");
            let message = String::from_utf8(output.stderr)?;
            let has = "it has down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj";
            ensure_says(&message, &[named, has, "all-linear"])?;
            ensure!(!message.contains("rows read"), "{message}");
        }
    }
    let reward = "reward --model model --data pairs.jsonl --out out --lora-rank 4";
    let output = place.run(&format!("{reward} --modules-to-save lm_head"))?;
    ensure!(output.status.code() == Some(2));
    ensure_says(
        &String::from_utf8(output.stderr)?,
        &["a reward model has no output projection"],
    )
}
