//! `eurus eval rm`: a reward model and a policy on pairs and on a benchmark's rows.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use test_support::servers::{ChatServer, Reply};

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

#[test]
fn a_judge_rates_responses_and_is_asked_for_none_again() -> Result<()> {
    let place = Workplace::new()?;
    let row = |id: &str, chosen: &str| json!({"id": id, "prompt": "What is 2 + 2?", "chosen": chosen, "rejected": "5"});
    place.write_rows(
        "sums.jsonl",
        &[row("a", "4"), row("b", "four"), row("c", "IV")],
    )?;
    // Of one answer the judge gives no number: it ranks below all.
    let server = ChatServer::answering(|call| {
        let asked = call.last_text();
        let text = match asked {
            _ if asked.contains("IV") => "I cannot say.",
            _ if asked.contains("turn 1\n5") => "Wrong. [[2]]",
            _ => "Right. [[9]]",
        };
        Reply::texts(&vec![text; call.samples()])
    });
    let run = format!(
        "eval rm pairs --data sums.jsonl --judge {} --judge-served-name m --ratings ratings.jsonl --json",
        server.base_url
    );
    let report: Value = serde_json::from_str(&place.succeed(&run)?)?;
    let accuracy = report["overall"]["accuracy"]["mean"].as_f64();
    ensure!(accuracy == Some(2.0 / 3.0), "{report}");
    let asked = server.calls().len();
    ensure!(asked == 6, "{asked} calls");
    ensure!(place.succeed(&run)? == report.to_string() + "\n");
    ensure!(server.calls().len() == asked, "the ratings were there");
    ensure_says(
        &place.refusal("eval rm pairs --data sums.jsonl --ratings ratings.jsonl --model rm")?,
        &["--ratings", "--scores in place of --model"],
    )
}
