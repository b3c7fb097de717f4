//! A run in the files and fields of lm-evaluation-harness, for tools that read those.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::page::SettingFiles;
use super::record::sha256;
use super::summary::{SettingSummary, Summary};
use super::verdicts::{ItemVerdict, shown_prompt};

/// The name of the metric in the harness's files.
const METRIC: &str = "acc";

/// `results_<date>.json`: every setting of the task is a task there.
pub fn results(summary: &Summary) -> Value {
    let run = &summary.run;
    let per_setting = |value: fn(&Summary, &SettingSummary) -> Value| -> Map<String, Value> {
        let settings = summary.settings.iter();
        settings
            .map(|setting| (task_name(summary, &setting.name), value(summary, setting)))
            .collect()
    };
    json!({
        "results": per_setting(|summary, setting| json!({
            "alias": task_name(summary, &setting.name),
            "acc,none": setting.accuracy.map(|it| it.mean),
            "acc_stderr,none": setting.accuracy.and_then(|it| it.standard_error),
        })),
        "group_subtasks": per_setting(|_, _| json!([])),
        "configs": per_setting(|summary, setting| {
            let stamp = summary.run.settings.iter().find(|it| it.name == setting.name);
            json!({
                "task": task_name(summary, &setting.name),
                "output_type": "generate_until",
                "generation_kwargs": stamp.map(|it| &it.sampling),
                "repeats": summary.run.samples,
                "metadata": {"version": summary.run.task.version, "rules": summary.rules},
            })
        }),
        "versions": per_setting(|summary, _| json!(summary.run.task.version)),
        "higher_is_better": per_setting(|_, _| json!({METRIC: true})),
        "n-samples": per_setting(|summary, setting| json!({
            "original": summary.run.data.items,
            "effective": setting.accuracy.map_or(0, |it| it.n),
        })),
        "config": {
            "model": "eurus",
            "model_args": run.model.name,
            "limit": run.limit,
            "random_seed": run.seed,
        },
        "model_name": run.model.name,
        "task_hashes": per_setting(|summary, _| json!(summary.run.task.sha256)),
    })
}

/// `samples_<task>_<date>.jsonl` of one setting, a line for each answer.
pub fn samples(setting: &SettingFiles<'_>) -> Vec<Value> {
    let texts = setting.texts();
    let mut by_item: HashMap<&str, Vec<&ItemVerdict>> = HashMap::new();
    for verdict in setting.verdicts {
        by_item.entry(&verdict.id).or_default().push(verdict);
    }
    let mut rows = Vec::new();
    for (doc_id, item) in setting.items.iter().enumerate() {
        for verdict in by_item.remove(item.id.as_str()).unwrap_or_default() {
            let answer = texts.get(&(item.id.as_str(), verdict.sample));
            let text = answer.copied().unwrap_or_default();
            let prompt = shown_prompt(&item.request);
            let target = item.gold.to_string();
            rows.push(json!({
                "doc_id": doc_id,
                "doc": {"id": item.id, "groups": item.groups},
                "target": item.gold,
                "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": item.request.sampling}},
                "resps": [[text]],
                "filtered_resps": [verdict.grade.extracted],
                "filter": "none",
                "metrics": [METRIC],
                "doc_hash": sha256([item.id.as_bytes()]),
                "prompt_hash": sha256([prompt.as_bytes()]),
                "target_hash": sha256([target.as_bytes()]),
                METRIC: f64::from(u8::from(verdict.grade.is_correct())),
            }));
        }
    }
    rows
}

/// The name of a setting among tasks.
pub fn task_name(summary: &Summary, setting: &str) -> String {
    match summary.settings.len() {
        1 => summary.run.task.name.clone(),
        _ => format!("{}_{setting}", summary.run.task.name),
    }
}
