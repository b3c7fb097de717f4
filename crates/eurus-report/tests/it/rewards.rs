//! Reward models on benchmarks and rewards of turns, as their commands print them.

use std::fs;
use std::path::{Path, PathBuf};

use eurus_report::runs::{RewardModelResult, Runs};
use scraper::{Html, Selector};
use serde_json::{Value, json};

use crate::fixture::html;
use crate::results_support::*;

fn file(folder: &Path, name: &str, value: &Value) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, value.to_string()).unwrap();
    path
}

fn texts(page: &Html, selector: &str) -> Vec<String> {
    page.select(&Selector::parse(selector).unwrap())
        .map(|it| it.text().collect())
        .collect()
}

/// Rows of each plot, and how many of them have an interval.
fn plots(page: &Html) -> Vec<(Vec<String>, usize)> {
    let [plots, names, whiskers] =
        [".dots .broad", "g > title", ".whisker"].map(|text| Selector::parse(text).unwrap());
    page.select(&plots)
        .map(|plot| {
            let names = plot.select(&names);
            (
                names.map(|it| it.text().collect()).collect(),
                plot.select(&whiskers).count(),
            )
        })
        .collect()
}

#[test]
fn every_benchmark_of_reward_models_is_told_by_its_fields_and_drawn_with_intervals() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str, value: Value| file(place.path(), name, &value);
    let paths = [
        at("pairs.json", of_pairs(&["gsm8k", "MATH"], 0.4)),
        at("mtbench.json", of_mtbench()),
        at("autoj.json", of_autoj(0.4)),
        at("rb2.json", of_rewardbench2("Math", 0.4)),
        at("rb.json", of_rewardbench(0.4)),
    ];
    let runs = Runs::open(&paths).unwrap();
    assert!(matches!(
        runs.folders()[2].reward_model(),
        Some(RewardModelResult::AutoJ(_))
    ));
    assert!(runs.are_complete() && runs.notes().is_empty());
    let page = Html::parse_document(&html(&paths));
    let plots = plots(&page);
    let sections = [
        "Chat",
        "Chat Hard",
        "Safety",
        "Reasoning",
        "Mean of the sections",
    ];
    assert_eq!(plots[0], (sections.map(str::to_owned).to_vec(), 5));
    let subsets = ["Math", "Ties", "Mean of the subsets"];
    assert_eq!(plots[1], (subsets.map(str::to_owned).to_vec(), 1));
    assert_eq!(
        (plots[2].0.len(), plots[2].1),
        (9, 9),
        "eight groups, and all"
    );
    assert_eq!(
        (plots[3].0.len(), plots[3].1),
        (4, 4),
        "two turns, with ties and without"
    );
    let parts = ["All", "MATH", "gsm8k", "Turn 1", "Turn 2"];
    assert_eq!(plots[4], (parts.map(str::to_owned).to_vec(), 5));
    let headings = texts(&page, "h2");
    assert_eq!(headings, ["Reward models"]);
    let tables = texts(&page, "caption").join("\n");
    for name in [
        "rb: RewardBench.",
        "autoj: AutoJ, ties up to a difference of 0",
    ] {
        assert!(tables.contains(name), "{tables}");
    }
}

#[test]
fn reward_models_on_one_benchmark_stand_part_by_part_in_one_plot() {
    let place = tempfile::tempdir().unwrap();
    let paths = [0.1, 0.7].map(|skill| {
        let name = format!("bt-{skill}.json");
        file(place.path(), &name, &of_rewardbench(skill))
    });
    let page = Html::parse_document(&html(&paths));
    let plots = plots(&page);
    assert_eq!(plots.len(), 1);
    assert_eq!(
        plots[0].0[..3],
        ["Chat: bt-0.1", "Chat: bt-0.7", "Chat Hard: bt-0.1"]
    );
    assert_eq!(plots[0].1, 10);
}

#[test]
fn rewards_of_turns_are_drawn_beside_what_length_and_turns_alone_tell() {
    let place = tempfile::tempdir().unwrap();
    let both = of_process(&[
        ("runs/dpo.jsonl", "implicit_reward"),
        ("rm.jsonl", "reward"),
    ]);
    let path = file(place.path(), "process.json", &both);
    let page = Html::parse_document(&html(&[path]));
    let found = plots(&page);
    let turns = ["dpo (implicit_reward)", "rm (reward)", "Length alone"];
    assert_eq!(found[0], (turns.map(str::to_owned).to_vec(), 3));
    assert_eq!(
        (found[1].0.len(), found[1].1),
        (9, 9),
        "four ways for each, and turns"
    );
    assert_eq!(found[1].0[1], "dpo (implicit_reward), mean");
    let all = texts(&page, "main").join("");
    for words in [
        "process: rewards of turns against their verdicts.",
        "process: by turn.",
        "rm.jsonl: 1 turns were too long to score",
        "Siblings ranked right",
    ] {
        assert!(all.contains(words), "{words}");
    }

    let other = file(
        place.path(),
        "other.json",
        &of_process(&[("kto.jsonl", "reward")]),
    );
    let page = html(&[place.path().join("process.json"), other]);
    let rows = plots(&Html::parse_document(&page)).remove(0).0;
    assert_eq!(rows[0], "process: dpo (implicit_reward)");
    assert_eq!(rows[4], "other: Length alone");
}

#[test]
fn what_no_command_printed_is_refused_with_what_to_give() {
    let place = tempfile::tempdir().unwrap();
    let mut broken = of_pairs(&["a"], 0.5);
    broken["overall"]["interval"] = json!("wide");
    for (name, value) in [
        ("unknown.json", json!({"accuracy": 0.5})),
        ("list.json", json!([1, 2])),
        ("broken.json", broken),
        (
            "null.json",
            json!({"rewards": [{"file": "a", "field": "reward", "not_scored": 0, "report": null}]}),
        ),
        ("points.json", json!({"points": 1})),
    ] {
        let path = file(place.path(), name, &value);
        let message = Runs::open(&[path]).unwrap_err().to_string();
        for words in [name, "`eval rm`", "--json"] {
            assert!(message.contains(words), "{message}");
        }
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}
