//! Losses by name, as JSON and as a file, and what reward models are told of their rows.

use crate::common::{Workplace, ensure_says, events, losses};
use anyhow::{Context, Result, ensure};
use eurus::losses::{PreferenceLossConfig, RewardLossConfig};
use serde_json::{Value, json};

const PREFER: &str = "prefer --model model --data pairs.jsonl --max-steps 2 --trees-per-step 3";
const REWARD: &str = "reward --model model --data pairs.jsonl --max-steps 1 --trees-per-step 6";

/// Trains with a loss given as JSON, and returns the run's events.
fn train(place: &Workplace, loss: &Value, out: &str) -> Result<Vec<Value>> {
    let loss = loss.to_string();
    let mut words: Vec<&str> = PREFER.split_whitespace().collect();
    words.extend(["--loss", &loss, "--out", out]);
    let output = place.command(&words).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{loss}: {errors}");
    events(&place.path(out).join("metrics.jsonl"))
}

#[test]
fn every_loss_of_the_library_trains() -> Result<()> {
    let place = Workplace::new()?;
    for name in PreferenceLossConfig::NAMES {
        let loss = match *name {
            "sum" => json!({"type": "sum", "sft_weight": 0.2, "terms": [
                {"weight": 1.0, "loss": {"type": "dpo"}},
                {"weight": 0.5, "loss": {"type": "kto"}},
            ]}),
            name => json!({ "type": name }),
        };
        let events = train(&place, &loss, name)?;
        let losses = losses(&events);
        ensure!(losses.len() == 2, "{name}: {losses:?}");
        let config: PreferenceLossConfig = serde_json::from_value(loss)?;
        let wanted = config.init()?.needs().reference;
        let computed = events.iter().any(|event| event["event"] == "reference");
        ensure!(
            wanted == computed,
            "{name}: a reference pass only for losses that need one"
        );
    }
    Ok(())
}

#[test]
fn a_loss_in_full_is_the_one_of_its_name() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!(
        "{PREFER} --algorithm kto --beta 0.3 --out by-name"
    ))?;
    let by_name = events(&place.path("by-name").join("metrics.jsonl"))?;
    let loss = json!({"type": "kto", "beta": 0.3});
    std::fs::write(place.path("kto.json"), loss.to_string())?;
    place.succeed(&format!("{PREFER} --loss kto.json --out by-file"))?;
    let by_file = events(&place.path("by-file").join("metrics.jsonl"))?;
    ensure!(losses(&by_name) == losses(&by_file));
    Ok(())
}

#[test]
fn a_loss_that_there_is_not_is_refused_with_those_that_there_are() -> Result<()> {
    let place = Workplace::new()?;
    let run = format!("{PREFER} --out out --loss");
    let refused = place.run(&format!("{run} {{\"type\":\"ppo\"}}"))?;
    ensure!(refused.status.code() == Some(2));
    ensure_says(
        &String::from_utf8(refused.stderr)?,
        &["ppo", "simpo", "nca"],
    )?;
    ensure_says(
        &place.refusal(&format!("{run} missing.json"))?,
        &["missing.json"],
    )?;
    let both = place.refusal(&format!("{run} kto.json --algorithm dpo"))?;
    ensure_says(&both, &["cannot be used with"])
}

#[test]
fn every_reward_loss_of_the_library_trains() -> Result<()> {
    let place = Workplace::new()?;
    for name in RewardLossConfig::NAMES {
        let by_name = reward_loss(&place, &format!("--loss {name}"), name)?;
        let json = format!("--loss {{\"type\":\"{name}\"}}");
        let by_settings = reward_loss(&place, &json, &format!("{name}-json"))?;
        ensure!(by_name.is_finite() && by_name == by_settings, "{name}");
    }
    let paper = reward_loss(&place, "--loss bt-ldr", "paper")?;
    ensure!(paper == reward_loss(&place, "--loss ultra-interact", "in-full")?);
    let both = place.run(&format!(
        "{REWARD} --out out --loss ldr --center-coefficient 1"
    ))?;
    ensure!(both.status.code() == Some(2));
    Ok(())
}

#[test]
fn a_reference_that_follows_the_policy_changes_what_comes_after_it() -> Result<()> {
    let place = Workplace::new()?;
    let run = PREFER.replace("--max-steps 2 ", "--max-steps 4 --epochs 4 ");
    let of = |options: &str, out: &str| -> Result<Vec<f64>> {
        place.succeed(&format!("{run} --algorithm dpo {options} --out {out}"))?;
        Ok(losses(&events(&place.path(out).join("metrics.jsonl"))?))
    };
    let (plain, moving) = (
        of("", "plain")?,
        of(
            "--sync-reference-every 2 --sync-reference-mixing 1",
            "moving",
        )?,
    );
    ensure!(
        plain.len() == 4 && plain[..2] == moving[..2],
        "{plain:?} {moving:?}"
    );
    ensure!(
        (moving[2] - 2f64.ln()).abs() < 1e-5 && moving[2..] != plain[2..],
        "{moving:?}"
    );
    for options in [
        "--loss simpo --sync-reference-every 2",
        "--algorithm dpo --sync-reference-every 0",
    ] {
        let refused = place.run(&format!("{PREFER} {options} --out out"))?;
        ensure!(refused.status.code() == Some(2), "{options}");
    }
    Ok(())
}

/// The loss of the first step of a reward model.
fn reward_loss(place: &Workplace, options: &str, out: &str) -> Result<f64> {
    place.succeed(&format!("{REWARD} {options} --out {out}"))?;
    let losses = losses(&events(&place.path(out).join("metrics.jsonl"))?);
    losses.first().copied().context("a step")
}

#[test]
fn rows_of_a_data_set_that_is_ranked_alone_have_no_direct_rewards() -> Result<()> {
    let place = Workplace::new()?;
    let ranking = reward_loss(&place, "--loss bt", "bt")?;
    let both = reward_loss(&place, "--loss bt-ldr", "both")?;
    let by_dataset = reward_loss(&place, "--loss bt-ldr --rank-only other,toy", "dataset")?;
    let by_task = reward_loss(&place, "--loss bt-ldr --rank-only Math_CoT", "task")?;
    ensure!(both > ranking + 1.0, "{both} and {ranking}");
    ensure!(
        by_dataset == ranking && by_task == ranking,
        "{by_dataset}, {by_task}"
    );
    let leading = reward_loss(&place, "--loss bt --margin 2", "margin")?;
    ensure!(leading > ranking + 1.0, "{leading} and {ranking}");
    // The head begins at 0, where there is nothing to centre.
    let last = |out: &str| -> Result<Value> {
        let events = events(&place.path(out).join("metrics.jsonl"))?;
        events.last().cloned().context("a step")
    };
    let longer = "--loss bt --max-steps 6 --learning-rate 1e-2 --decay constant";
    let run = REWARD.replace("--max-steps 1 ", "");
    place.succeed(&format!("{run} {longer} --epochs 6 --out free"))?;
    place.succeed(&format!(
        "{run} {longer} --epochs 6 --center-coefficient 1 --out centered"
    ))?;
    let off_center = |event: &Value| -> Result<f64> {
        let reward = |side: &str| event["stats"][side].as_f64().context("a reward");
        Ok((reward("chosen_reward")? + reward("rejected_reward")?).abs())
    };
    let (free, centered) = (off_center(&last("free")?)?, off_center(&last("centered")?)?);
    ensure!(centered < free, "{centered} and {free}");
    let refused = place.run(&format!("{REWARD} --out out --center-coefficient -1"))?;
    ensure!(refused.status.code() == Some(2));
    Ok(())
}

#[test]
fn tensorboard_is_told_of_every_step() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!(
        "{PREFER} --algorithm nca --tensorboard board --out out"
    ))?;
    let files: Vec<_> = std::fs::read_dir(place.path("board"))?.collect::<Result<_, _>>()?;
    ensure!(files.len() == 1);
    let bytes = std::fs::read(files[0].path())?;
    let times = |tag: &str| {
        let tag = tag.as_bytes();
        bytes.windows(tag.len()).filter(|it| *it == tag).count()
    };
    ensure!(times("train/margin") == 2 && times("speed/groups_per_second") == 2);
    Ok(())
}

#[test]
fn another_reference_is_what_the_policy_is_compared_with() -> Result<()> {
    let place = Workplace::new()?;
    let run = format!("{PREFER} --algorithm dpo");
    place.succeed(&format!("{run} --learning-rate 1e-2 --out moved"))?;
    place.succeed(&format!("{run} --out own"))?;
    place.succeed(&format!("{run} --reference moved --out other"))?;
    let first = |out: &str| -> Result<f64> {
        let losses = losses(&events(&place.path(out).join("metrics.jsonl"))?);
        losses.first().copied().context("a step")
    };
    let (own, other) = (first("own")?, first("other")?);
    ensure!((own - 2f64.ln()).abs() < 1e-6, "{own}");
    ensure!((other - 2f64.ln()).abs() > 1e-4, "{other}");
    // From the other side: what one lacks of the other is what the other has of the one.
    let back = run.replace("--model model", "--model moved");
    place.succeed(&format!("{back} --reference model --out back"))?;
    let margin = |out: &str| -> Result<f64> {
        let events = events(&place.path(out).join("metrics.jsonl"))?;
        let step = events.iter().find(|it| it["event"] == "preference");
        step.context("a step")?["stats"]["margin"]
            .as_f64()
            .context("a margin")
    };
    let (there, back) = (margin("other")?, margin("back")?);
    ensure!((there + back).abs() < 1e-5, "{there} and {back}");
    let planned = place.succeed(&format!("plan {run} --reference moved"))?;
    ensure_says(&planned, &["reference tokens", "gone when training begins"])
}

#[test]
fn a_reference_that_cannot_read_the_rows_is_refused_before_training() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed("sft --model model --data sft.jsonl --max-steps 1 --out other")?;
    let run = format!("{PREFER} --algorithm dpo --reference other --out out");
    let refused = |says: &[&str]| -> Result<()> {
        for run in [run.clone(), format!("plan {run}")] {
            ensure_says(&place.refusal(&run)?, says)?;
        }
        ensure!(!place.path("out").exists());
        Ok(())
    };
    let edit = |name: &str, from: &str, to: &str| -> Result<()> {
        let path = place.path("other").join(name);
        let text = std::fs::read_to_string(&path)?;
        ensure!(text.contains(from), "{name} has no {from}");
        Ok(std::fs::write(path, text.replacen(from, to, 1))?)
    };
    edit(
        "config.json",
        "\"max_position_embeddings\": 2048",
        "\"max_position_embeddings\": 20",
    )?;
    refused(&["--reference other", "reads 20 (max_position_embeddings)"])?;
    edit("tokenizer.json", "<|im_start|>", "<|im_other|>")?;
    refused(&["other/tokenizer.json", "another vocabulary than --model"])?;
    let missing = place.refusal(&run.replace("reference other", "reference nowhere"))?;
    ensure_says(&missing, &["nowhere", "(--reference) does not exist"])?;
    let both = place.refusal(&format!("{run} --sync-reference-every 2"))?;
    ensure_says(&both, &["cannot be used with"])
}
