//! Folders of runs as the programs write them, without running any.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use eurus_eval::graders::Rules;
use eurus_eval::metrics::{Bootstrap, Proportion};
use eurus_eval::reranking::{Candidate, Candidates};
use eurus_eval::runs::{DataStamp, ModelStamp, RunRecord, SettingSummary, Summary, TaskStamp};
use eurus_report::page;
use eurus_report::runs::Runs;
use serde_json::{Value, json};

/// A step of preference learning.
pub fn step(step: u64, steps: u64) -> Value {
    let x = step as f64 / steps as f64;
    json!({
        "event": "preference", "step": step, "steps": steps, "loss": 0.69 - 0.3 * x,
        "learning_rate": 1e-6 * (1.0 - x), "grad_norm": 1.0 + x, "unique_tokens": 1000, "naive_tokens": 2500,
        "utilization": 0.5, "seconds": 0.25, "peak_resident_bytes": 3_000_000_000_u64,
        "stats": {
            "groups": 8, "chosen": 8, "rejected": 8, "loss": 0.69 - 0.3 * x, "chosen_reward": 0.4 * x,
            "rejected_reward": -0.8 * x, "margin": 1.2 * x, "accuracy": 0.5 + 0.4 * x, "chosen_log_prob": -40.0,
            "rejected_log_prob": -60.0 - x, "kl": 0.1 * x,
        },
    })
}

/// A step of fine-tuning.
pub fn sft_step(step: u64, steps: u64) -> Value {
    json!({
        "event": "sft", "step": step, "steps": steps, "loss": 2.0 / step as f64, "learning_rate": 2e-5, "grad_norm": 0.7,
        "unique_tokens": 800, "naive_tokens": 900, "utilization": 0.9, "seconds": 0.5, "target_tokens": 300,
    })
}

pub fn collapse(step: u64) -> Value {
    let warning = json!({
        "kind": "chosen_reward_falling", "start": 0.0, "current": -2.5, "slope": -0.1, "slope_error": 0.01,
        "first_step": 1, "last_step": step,
    });
    json!({"event": "collapse", "step": step, "warning": warning})
}

pub fn evaluated(step: u64, response: &str) -> Value {
    let samples = json!([{"prompt": "What is 2 + 2?", "response": response}]);
    let judgement =
        json!({"score": -0.5, "metrics": {"loss": 0.5, "eos_rate": 1.0}, "samples": samples});
    json!({"event": "evaluated", "step": step, "judgement": judgement, "best": true})
}

pub fn lines(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

/// The record of a run, as `eurus prefer` writes it.
pub fn record(version: &str, learning_rate: &str) -> Value {
    json!({
        "program": {"name": "eurus", "version": version}, "command": ["eurus", "prefer"], "model": "base",
        "options": {"learning_rate": learning_rate, "data": ["a.jsonl", "b.jsonl"], "out": "somewhere"},
        "identity": {}, "data": {},
    })
}

/// A folder of a finished run of preference learning.
pub fn preference_run(folder: &Path, events: &[Value]) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("metrics.jsonl"), lines(events)).unwrap();
    let record = record(env!("CARGO_PKG_VERSION"), "5e-7");
    fs::write(folder.join("run.json"), record.to_string()).unwrap();
    fs::write(folder.join("config.json"), "{}").unwrap();
    folder.to_owned()
}

pub fn some_steps() -> Vec<Value> {
    let mut events: Vec<Value> = (1..=60).map(|it| step(it, 60)).collect();
    events.insert(0, evaluated(0, "5"));
    events.insert(40, collapse(39));
    events.push(evaluated(60, "It is 4."));
    events
}

pub fn summary(task: &str, model: &str, right: usize) -> Summary {
    let outcomes: Vec<bool> = (0..50).map(|it| it < right).collect();
    let accuracy = Proportion::from_bools(&outcomes).unwrap();
    Summary {
        run: RunRecord {
            eurus: env!("CARGO_PKG_VERSION").to_owned(),
            task: TaskStamp {
                name: task.to_owned(),
                version: 1,
                sha256: "0".to_owned(),
                file: None,
            },
            data: DataStamp {
                sha256: "1".to_owned(),
                items: 50,
                published: None,
            },
            model: ModelStamp {
                name: model.to_owned(),
                identity: Value::Null,
                template_sha256: None,
            },
            samples: 1,
            seed: 0,
            limit: None,
            settings: Vec::new(),
        },
        rules: Rules::Authors,
        notes: Vec::new(),
        reported: "cot".to_owned(),
        settings: vec![SettingSummary {
            name: "cot".to_owned(),
            accuracy: Some(accuracy),
            ratings: None,
            interval: accuracy.wilson(0.95).ok(),
            groups: BTreeMap::new(),
            rating_groups: BTreeMap::new(),
            pass_at_k: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            cut_off: 0,
            nothing_extracted: 0,
            items_unjudged: 0,
            protection: None,
        }],
    }
}

pub fn evaluation(folder: &Path, summary: &Summary) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let write = |name: &str, value: Value| fs::write(folder.join(name), value.to_string()).unwrap();
    write("run.json", json!(summary.run));
    write("summary.json", json!(summary));
    folder.to_owned()
}

/// What `eurus eval rerank --json` prints.
pub fn reranking(scorer: &str) -> Value {
    let mut candidates = Candidates::new(["log-prob", scorer]).unwrap();
    for problem in 0..6 {
        let candidate = |index: usize| Candidate {
            answer: Some(index.to_string()),
            correct: index == problem % 4,
            scores: vec![-(index as f64), (index == problem % 3) as u8 as f64],
        };
        candidates
            .add_problem((0..4).map(candidate).collect())
            .unwrap();
    }
    json!(
        candidates
            .curve("log-prob", &[1, 2, 4], &Bootstrap::default())
            .unwrap()
    )
}

/// Events with a text in every field that has one.
pub fn events_of_text(text: &str) -> Vec<Value> {
    let mut events = vec![step(1, 3), step(2, 3)];
    let mut collapse = collapse(2);
    collapse["warning"]["kind"] = text.into();
    let fault = json!({"what": text, "value": text, "terms": [text], "examples": [text, text]});
    let judgement = json!({
        "score": 0, "metrics": {text: 0.5}, "samples": [{"prompt": text, "response": text}],
    });
    events.extend([
        collapse,
        json!({"event": "not_finite", "step": 2, "skipped": true, "fault": fault}),
        json!({"event": "not_evaluated", "step": 2, "problem": text}),
        json!({"event": "not_saved", "step": 2, "problem": text}),
        json!({"event": "evaluated", "step": 2, "judgement": judgement, "best": true}),
        json!({"event": "stopped", "step": 2, "steps": 3, "reason": text}),
        json!({"event": text, "step": 3}),
    ]);
    for event in &mut events {
        event["stage"] = text.into();
    }
    events
}

/// The page of some runs.
pub fn html(paths: &[PathBuf]) -> String {
    let runs = Runs::open(paths).unwrap();
    page::of(&runs, &page::title(&runs)).to_html().unwrap()
}
