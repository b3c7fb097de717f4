//! `eurus eval rm`: a reward model and a policy on pairs and on a benchmark's rows.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::common::{Workplace, ensure_says};

#[test]
fn a_reward_model_and_a_policy_are_judged_on_pairs_and_a_benchmark_by_its_rows() -> Result<()> {
    let place = Workplace::new()?;
    let train = "--data pairs.jsonl --epochs 2 --trees-per-step 3 --learning-rate 3e-3";
    place.succeed(&format!("reward --model model {train} --out rm"))?;
    let report: Value = serde_json::from_str(
        &place.succeed("eval rm pairs --data pairs.jsonl --model rm --json")?,
    )?;
    ensure!(
        report["overall"]["accuracy"]["mean"] == 1.0,
        "it learned these pairs: {report}"
    );
    let turns = report["turns"].as_array().map_or(0, Vec::len);
    ensure!(turns == 2, "{report}");

    // The same in two steps, and by the implicit reward of a policy against itself: every pair is a tie.
    place.succeed("eval rm pairs --data pairs.jsonl --responses responses.jsonl")?;
    place.succeed("score --policy model --reference model --model rm --data responses.jsonl --out scores.jsonl")?;
    let again: Value = serde_json::from_str(
        &place.succeed("eval rm pairs --data pairs.jsonl --scores scores.jsonl --json")?,
    )?;
    ensure!(again["overall"] == report["overall"]);
    let tied = place.succeed(
        "eval rm pairs --data pairs.jsonl --scores scores.jsonl --field implicit_reward --json",
    )?;
    let tied: Value = serde_json::from_str(&tied)?;
    ensure!(tied["overall"]["accuracy"]["mean"] == 0.0, "{tied}");

    let row = |id: usize, subset: &str| json!({"id": id, "subset": subset, "prompt": "What is 2 + 2?", "chosen": "4", "rejected": "5"});
    place.write_rows(
        "rewardbench.jsonl",
        &[
            row(0, "alpacaeval-easy"),
            row(1, "mt-bench-hard"),
            row(2, "refusals-dangerous"),
            row(3, "hep-rust"),
        ],
    )?;
    let table = place.succeed("eval rm rewardbench --data rewardbench.jsonl --model rm")?;
    ensure_says(&table, &["RewardBench", "alpacaeval-easy", "hep-rust"])?;
    place.write_rows("bad.jsonl", &[row(0, "alpacaeval-easi")])?;
    ensure_says(
        &place.refusal("eval rm rewardbench --data bad.jsonl --model rm")?,
        &["alpacaeval-easi", "alpacaeval-easy"],
    )?;
    ensure_says(
        &place.refusal("eval rm pairs --data sft.jsonl --model rm")?,
        &["row 1 of sft.jsonl", "is no pair"],
    )
}
