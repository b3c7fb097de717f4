//! Folders and files of all that a page can have, as the programs write them.

use std::fs;
use std::path::{Path, PathBuf};

use eurus_report::live::Source;
use eurus_report::runs::Runs;
use eurus_report::trees::{self, Scores, Trees};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use ultrainteract::PreferenceTree;

use crate::fixture::*;
use crate::results_support::*;
use crate::trees_support::{grown_tree, write_scores};

const STEPS: u64 = 240;

/// Writes the page of some runs and trees, with two models' scores of these.
pub fn write_page(
    folder: &Path,
    title: &str,
    runs: &[PathBuf],
    trees: Vec<PreferenceTree>,
    scores: [&str; 2],
) -> PathBuf {
    let source = Source {
        title: title.to_owned(),
        runs: Runs::open(runs).expect("runs"),
        trees: None,
    };
    let trees = Trees::all(trees);
    let of_model = |(model, name): (usize, &&str)| {
        let path = folder.join(name);
        write_scores(&path, trees.trees.iter().map(|it| &it.1), model as u64);
        Scores::read(path).expect("scores")
    };
    let scores: Vec<Scores> = scores.iter().enumerate().map(of_model).collect();
    let section = trees::viewer(&trees, &scores).expect("a section");
    let mut report = source.report();
    let html = report.block(section.into()).to_html().expect("a page");
    let path = folder.join("page.html");
    fs::write(&path, html).expect("written");
    path
}

/// Fine-tuning, three ways to learn preferences, a reward model, evaluations of two tasks, benchmarks of reward models, rewards
/// of turns, a reranking, and 40 trees.
pub fn plain_page(folder: &Path) -> PathBuf {
    let runs = plain_runs(folder);
    let trees = (0..40).map(grown_tree).collect();
    write_page(
        folder,
        "Three algorithms from one checkpoint",
        &runs,
        trees,
        ["eurus-rm.jsonl", "dpo.jsonl"],
    )
}

fn plain_runs(folder: &Path) -> Vec<PathBuf> {
    let at = |name: &str| folder.join(name);
    let sft: Vec<Value> = (1..=STEPS).map(|it| noisy_sft_step(it, STEPS)).collect();
    let mut runs = vec![preference_run(&at("sft"), &sft)];
    for (seed, (name, chosen, rejected)) in [
        ("dpo", -4.2, -9.6),
        ("kto", 1.2, -4.0),
        ("nca-with-a-learning-rate-of-5e-7-and-beta-0.01", 1.9, -2.1),
    ]
    .into_iter()
    .enumerate()
    {
        let mut events = preference_events(seed as u64, chosen, rejected, "preference");
        if chosen < 0.0 {
            events.insert(60, collapse(58));
            events.insert(160, not_finite(157));
        }
        let run = preference_run(&at(name), &events);
        let record = record(env!("CARGO_PKG_VERSION"), ["5e-7", "1e-6", "5e-7"][seed]);
        fs::write(run.join("run.json"), record.to_string()).expect("written");
        runs.push(run);
    }
    let reward = preference_events(9, 1.4, -1.6, "reward");
    runs.push(preference_run(&at("eurus-rm"), &reward));
    for (name, task, right) in [
        ("sft-svamp", "svamp", 20),
        ("dpo-svamp", "svamp", 17),
        ("kto-svamp", "svamp", 31),
        ("kto-human-eval", "human_eval", 12),
    ] {
        runs.push(evaluation(&at(name), &summary(task, name, right)));
    }
    let reranked = runs[7].join("rerank.json");
    fs::write(reranked, reranking("eurus-rm").to_string()).expect("written");
    let scores = [
        ("dpo.jsonl", "implicit_reward"),
        ("eurus-rm.jsonl", "reward"),
    ];
    for (name, printed) in [
        ("rewardbench-eurus-rm.json", of_rewardbench(0.5)),
        ("rewardbench-bradley-terry.json", of_rewardbench(0.3)),
        ("autoj-eurus-rm.json", of_autoj(0.5)),
        ("process.json", of_process(&scores)),
    ] {
        fs::write(at(name), printed.to_string()).expect("written");
        runs.push(at(name));
    }
    runs
}

/// Steps that go where the rewards go, with judgements every 40 of them.
fn preference_events(seed: u64, chosen: f64, rejected: f64, event: &str) -> Vec<Value> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut events = Vec::new();
    for number in 1..=STEPS {
        let x = number as f64 / STEPS as f64;
        let way = x / (x + 0.35);
        let mut noise = |size: f64| size * (random.random::<f64>() - 0.5);
        let (c, r) = (chosen * way + noise(0.8), rejected * way + noise(1.2));
        let mut line = step(number, STEPS);
        line["event"] = event.into();
        line["loss"] = json!(0.693 - 0.45 * way + noise(0.1));
        line["grad_norm"] = json!(1.4 + 2.5 * (0.08 / (x + 0.08)) + noise(0.9));
        line["learning_rate"] = json!(5e-7 * (x / 0.1).min((1.0 - x) / 0.9));
        line["unique_tokens"] = json!(4000 + number % 7 * 90);
        line["naive_tokens"] = json!(9800 + number % 5 * 150);
        line["seconds"] = json!(0.45 + noise(0.1));
        line["stats"]["chosen_reward"] = json!(c);
        line["stats"]["rejected_reward"] = json!(r);
        line["stats"]["margin"] = json!(c - r);
        line["stats"]["accuracy"] = json!((0.5 + 0.4 * way + noise(0.1)).min(1.0));
        line["stats"]["chosen_log_prob"] = json!(-42.0 + 6.0 * chosen * way + noise(6.0));
        line["stats"]["rejected_log_prob"] = json!(-48.0 + 6.0 * rejected * way + noise(6.0));
        events.push(line);
        if number % 40 == 0 {
            let answer = format!(
                "Step 1: add 2 and 2.\nAnswer: {}",
                if x < 0.5 { 5 } else { 4 }
            );
            let mut judged = evaluated(number, &answer);
            judged["judgement"]["metrics"]["loss"] = json!(0.693 - 0.3 * way);
            events.push(judged);
        }
    }
    events
}

fn noisy_sft_step(number: u64, steps: u64) -> Value {
    let x = number as f64 / steps as f64;
    let mut line = sft_step(number, steps);
    line["loss"] = json!(0.6 + 1.2 * (0.2 / (x + 0.2)) + 0.02 * (number * 7 % 11) as f64);
    line
}

fn not_finite(step: u64) -> Value {
    let fault =
        json!({"what": "the loss", "value": "NaN", "terms": [], "examples": ["row 17", "row 90"]});
    json!({"event": "not_finite", "step": step, "skipped": true, "fault": fault})
}

/// Every text in the names of stages, runs, tasks, settings, scorers and metrics, in prompts, answers and warnings.
pub fn runs_of_texts(folder: &Path, texts: &[&str]) -> Vec<PathBuf> {
    let mut lines_of_stages = String::new();
    let mut runs = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        lines_of_stages.push_str(&lines(&events_of_text(text)));
        // A slash makes a folder of its own, and a null character none.
        let name = text.replace(['/', '\0'], "");
        let run = preference_run(&folder.join(format!("{number}{name}")), &some_steps());
        let mut record = record(text, text);
        record["model"] = (*text).into();
        record["options"][text] = json!([text, {*text: text}]);
        fs::write(run.join("run.json"), record.to_string()).expect("written");
        runs.push(run);

        let mut summary = summary(text, text, 20);
        summary.notes = vec![(*text).to_owned()];
        summary.reported = (*text).to_owned();
        summary.settings[0].name = (*text).to_owned();
        let evaluated = evaluation(&folder.join(format!("evaluation-{number}")), &summary);
        let reranked = evaluated.join("rerank.json");
        fs::write(reranked, reranking(text).to_string()).expect("written");
        runs.push(evaluated);
        for (name, printed) in [
            ("pairs", of_pairs(&[text], 0.4)),
            ("rewardbench2", of_rewardbench2(text, 0.4)),
            ("process", of_process(&[(text, "reward")])),
        ] {
            let path = folder.join(format!("{name}-{number}.json"));
            fs::write(&path, printed.to_string()).expect("written");
            runs.push(path);
        }
    }
    let stages = folder.join("stages");
    fs::create_dir(&stages).expect("a folder");
    fs::write(stages.join("metrics.jsonl"), lines_of_stages).expect("written");
    let measures: serde_json::Map<String, Value> = texts
        .iter()
        .map(|text| ((*text).to_owned(), json!(0.5)))
        .collect();
    let summary = json!({"measures": measures});
    fs::write(stages.join("summary.json"), summary.to_string()).expect("written");
    runs.push(stages);
    runs
}
