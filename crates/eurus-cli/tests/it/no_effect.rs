//! Options that a command cannot act on are refused: exit code 2, both options named, nothing begun.

use crate::common::{Workplace, ensure_says};
use anyhow::{Result, ensure};

/// Runs a command that must be refused as wrong usage, and leaves nothing behind.
fn misuse(place: &Workplace, arguments: &str, says: &[&str]) -> Result<()> {
    let before = place.names()?;
    let output = place.run(arguments)?;
    let message = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(2), "{arguments}: {message}");
    ensure_says(&message, says)?;
    ensure!(before == place.names()?, "{arguments} left something");
    Ok(())
}

#[test]
fn an_option_of_a_run_without_what_it_goes_with_is_wrong_usage() -> Result<()> {
    let place = Workplace::new()?;
    let sft = "sft --model model --data sft.jsonl --out out";
    let says = "error: --lora-alpha 8 has no effect without --lora-rank; give the rank";
    misuse(&place, &format!("{sft} --lora-alpha 8"), &[says])?;
    misuse(&place, &format!("plan {sft} --lora-alpha 8"), &[says])?;
    let alpha = "alpha is 0; the adapters would change nothing";
    for run in [sft.to_owned(), format!("plan {sft}")] {
        misuse(
            &place,
            &format!("{run} --lora-rank 4 --lora-alpha 0"),
            &[alpha],
        )?;
    }
    let prefer = "prefer --model model --data pairs.jsonl --out out --algorithm dpo";
    misuse(
        &place,
        &format!("{prefer} --desirable-weight 1.33"),
        &[
            "--desirable-weight 1.33 has no effect with this --algorithm",
            "--algorithm kto",
        ],
    )
}

#[test]
fn names_to_rank_only_that_no_row_has_are_wrong_usage() -> Result<()> {
    let place = Workplace::new()?;
    let reward = "reward --model model --data pairs.jsonl --out out --rank-only ultrafeedback";
    let says = "--rank-only ultrafeedback has no effect: no row of pairs.jsonl";
    misuse(&place, reward, &[says])?;
    misuse(&place, &format!("plan {reward}"), &[says])
}

#[test]
fn options_of_trees_are_wrong_usage_on_data_without_trees() -> Result<()> {
    let place = Workplace::new()?;
    misuse(
        &place,
        "data stats sft.jsonl --max-turns 3",
        &["--max-turns has no effect on `sft`, which has no trees"],
    )?;
    misuse(
        &place,
        "data convert pairs.jsonl --max-turns 3 --to trl-preference --out out.jsonl",
        &["--max-turns has no effect from `pair` to `trl-preference`"],
    )?;
    place.succeed("data stats pairs.jsonl --max-turns 3")?;
    place.succeed("data convert pairs.jsonl --to trl-preference-chat --out plain.jsonl")?;
    misuse(
        &place,
        "data pairs plain.jsonl --kind unpaired --to trl-preference-chat --out out.jsonl",
        &["--kind unpaired has no effect with --to trl-preference-chat"],
    )?;
    misuse(
        &place,
        "data pairs plain.jsonl --kind flat --out out.jsonl",
        &["`trl-preference-chat` has no trees, its pairs are flat already"],
    )
}

#[test]
fn a_choice_of_scores_is_wrong_usage_where_nothing_is_ranked() -> Result<()> {
    let place = Workplace::new()?;
    let says = "--score-by overall has no effect: no record is a ranking";
    for command in [
        "data convert pairs.jsonl --to tree --out out.jsonl",
        "data mix --source a=pairs.jsonl --to pair --out out.jsonl",
    ] {
        misuse(&place, &format!("{command} --score-by overall"), &[says])?;
    }
    Ok(())
}
