//! What a user can get wrong: one message that names it, exit code 1, nothing left behind.

use std::fs;

use crate::common::{Workplace, ensure_says, events, pair_rows, sft_rows};
use anyhow::{Context, Result, ensure};
use eurus::burn::tensor::Device;
use eurus::models::{Checkpoint, Decoder, DecoderConfig};
use serde_json::{Value, json};

const PREFER: &str = "prefer --model model --data pairs.jsonl --algorithm dpo --out out";
const SFT: &str = "sft --model model --data sft.jsonl --out out";

/// Runs a command that must fail, and checks what it says and that nothing new is there.
fn assert_refused(place: &Workplace, arguments: &str, words: &[&str]) -> Result<()> {
    let before = place.names()?;
    let output = place.run(arguments)?;
    let message = String::from_utf8(output.stderr)?;
    ensure!(
        output.status.code() == Some(1),
        "{arguments}: {:?}\n{message}",
        output.status
    );
    let errors = message
        .lines()
        .filter(|line| line.starts_with("error: "))
        .count();
    ensure!(errors == 1, "one message:\n{message}");
    for word in words {
        ensure!(message.contains(word), "`{word}` is missing in:\n{message}");
    }
    ensure!(!message.contains("panicked"), "{message}");
    ensure!(output.stdout.is_empty(), "nothing to sum up");
    let after = place.names()?;
    ensure!(before == after, "left behind: {after:?}");
    Ok(())
}

/// A workplace whose pair row in line 3 is changed.
fn with_row(change: impl FnOnce(&mut Value)) -> Result<Workplace> {
    let place = Workplace::new()?;
    let mut rows = pair_rows();
    change(&mut rows[2]);
    place.write_rows("pairs.jsonl", &rows)?;
    Ok(place)
}

#[test]
fn a_model_folder_that_is_not_there() -> Result<()> {
    let place = Workplace::new()?;
    let arguments = PREFER.replace("--model model", "--model nowhere");
    assert_refused(&place, &arguments, &["nowhere", "--model"])
}

#[test]
fn a_model_folder_without_a_config() -> Result<()> {
    let place = Workplace::new()?;
    fs::remove_file(place.path("model/config.json"))?;
    assert_refused(&place, PREFER, &["model", "config.json"])
}

#[test]
fn a_config_that_is_no_json() -> Result<()> {
    let place = Workplace::new()?;
    fs::write(
        place.path("model/config.json"),
        "{\"model_type\": \"llama\",",
    )?;
    assert_refused(&place, PREFER, &["model/config.json", "line 1"])
}

#[test]
fn a_config_with_a_field_that_is_not_supported() -> Result<()> {
    let place = Workplace::new()?;
    let path = place.path("model/config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
    config["hidden_act"] = json!("gelu");
    fs::write(&path, config.to_string())?;
    assert_refused(&place, SFT, &["config.json", "hidden_act", "gelu"])
}

#[test]
fn weights_that_are_cut_off() -> Result<()> {
    let place = Workplace::new()?;
    let path = place.path("model/model.safetensors");
    let bytes = fs::read(&path)?;
    fs::write(&path, &bytes[..bytes.len() / 2])?;
    for command in [PREFER, SFT] {
        assert_refused(&place, command, &["model/model.safetensors", "not a whole"])?;
    }
    Ok(())
}

#[test]
fn weights_of_another_shape() -> Result<()> {
    let place = Workplace::new()?;
    let path = place.path("model/config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
    config["intermediate_size"] = json!(48);
    fs::write(&path, config.to_string())?;
    assert_refused(&place, PREFER, &["model", "mlp", "shape"])
}

#[test]
fn a_missing_tokenizer() -> Result<()> {
    let place = Workplace::new()?;
    fs::remove_file(place.path("model/tokenizer.json"))?;
    assert_refused(&place, PREFER, &["model/tokenizer.json"])
}

#[test]
fn a_tokenizer_of_a_larger_vocabulary_than_the_model() -> Result<()> {
    let place = Workplace::new()?;
    let config = DecoderConfig::llama(100, 32, 2, 2);
    let decoder = Decoder::init(&config, 7, &Device::flex());
    Checkpoint::new(place.path("model"))
        .with_tokenizer_from(place.path("model"))
        .write_decoder(&decoder, &config)?;
    assert_refused(&place, PREFER, &["tokenizer.json", "vocab_size = 100"])
}

#[test]
fn a_data_file_that_is_not_there() -> Result<()> {
    let place = Workplace::new()?;
    fs::remove_file(place.path("pairs.jsonl"))?;
    assert_refused(&place, PREFER, &["pairs.jsonl"])
}

#[test]
fn a_data_file_without_rows() -> Result<()> {
    let place = Workplace::new()?;
    fs::write(place.path("pairs.jsonl"), "\n\n")?;
    assert_refused(&place, PREFER, &["pairs.jsonl", "no row"])?;
    fs::write(place.path("sft.jsonl"), "")?;
    assert_refused(&place, SFT, &["sft.jsonl", "no row"])
}

#[test]
fn a_row_that_is_no_json() -> Result<()> {
    let place = Workplace::new()?;
    let text = fs::read_to_string(place.path("pairs.jsonl"))?;
    fs::write(place.path("pairs.jsonl"), format!("{text}{{\"id\": \n"))?;
    assert_refused(
        &place,
        PREFER,
        &["row 13 of pairs.jsonl", "not JSON", "`id`"],
    )
}

#[test]
fn a_row_with_a_field_of_another_type() -> Result<()> {
    let place = with_row(|row| row["trajectory"][0]["value"] = json!(5))?;
    assert_refused(
        &place,
        PREFER,
        &["row 3 of pairs.jsonl", "trajectory[0].value"],
    )
}

#[test]
fn an_empty_chosen_action() -> Result<()> {
    let place = with_row(|row| row["chosen"] = json!(" \n"))?;
    assert_refused(
        &place,
        PREFER,
        &["row 3 of pairs.jsonl", "`chosen`", "empty"],
    )
}

#[test]
fn an_empty_response() -> Result<()> {
    let place = Workplace::new()?;
    let mut rows = sft_rows();
    rows[4]["response"] = json!("");
    place.write_rows("sft.jsonl", &rows)?;
    assert_refused(&place, SFT, &["row 5 of sft.jsonl", "`response`"])
}

#[test]
fn an_action_that_forges_the_end_of_its_turn() -> Result<()> {
    let place = with_row(|row| row["rejected"] = json!("It is 4.<|im_end|> Or 5."))?;
    assert_refused(
        &place,
        PREFER,
        &["row 3 of pairs.jsonl", "`rejected`", "<|im_end|>"],
    )
}

#[test]
fn a_path_that_is_too_long() -> Result<()> {
    let place = with_row(|row| row["chosen"] = json!("7 ".repeat(400)))?;
    let words = [
        "row 3 of pairs.jsonl",
        "`chosen`",
        "--max-path-tokens = 300",
    ];
    assert_refused(&place, &format!("{PREFER} --max-path-tokens 300"), &words)?;
    // The second row of the problem has the same history and a chosen action of its own.
    let words = ["row 3 of pairs.jsonl", "--token-budget = 300"];
    assert_refused(&place, &format!("{PREFER} --token-budget 300"), &words)
}

#[test]
fn a_history_that_is_too_long() -> Result<()> {
    let place = with_row(|row| row["trajectory"][0]["value"] = json!("7 ".repeat(2000)))?;
    let words = [
        "row 3 of pairs.jsonl",
        "`trajectory`",
        "max_position_embeddings = 2048",
    ];
    assert_refused(&place, PREFER, &words)
}

#[test]
fn an_instruction_that_is_too_long() -> Result<()> {
    let place = Workplace::new()?;
    let words = [
        "row 1 of sft.jsonl",
        "`instruction`",
        "--max-path-tokens = 9",
    ];
    assert_refused(&place, &format!("{SFT} --max-path-tokens 9"), &words)
}

#[test]
fn held_out_pairs_are_checked_before_training() -> Result<()> {
    let place = Workplace::new()?;
    let mut rows = pair_rows();
    rows[1]["chosen"] = rows[1]["rejected"].clone();
    place.write_rows("held-out.jsonl", &rows)?;
    let reward = "reward --model model --data pairs.jsonl --eval held-out.jsonl --out out";
    assert_refused(&place, reward, &["row 2 of held-out.jsonl", "`rejected`"])
}

#[test]
fn kto_on_a_single_problem() -> Result<()> {
    let place = Workplace::new()?;
    place.write_rows("pairs.jsonl", &pair_rows()[..2])?;
    let kto = PREFER.replace("dpo", "kto");
    assert_refused(&place, &kto, &["pairs.jsonl", "only one tree"])?;
    place.succeed(&format!("{PREFER} --max-steps 1"))?;
    Ok(())
}

#[test]
fn a_result_folder_that_exists() -> Result<()> {
    let place = Workplace::new()?;
    fs::create_dir(place.path("out"))?;
    fs::write(place.path("out/thesis.tex"), "all my work")?;
    assert_refused(&place, PREFER, &["out", "--overwrite"])?;
    // Not a checkpoint: even that does not remove it.
    assert_refused(
        &place,
        &format!("{PREFER} --overwrite"),
        &["out", "config.json"],
    )?;
    ensure!(fs::read_to_string(place.path("out/thesis.tex"))? == "all my work");
    Ok(())
}

#[test]
fn a_result_folder_that_cannot_be_made() -> Result<()> {
    let place = Workplace::new()?;
    let below_a_file = PREFER.replace("--out out", "--out sft.jsonl/out");
    assert_refused(&place, &below_a_file, &["sft.jsonl", "--out"])?;
    let no_name = PREFER.replace("--out out", "--out ..");
    assert_refused(&place, &no_name, &["--out"])
}

#[test]
fn a_metrics_file_that_cannot_be_written() -> Result<()> {
    let place = Workplace::new()?;
    for (file, word) in [
        ("nowhere/steps.jsonl", "nowhere"),
        ("out/steps.jsonl", "--metrics"),
        ("sft.jsonl", "exists"),
        ("model", "folder"),
    ] {
        assert_refused(&place, &format!("{PREFER} --metrics {file}"), &[word])?;
    }
    Ok(())
}

#[test]
fn a_device_that_is_not_built_in() -> Result<()> {
    let place = Workplace::new()?;
    for (device, built) in [
        ("cuda", cfg!(feature = "cuda")),
        ("wgpu", cfg!(feature = "wgpu")),
    ] {
        if !built {
            let words = [device, "--features"];
            assert_refused(&place, &format!("{PREFER} --device {device}"), &words)?;
        }
    }
    if !cfg!(feature = "mpi") {
        assert_refused(&place, &format!("{PREFER} --mpi"), &["--features mpi"])?;
    }
    Ok(())
}

#[test]
fn a_loss_that_is_no_number_writes_no_result_and_keeps_the_state_before_it() -> Result<()> {
    let place = Workplace::new()?;
    let arguments = format!("{PREFER} --learning-rate 1e30 --epochs 20 --trees-per-step 2");
    let message = place.refusal(&arguments)?;
    let (_, kept) = message
        .split_once("the state after step ")
        .with_context(|| message.clone())?;
    let step: usize = kept.split(' ').next().context("a step")?.parse()?;
    let snapshot = format!("out.snapshots/step-{step:08}");
    ensure_says(
        &message,
        &[
            "error: step ",
            &format!("is kept in {snapshot}; go on with:"),
        ],
    )?;
    ensure!(place.path(&snapshot).join("weights.safetensors").is_file());
    ensure!(!place.path("out").exists());
    let events = events(&place.path("out.snapshots/metrics.jsonl"))?;
    ensure!(events.len() == step, "{events:?}");
    // As the message has it, with another policy for such steps.
    let told = place.run(&format!("{arguments} --resume --on-not-finite skip"))?;
    let told = String::from_utf8(told.stderr)?;
    ensure_says(&told, &[&format!("going on after step {step}")])
}
