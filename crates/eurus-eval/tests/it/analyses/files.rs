//! Files of scores and of metrics, right and broken.

use std::fs;
use std::path::PathBuf;

use eurus_eval::Error;
use eurus_eval::analyses::process_rewards::{ProcessScores, RewardField, evaluate_process_rewards};
use eurus_eval::analyses::reward_trajectory::{read_trajectories, trajectory_table};
use eurus_eval::metrics::Proportion;

/// A file of this test, in a folder that is removed with the value.
fn file(name: &str, lines: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, lines.join("\n")).unwrap();
    (folder, path)
}

const SCORED: &str = r#"{"id":"a","nodes":[{"name":"1","parent":null,"verdict":"incorrect","tokens":9,"implicit_reward":-0.2,"reward":1.0},{"name":"3","parent":"1","verdict":"correct","tokens":4,"implicit_reward":0.4,"reward":-1.0}]}"#;

#[test]
fn scores_of_trees_are_read_by_field_and_turns_that_were_not_scored_are_counted() {
    let (_folder, path) = file(
        "scores.jsonl",
        &[
            SCORED,
            r#"{"id":"b","nodes":[{"name":"1","verdict":"correct","implicit_reward":0.1,"reward":0.2},{"name":"2","verdict":"incorrect","not_scored":"too long"}]}"#,
        ],
    );
    let scores = ProcessScores::read(&path).unwrap();
    assert_eq!(scores.not_scored(), 1);
    assert_eq!(
        scores.fields(),
        [RewardField::ImplicitReward, RewardField::Reward]
    );
    let implicit =
        evaluate_process_rewards(&scores.trees(RewardField::ImplicitReward).unwrap()).unwrap();
    assert_eq!(implicit.reward.auc, Some(1.0));
    assert_eq!(implicit.by_turn.len(), 2);
    let of_model = evaluate_process_rewards(&scores.trees(RewardField::Reward).unwrap()).unwrap();
    assert_eq!(of_model.reward.auc, Some(0.0));
}

#[test]
fn rows_that_are_no_scored_trees_are_refused_with_file_row_and_field() {
    let tree = |nodes: &str| format!(r#"{{"id":"b","nodes":[{nodes}]}}"#);
    let node = r#"{"name":"1","verdict":"correct","implicit_reward":0.1}"#;
    for (row, words) in [
        (
            r#"{"id":"b","reward":0.5}"#.to_owned(),
            &["`nodes`", "eurus score"][..],
        ),
        (
            tree(r#"{"name":"1","implicit_reward":0.1}"#),
            &["`nodes[0].verdict`", "`b` has no verdicts"],
        ),
        (
            tree(r#"{"name":"1","verdict":"good","implicit_reward":0.1}"#),
            &["`nodes[0].verdict`", "good"],
        ),
        (
            tree(r#"{"name":"1","verdict":"correct","implicit_reward":null}"#),
            &["`nodes[0].implicit_reward`", "no finite number"],
        ),
        (
            tree(r#"{"name":"1","verdict":"correct","implicit_reward":NaN}"#),
            &["row 2"],
        ),
        (
            tree(r#"{"name":"1","verdict":"correct","implicit_reward":1e999}"#),
            &["row 2", "out of range"],
        ),
        (
            tree(&format!("{node},{node}")),
            &["`nodes[1].name`", "twice"],
        ),
        (
            tree(&format!(
                r#"{node},{{"name":"2","parent":"7","verdict":"correct","implicit_reward":0.1}}"#
            )),
            &["`nodes[1].parent`", "`7`"],
        ),
        (SCORED.to_owned(), &["`id`", "row 1 already"]),
        ("[1]".to_owned(), &["row 2"]),
    ] {
        let (_folder, path) = file("scores.jsonl", &[SCORED, &row]);
        let error = ProcessScores::read(&path)
            .and_then(|scores| scores.trees(RewardField::ImplicitReward).map(drop))
            .unwrap_err()
            .to_string();
        for word in ["row 2", "scores.jsonl"].iter().chain(words) {
            assert!(error.contains(word), "{row}: {error}");
        }
    }
    let (_folder, path) = file("empty.jsonl", &[""]);
    assert!(matches!(
        ProcessScores::read(&path),
        Err(Error::NoValues { .. })
    ));
    assert!(ProcessScores::read(&path.with_file_name("none.jsonl")).is_err());
}

fn event(stage: &str, step: usize, chosen: &str) -> String {
    format!(
        r#"{{{stage}"event":"preference","step":{step},"steps":8,"loss":0.6,"stats":{{"groups":2,"chosen":2,"rejected":2,"loss":0.6,"chosen_reward":{chosen},"rejected_reward":-0.5,"margin":0.7,"accuracy":0.5}}}}"#
    )
}

#[test]
fn rewards_are_read_from_the_folder_of_a_run_or_from_its_file_stage_by_stage() {
    let reference = r#"{"event":"reference","done":1,"pairs":2}"#.to_owned();
    let mut rows = vec![reference.clone()];
    rows.extend((1..=8).map(|step| event("", step, &format!("0.{step}"))));
    let lines: Vec<&str> = rows.iter().map(String::as_str).collect();
    let (folder, path) = file("metrics.jsonl", &lines);
    let of_folder = read_trajectories(folder.path()).unwrap();
    assert_eq!(of_folder, read_trajectories(&path).unwrap());
    let run = &of_folder[0].trajectory;
    assert_eq!((of_folder.len(), run.steps.len()), (1, 8));
    assert!((run.last().chosen_reward - 0.75).abs() < 1e-12);
    assert_eq!(run.last().accuracy, Some(0.5));

    let rows: Vec<String> = [("DPO", "-0.4"), ("NCA", "0.4")]
        .into_iter()
        .flat_map(|(name, reward)| {
            (1..=4).map(move |step| event(&format!(r#""stage":"{name}","#), step, reward))
        })
        .collect();
    let mut lines: Vec<&str> = rows.iter().map(String::as_str).collect();
    // The quickstart's counts of trees are no events.
    lines.insert(1, r#"{"stage":"trees","turn":1,"problems":3}"#);
    let (_folder, path) = file("metrics.jsonl", &lines);
    let stages = read_trajectories(&path).unwrap();
    let names: Vec<Option<&str>> = stages.iter().map(|it| it.stage.as_deref()).collect();
    assert_eq!(names, [Some("DPO"), Some("NCA")]);
    let pass = |solved: &[bool]| Some(Proportion::from_bools(solved).unwrap());
    let table = trajectory_table(
        "Rewards",
        [
            ("DPO", &stages[0].trajectory, pass(&[true, false])),
            ("NCA", &stages[1].trajectory, pass(&[true, true])),
        ],
    )
    .unwrap();
    assert_eq!(table.rows[0][2], "−0.400");
    assert!(
        table.notes[1].contains("over 2 runs: 1.000"),
        "{:?}",
        table.notes
    );
}

#[test]
fn metrics_that_have_no_rewards_are_refused_with_their_place() {
    let good = event("", 3, "0.1");
    for (row, words) in [
        (
            event("", 4, "null"),
            &["row 2", "`stats.chosen_reward`", "no finite number"][..],
        ),
        (
            event("", 3, "0.1"),
            &["row 2", "`step`", "3 after 3", "stage"],
        ),
        (
            r#"{"loss":0.5}"#.to_owned(),
            &["row 2", "`event`", "metrics.jsonl"],
        ),
        (
            r#"{"event":"reward","step":4}"#.to_owned(),
            &["row 2", "`stats`"],
        ),
        ("no json".to_owned(), &["row 2"]),
    ] {
        let (_folder, path) = file("metrics.jsonl", &[&good, &row]);
        let error = read_trajectories(&path).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{row}: {error}");
        }
    }
    let (folder, path) = file("other.jsonl", &[r#"{"event":"sft","step":1}"#]);
    let error = read_trajectories(folder.path()).unwrap_err().to_string();
    assert!(error.contains("has no metrics.jsonl"), "{error}");
    let error = read_trajectories(&path).unwrap_err().to_string();
    assert!(error.contains("no step of preference learning"), "{error}");
}
