//! The commands as a user runs them, on a tiny model.

use crate::common;
use crate::common::{Workplace, events, losses};
use anyhow::{Context, Result, ensure};
use eurus::burn::tensor::Device;
use eurus::forest::ChatTokenizer;
use eurus::models::lora::{Adapted, AdapterFolder};
use eurus::models::{Checkpoint, Decoder, WeightType};

const PREFER: &str =
    "prefer --model model --data pairs.jsonl --epochs 5 --trees-per-step 3 --learning-rate 3e-3";

fn embedding(model: &Decoder) -> Vec<f32> {
    let weight = model.model.embed_tokens.weight.val();
    weight.into_data().iter().collect()
}

/// The folder is a whole checkpoint with other weights than it started from.
fn assert_trained(place: &Workplace, out: &str) -> Result<()> {
    let (before, _) = Checkpoint::new(place.path("model")).decoder(&Device::flex())?;
    let (after, _) = Checkpoint::new(place.path(out)).decoder(&Device::flex())?;
    ensure!(
        embedding(&before) != embedding(&after),
        "nothing was trained"
    );
    ChatTokenizer::from_folder(place.path(out))?;
    let permissions = |name: &str| {
        Ok::<_, anyhow::Error>(std::fs::metadata(place.path(out).join(name))?.permissions())
    };
    ensure!(permissions("model.safetensors")? == permissions("config.json")?);
    Ok(())
}

fn assert_loss_fell(losses: &[f64]) -> Result<()> {
    let (first, last) = (
        losses.first().context("steps")?,
        losses.last().context("steps")?,
    );
    ensure!(last < first, "{losses:?}");
    Ok(())
}

#[test]
fn each_algorithm_writes_a_checkpoint_with_a_lower_loss_and_a_margin() -> Result<()> {
    let place = Workplace::new()?;
    for algorithm in ["dpo", "kto", "nca"] {
        let summary = place.succeed(&format!(
            "{PREFER} --algorithm {algorithm} --out {algorithm}"
        ))?;
        let events = events(&place.path(algorithm).join("metrics.jsonl"))?;
        ensure!(events[0]["event"] == "reference");
        let losses = losses(&events);
        ensure!(losses.len() == 10, "six trees, three a step, five epochs");
        assert_loss_fell(&losses)?;
        let last = &events.last().context("events")?["stats"];
        ensure!(last["margin"].as_f64() > Some(0.0), "{algorithm}: {last}");
        ensure!(last["groups"] == 6, "two pairs of each of three trees");
        ensure!(last["kl"].is_number() == (algorithm == "kto"));
        for word in ["loss", "margin", "accuracy", "as many", "metrics.jsonl"] {
            ensure!(summary.contains(word), "{word} is missing:\n{summary}");
        }
        assert_trained(&place, algorithm)?;
    }
    let names = place.names()?;
    ensure!(
        names == ["dpo", "kto", "model", "nca", "pairs.jsonl", "sft.jsonl"],
        "{names:?}"
    );
    Ok(())
}

#[test]
fn a_collapsing_run_is_warned_of_on_the_screen_and_in_the_metrics() -> Result<()> {
    let place = Workplace::new()?;
    let run = |out: &str, rate: &str| {
        let output = place.run(&format!(
            "prefer --model model --data pairs.jsonl --algorithm dpo --out {out} --epochs 20 \
             --trees-per-step 3 --learning-rate {rate}"
        ))?;
        let (shown, summary) = (
            String::from_utf8(output.stderr)?,
            String::from_utf8(output.stdout)?,
        );
        ensure!(output.status.success(), "{shown}");
        let events = events(&place.path(out).join("metrics.jsonl"))?;
        let found = events.iter().filter(|event| event["event"] == "collapse");
        Ok::<_, anyhow::Error>((shown, summary, found.cloned().collect::<Vec<_>>()))
    };
    let (shown, summary, found) = run("absurd", "0.3")?;
    let falling = |event: &&serde_json::Value| event["warning"]["kind"] == "chosen_reward_falling";
    ensure!(found.iter().filter(falling).count() == 1, "{found:?}");
    let line = format!(
        "warning: step {}: the chosen reward falls",
        found[0]["step"]
    );
    ensure!(shown.matches(&line).count() == 1, "{shown}");
    ensure!(summary.contains("collapsing run"), "{summary}");

    let (shown, summary, found) = run("calm", "1e-4")?;
    ensure!(found.is_empty(), "{found:?}");
    ensure!(!shown.contains("warning") && !summary.contains("collaps"));
    Ok(())
}

#[test]
fn shared_histories_are_computed_once() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!("{PREFER} --algorithm dpo --out dpo --max-steps 1"))?;
    let events = events(&place.path("dpo/metrics.jsonl"))?;
    let step = events.last().context("events")?;
    let tokens = |name: &str| step[name].as_u64().unwrap_or_default();
    ensure!(
        2 * tokens("unique_tokens") < tokens("naive_tokens"),
        "{step}"
    );
    Ok(())
}

#[test]
fn the_same_seed_gives_the_same_metrics_and_another_one_does_not() -> Result<()> {
    let place = Workplace::new()?;
    let run = |out: &str, seed: u64| {
        place.succeed(&format!(
            "{PREFER} --algorithm kto --out {out} --seed {seed}"
        ))?;
        events(&place.path(out).join("metrics.jsonl"))
    };
    let first = run("a", 3)?;
    ensure!(first == run("b", 3)?);
    ensure!(first != run("c", 4)?);
    let weights = |out: &str| std::fs::read(place.path(out).join("model.safetensors"));
    ensure!(weights("a")? == weights("b")?);
    Ok(())
}

#[test]
fn a_split_step_is_the_same_step() -> Result<()> {
    let place = Workplace::new()?;
    let run = |out: &str, budget: usize| {
        place.succeed(&format!(
            "{PREFER} --algorithm dpo --out {out} --token-budget {budget}"
        ))?;
        Ok::<_, anyhow::Error>(losses(&events(&place.path(out).join("metrics.jsonl"))?))
    };
    let (whole, split) = (run("whole", 4096)?, run("split", 150)?);
    for (a, b) in whole.iter().zip(&split) {
        // Sums in another order; AdamW makes of rounding errors what it makes of gradients.
        ensure!((a - b).abs() < 1e-3, "{whole:?} {split:?}");
    }
    Ok(())
}

#[test]
fn sft_writes_a_checkpoint_with_a_lower_loss() -> Result<()> {
    let place = Workplace::new()?;
    let sft =
        "sft --model model --data sft.jsonl --epochs 4 --trees-per-step 3 --learning-rate 3e-3";
    place.succeed(&format!("{sft} --out runs/deep/sft --metrics steps.jsonl"))?;
    assert_trained(&place, "runs/deep/sft")?;
    ensure!(
        !place.path("runs/deep/sft/metrics.jsonl").exists(),
        "it was to be elsewhere"
    );
    assert_loss_fell(&losses(&events(&place.path("steps.jsonl"))?))
}

#[test]
fn a_reward_model_is_judged_on_held_out_pairs() -> Result<()> {
    let place = Workplace::new()?;
    let held_out = &common::pair_rows()[..4];
    place.write_rows("held-out.jsonl", held_out)?;
    let reward = "reward --model model --data pairs.jsonl --eval held-out.jsonl --epochs 10 --trees-per-step 3 --learning-rate 3e-3";
    for loss in ["bt", "bt-ldr"] {
        let printed = place.succeed(&format!("{reward} --loss {loss} --out {loss}"))?;
        assert_loss_fell(&losses(&events(&place.path(loss).join("metrics.jsonl"))?))?;
        for word in ["Held-out pairs: 4", "Pair accuracy", "Mean |reward|"] {
            ensure!(printed.contains(word), "{word} is missing:\n{printed}");
        }
        Checkpoint::new(place.path(loss)).reward_model(&Device::flex())?;
    }
    Ok(())
}

#[test]
fn adapters_are_written_merged_and_apart() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!(
        "{PREFER} --algorithm dpo --out lora --lora-rank 4 --lora-targets q_proj,v_proj"
    ))?;
    let events = events(&place.path("lora").join("metrics.jsonl"))?;
    let losses = losses(&events);
    ensure!(
        (losses[0] - std::f64::consts::LN_2).abs() < 1e-6,
        "{losses:?}"
    );
    assert_loss_fell(&losses)?;

    let device = Device::flex();
    let (base, _) = Checkpoint::new(place.path("model")).decoder(&device)?;
    let (merged, _) = Checkpoint::new(place.path("lora")).decoder(&device)?;
    let folder = AdapterFolder::new(place.path("lora").join("adapter"));
    let (adapted, config) = folder.load(base.clone(), &device)?;
    ensure!(config.rank == 4 && config.targets == ["q_proj", "v_proj"]);
    ensure!(
        embedding(&base) == embedding(&merged),
        "only adapters are trained"
    );
    let of_layer = |model: &Decoder| -> Vec<f32> {
        let weight = model.model.layers[0].self_attn.q_proj.weight.val();
        weight.into_data().iter().collect()
    };
    ensure!(of_layer(&base) != of_layer(&merged));
    ensure!(of_layer(&adapted.merged()) == of_layer(&merged));
    Ok(())
}

#[test]
fn a_checkpoint_is_replaced_when_asked() -> Result<()> {
    let place = Workplace::new()?;
    let run = format!("{PREFER} --algorithm dpo --out dpo --max-steps 1 --overwrite");
    place.succeed(&run)?;
    std::fs::write(place.path("dpo/note.txt"), "of the first run")?;
    place.succeed(&run)?;
    ensure!(
        !place.path("dpo/note.txt").exists(),
        "the new folder is whole, not mixed"
    );
    assert_trained(&place, "dpo")?;
    let names = place.names()?;
    ensure!(
        names == ["dpo", "model", "pairs.jsonl", "sft.jsonl"],
        "{names:?}"
    );
    Ok(())
}

#[test]
fn help_teaches_and_wrong_usage_is_told_apart_from_failure() -> Result<()> {
    let place = Workplace::new()?;
    for command in ["prefer", "sft", "reward"] {
        let help = place.succeed(&format!("{command} --help"))?;
        ensure!(
            help.contains("Examples:")
                && help.contains("\"prompt\"") | help.contains("eurus prefer")
        );
    }
    for wrong in [
        "prefer --model model --data pairs.jsonl --out x",
        "prefer --model model --data pairs.jsonl --out x --algorithm ppo",
        "prefer --model model --data pairs.jsonl --out x --algorithm dpo --beta 0",
        "sft --model model --data sft.jsonl --out x --warmup-ratio 2",
        "nothing",
    ] {
        let output = place.run(wrong)?;
        ensure!(
            output.status.code() == Some(2),
            "{wrong}: {:?}",
            output.status
        );
    }
    Ok(())
}

#[test]
fn a_model_of_the_hub_that_was_downloaded_before_needs_no_network() -> Result<()> {
    let place = Workplace::new()?;
    let repository = place.path("hub/models--org--tiny");
    std::fs::create_dir_all(repository.join("refs"))?;
    std::fs::create_dir_all(repository.join("snapshots"))?;
    std::fs::write(repository.join("refs/main"), "0123abcd")?;
    std::fs::rename(place.path("model"), repository.join("snapshots/0123abcd"))?;
    let run = |model: &str| {
        let words = [
            "sft",
            "--model",
            model,
            "--data",
            "sft.jsonl",
            "--out",
            "sft",
        ];
        place
            .command(&words)
            .env("HF_HUB_CACHE", place.path("hub"))
            .env("HF_HUB_OFFLINE", "1")
            .output()
    };
    let missing = run("org/other")?;
    let message = String::from_utf8(missing.stderr)?;
    ensure!(missing.status.code() == Some(1), "{message}");
    for word in ["org/other", "cache", "HF_HUB_OFFLINE"] {
        ensure!(message.contains(word), "`{word}` is missing in:\n{message}");
    }
    let found = run("org/tiny")?;
    ensure!(
        found.status.success(),
        "{}",
        String::from_utf8_lossy(&found.stderr)
    );
    ChatTokenizer::from_folder(place.path("sft"))?;
    Ok(())
}

#[test]
fn weights_are_written_in_the_type_they_came_in_unless_told_otherwise() -> Result<()> {
    let place = Workplace::new()?;
    let (model, config) = Checkpoint::new(place.path("model")).decoder(&Device::flex())?;
    Checkpoint::new(place.path("half"))
        .with_weight_type(WeightType::Bf16)
        .with_tokenizer_from(place.path("model"))
        .write_decoder(&model, &config)?;
    let written = |model: &str, options: &str, out: &str| -> Result<Option<WeightType>> {
        let run = format!("sft --model {model} --data sft.jsonl --max-steps 1 --out {out}");
        place.succeed(&format!("{run} {options}"))?;
        Ok(Checkpoint::new(place.path(out)).weight_type())
    };
    ensure!(written("model", "", "a")? == Some(WeightType::F32));
    ensure!(written("half", "", "b")? == Some(WeightType::Bf16));
    ensure!(written("half", "--weight-type f32", "c")? == Some(WeightType::F32));
    Ok(())
}
