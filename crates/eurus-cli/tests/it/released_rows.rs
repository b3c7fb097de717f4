//! The paper's data and what it was made of, as they were released: mixtures, rankings, pairs with their oddities.

use crate::cases::{
    OF_A_STEP, PREFER, converted, ensure_first_loss, ensure_preferences, lines, place_with,
    told_of, violations,
};
use crate::common::ensure_says;
use anyhow::{Context, Result, ensure};
use serde_json::json;

#[test]
fn the_papers_presets_train_as_json_lines_and_as_tables() -> Result<()> {
    let place = place_with("paper_mixtures")?;
    let mix = "data mix --seed 1 --overwrite --preset";
    for ending in ["jsonl", "parquet"] {
        let said = place.succeed(&format!("{mix} eurus-7b-sft --out sft.{ending} --source ultrainteract=ui_sft.jsonl --source ultrachat=uc.jsonl --source sharegpt=sg.jsonl --source openorca=oo.jsonl --take ultrachat=all --take sharegpt=all --take openorca=all"))?;
        ensure_says(
            &said,
            &["32 rows (trl-messages)", "ultrachat: 8 of 8 rows (all)"],
        )?;
        let file = format!("sft.{ending}");
        told_of(
            &place,
            "sft",
            &file,
            &["32 rows read", "40 responses to imitate in 20 trees"],
        )?;
        let said = place.succeed(&format!("{mix} eurus-preference --out pairs.{ending} --source ultrainteract=ui_pair.jsonl --source ultrafeedback=uf.jsonl"))?;
        ensure_says(
            &said,
            &[
                "40 rows (trl-preference-chat)",
                "ultrafeedback: 24 of 24 rows",
            ],
        )?;
        let file = format!("pairs.{ending}");
        told_of(
            &place,
            PREFER,
            &file,
            &["40 rows read", "40 pairs in 16 trees"],
        )?;
        ensure_first_loss(&place, std::f64::consts::LN_2)?;
        told_of(&place, "reward", &file, &["40 pairs in 16 trees"])?;
    }
    told_of(
        &place,
        PREFER,
        "uf.jsonl",
        &["8 rows read", "24 pairs in 8 trees"],
    )?;
    let scored = "prefer --scored --loss nca-k";
    told_of(
        &place,
        scored,
        "uf.jsonl",
        &["8 prompts with 24 scored responses"],
    )
}

#[test]
fn the_mixture_of_reward_models_ranks_what_it_should_only_rank() -> Result<()> {
    let place = place_with("rm_mixture")?;
    place.succeed("data augment ui_pair.jsonl --out augmented.jsonl --seed 1")?;
    for ending in ["jsonl", "parquet"] {
        let said = place.succeed(&format!("data mix --preset eurus-rm-7b --seed 1 --overwrite --out mix.{ending} --source ultrainteract=ui_pair.jsonl --source augmented=augmented.jsonl --source ultrafeedback=uf.jsonl --source ultrasafety=us.jsonl"))?;
        ensure_says(
            &said,
            &["48 rows (trl-preference-chat)", "ultrasafety: 8 of 8 rows"],
        )?;
        told_of(
            &place,
            "reward --rank-only ultrafeedback,ultrasafety",
            &format!("mix.{ending}"),
            &[
                "48 rows read",
                "48 pairs in 16 trees, 16 of them only ranked",
            ],
        )?;
    }
    Ok(())
}

#[test]
fn scores_of_every_form_rank_answers_and_what_has_none_is_told() -> Result<()> {
    let place = place_with("scored_forms")?;
    let scored = "prefer --scored --loss nca-k";
    for (name, better, worse) in [
        ("annotations_list", 5.0, 2.0),
        ("fine_only", 4.5, 2.0),
        ("generations", 5.0, 2.0),
        ("nectar", -1.0, -2.0),
        ("overall", 8.0, 3.0),
        ("ratings", 5.0, 2.0),
        ("text_score", 8.0, 3.0),
    ] {
        let file = format!("{name}.jsonl");
        let rows = converted(&place, &file, "trl-preference-chat")?;
        ensure_preferences(&rows, &[]).with_context(|| file.clone())?;
        let scores = [&rows[0]["score_chosen"], &rows[0]["score_rejected"]];
        ensure!(
            scores == [&json!(better), &json!(worse)],
            "{file}: {scores:?}"
        );
        told_of(
            &place,
            scored,
            &file,
            &["6 prompts with 12 scored responses in 6 trees"],
        )?;
    }
    for file in ["na.jsonl", "ties.jsonl"] {
        let said = place.succeed(&format!(
            "data convert {file} --to trl-preference --out x.jsonl --overwrite"
        ))?;
        let nothing = format!(
            "0 rows (trl-preference) in x.jsonl; 6 records give no row (first: row 1 of {file})"
        );
        ensure_says(&said, &[&nothing])?;
        let run = format!("{scored} --model model --data {file} {OF_A_STEP}");
        let refused = "6 of 6 rows cannot be trained on: 6 with fewer than two scored answers";
        ensure_says(&place.refusal(&run)?, &[refused])?;
    }
    Ok(())
}

#[test]
fn scores_that_contradict_their_ratings_are_warned_of_and_the_ratings_can_be_taken() -> Result<()> {
    let place = place_with("ultrafeedback_ten")?;
    let output = place.run("data validate uf.jsonl")?;
    let said = String::from_utf8([output.stdout, output.stderr].concat())?;
    ensure!(output.status.success(), "{said}");
    for row in 1..=6 {
        let warned = format!(
            "warning: row {row} of uf.jsonl: field `completions[1].overall_score` is 10, and the mean of the ratings beside it is 1"
        );
        ensure_says(&said, &[&warned])?;
    }
    ensure_says(&said, &["6 records (ultrafeedback), all valid; 6 warnings"])?;

    let convert = "data convert uf.jsonl --to trl-preference-chat --out x.jsonl --overwrite";
    let doubted = "6 records have a score that the ratings beside it contradict, --score-by fine-grained takes the ratings (first: row 1 of uf.jsonl)";
    ensure_says(&place.succeed(convert)?, &[doubted])?;
    let rows = lines(&place, "x.jsonl")?;
    ensure!(
        rows[0]["chosen"][0]["content"] == "0 is larger.",
        "{}",
        rows[0]
    );
    let said = place.succeed(&format!("{convert} --score-by fine-grained"))?;
    ensure!(!said.contains("contradict"), "{said}");
    let rows = lines(&place, "x.jsonl")?;
    ensure_preferences(&rows, &[])?;
    ensure!(rows[0]["score_chosen"] == 5.0 && rows[0]["score_rejected"] == 1.0);

    let warned = [
        "warning: 6 with a doubtful score (first: row 1",
        "--score-by fine-grained takes the ratings",
        "6 pairs in 6 trees",
    ];
    told_of(&place, PREFER, "uf.jsonl", &warned)?;
    let run = format!("{PREFER} --score-by fine-grained --model model --data uf.jsonl {OF_A_STEP}");
    let said = place.told(&run)?;
    ensure!(!said.contains("doubtful"), "{said}");
    let mix = "data mix --source a=uf.jsonl --to trl-preference-chat --out mix.jsonl --overwrite";
    ensure_says(
        &place.succeed(mix)?,
        &["6 records have a score that the ratings beside it contradict"],
    )?;
    place.succeed(&format!("{mix} --score-by fine-grained"))?;
    place.succeed("data mix --repeat mix.jsonl.manifest.json --out again.jsonl")?;
    let rows = lines(&place, "again.jsonl")?;
    ensure!(
        rows.iter().all(|row| row["score_chosen"] == 5.0),
        "{rows:?}"
    );
    // Where nothing is ranked the choice says nothing.
    for run in [
        format!(
            "{PREFER} --model model --data x.jsonl --out other --learning-rate 1e-5 --score-by overall"
        ),
        "data convert x.jsonl --to trl-unpaired-chat --out y.jsonl --score-by overall".to_owned(),
    ] {
        let refused = place.refusal(&run)?;
        ensure_says(&refused, &["--score-by overall has no effect"])?;
    }
    Ok(())
}

#[test]
fn the_oddities_of_released_rows_are_read_or_told_by_row() -> Result<()> {
    let place = place_with("ultrainteract_rows")?;
    for name in [
        "differ_in_space_only",
        "no_task",
        "null_parent",
        "numeric_ids",
        "one_parent_for_all",
        "repeats_earlier_action",
        "task_spelling",
    ] {
        let file = format!("{name}.jsonl");
        let valid = place.succeed(&format!("data validate {file}"))?;
        ensure_says(&valid, &["6 records (pair), all valid"])?;
        told_of(
            &place,
            PREFER,
            &file,
            &["6 rows read", "6 pairs in 3 trees"],
        )?;
        ensure_first_loss(&place, std::f64::consts::LN_2)?;
    }
    let twice = "row 7 of dup_ids.jsonl: has the same record as row 1 of dup_ids.jsonl";
    ensure_says(&violations(&place, "dup_ids.jsonl")?, &[twice])?;
    let counted = [
        "8 rows read",
        "1 duplicate (row 7: the same as row 1)",
        "8 pairs in 3 trees",
    ];
    told_of(&place, PREFER, "dup_ids.jsonl", &counted)?;
    for (name, rows, kind, why) in [
        (
            "empty_action_in_history",
            1,
            "empty",
            "row 2 of empty_action_in_history.jsonl: field `trajectory[1].value` is empty",
        ),
        (
            "empty_observation",
            1,
            "empty",
            "row 2 of empty_observation.jsonl: field `trajectory[2].value` is empty",
        ),
        (
            "human_gpt_trajectory",
            6,
            "invalid",
            "row 1 of human_gpt_trajectory.jsonl: field `trajectory[0].from`: unknown variant `human`",
        ),
        (
            "other_task",
            6,
            "invalid",
            "row 1 of other_task.jsonl: field `task`: unknown task `Chat`",
        ),
        (
            "system_in_trajectory",
            6,
            "invalid",
            "row 1 of system_in_trajectory.jsonl: field `trajectory[0].from`: unknown variant `system`",
        ),
    ] {
        let invalid = format!("in 6 records (pair), {rows} of which are invalid by themselves");
        let said = violations(&place, &format!("{name}.jsonl"))?;
        ensure_says(&said, &[why, &invalid])?;
        let run = format!("{PREFER} --model model --data {name}.jsonl {OF_A_STEP}");
        let refused = format!("{rows} of 6 rows cannot be trained on: {rows} {kind}");
        ensure_says(&place.refusal(&run)?, &[why, &refused])?;
        let dropping = place.run(&format!("{run} --drop-unusable"))?;
        let said = String::from_utf8(dropping.stderr)?;
        let dropped = format!("6 rows read; dropped: {rows} {kind}");
        ensure_says(&said, &[&dropped])?;
        ensure!(dropping.status.success() == (rows < 6), "{said}");
    }
    Ok(())
}
