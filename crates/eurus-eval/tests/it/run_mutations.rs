//! The files of a run that a seeded mutator has put together: an error or other numbers, never a panic.
//!
//! `EURUS_MUTATIONS` sets how many there are of each run; `--nocapture` prints how they ended.

#![allow(clippy::print_stdout, reason = "the counts are the result")]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use chat_model::{ChatRequest, Completion, Finish, FnModel, Message};
use eurus_eval::Result;
use eurus_eval::graders::Rules;
use eurus_eval::runs::{
    DataStamp, Judging, ModelStamp, RunFolder, RunRecord, SettingStamp, SettingSummary, Summary,
    TaskStamp, comparison_table, grade_answers, item_results, published_table, rate_conversations,
};
use eurus_eval::samples::{Sample, SampleFile};
use eurus_eval::tasks::{Grader, Item, Task};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use test_support::count;

use crate::mutated::mutated;
use crate::own::OWN_TASK;

const SETTING: &str = "answers";

/// A run of three items: what was asked, and what was answered.
fn items(task: &Task) -> Vec<Item> {
    let turns: &[&str] = match task.grader() {
        Grader::Judge {} => &["Shorter."],
        _ => &[],
    };
    let item = |at: usize| Item {
        id: format!("item {at}"),
        request: ChatRequest::new([Message::user(format!("What is {at} + 2?"))]),
        later_turns: turns.iter().map(|it| (*it).to_owned()).collect(),
        gold: json!(at + 2),
        row: Map::from_iter([(
            "reference".to_owned(),
            json!({"choices": [{"turns": ["4"]}]}),
        )]),
        groups: BTreeMap::from([("size".to_owned(), "small".to_owned())]),
        cluster: (at > 0).then(|| "pair".to_owned()),
    };
    (0..3).map(item).collect()
}

fn answers(items: &[Item]) -> Vec<Sample> {
    let answer = |(at, item): (usize, &Item)| Sample {
        id: item.id.clone(),
        sample: 0,
        text: format!("The answer is {}.", 2 * at + 2),
        turns: match item.later_turns.len() {
            0 => Vec::new(),
            more => vec!["An answer.".to_owned(); 1 + more],
        },
        finish: Finish::Stop,
        tokens: 5,
        log_prob: Some(-1.5),
        seed: 7,
    };
    items.iter().take(2).enumerate().map(answer).collect()
}

fn record(task: &Task) -> RunRecord {
    RunRecord {
        eurus: "0.1.0".into(),
        task: TaskStamp {
            name: task.name().into(),
            version: 1,
            sha256: task.sha256().into(),
            file: None,
        },
        data: DataStamp {
            // A cut after twelve bytes would be inside a character.
            sha256: "0123456789a\u{1f600}".into(),
            items: 3,
            published: Some(80),
        },
        model: ModelStamp {
            name: "model".into(),
            identity: json!({"weights": 1}),
            template_sha256: None,
        },
        samples: 1,
        seed: 0,
        limit: None,
        settings: vec![SettingStamp {
            name: SETTING.into(),
            prompts_sha256: "ab".into(),
            bos: Some(1),
            sampling: chat_model::Sampling::default(),
        }],
    }
}

/// Goes on with the answers, judges them, sums them up, writes all that is written and reads it again.
fn whole(folder: &RunFolder, task: &Task) -> Result<Summary> {
    drop(SampleFile::open(folder.answers(SETTING), &settings())?);
    let setting = folder.read_setting(SETTING)?;
    let (items, answers, unanswered) = (&setting.items, &setting.answers, &setting.unanswered);
    let verdicts = match task.grader() {
        Grader::Judge {} => {
            let judge = FnModel::new("judge", |request: &ChatRequest| {
                Ok(vec![Completion::stopped("[[7]]"); request.samples])
            });
            rate_conversations(items, answers, unanswered, &judge, 1, &|| ())?
        }
        _ => {
            let judging = Judging {
                judge: &|item, answer, python| task.grade(item, answer, Rules::Authors, python),
                interpreter: None,
                workers: 1,
            };
            grade_answers(items, answers, unanswered, &judging, &|| ())?
        }
    };
    let summary = Summary {
        run: folder.record()?,
        rules: Rules::Authors,
        notes: vec!["3 items".into()],
        reported: SETTING.into(),
        settings: vec![SettingSummary::of(SETTING, items, &verdicts)?],
    };
    let results = item_results(items, &verdicts);
    if let Ok(compared) = eurus_eval::metrics::compare_runs(&results, &results) {
        let _ = comparison_table(["one", "other"], &compared);
    }
    let _ = published_table(&summary, &task.file().published);
    let settings = [(setting, verdicts)];
    folder.write_results(&summary, &settings)?;
    folder.write_harness(&summary, &settings, "2024-04-02")?;
    Ok(summary)
}

fn settings() -> Value {
    json!({"model": "m", "sampling": {"temperature": 0.0}})
}

fn write_sound(path: &Path, task: &Task) -> Result<RunFolder> {
    let folder = RunFolder::create(path, &record(task))?;
    let items = items(task);
    folder.write_items(SETTING, &items)?;
    let reasons = HashMap::from([("item 2".to_owned(), "too long".to_owned())]);
    folder.write_unanswered(SETTING, &reasons)?;
    let mut file = SampleFile::open(folder.answers(SETTING), &settings())?;
    for answer in answers(&items) {
        file.append(answer)?;
    }
    Ok(folder)
}

#[test]
fn no_fault_in_the_files_of_a_run_ends_in_a_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(29);
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let files = [
        "answers/answers.jsonl",
        "answers/answers.run.json",
        "answers/items.jsonl",
        "answers/unanswered.json",
        "answers/verdicts.jsonl",
        "run.json",
        "summary.json",
    ];
    let own = Task::parse(OWN_TASK).expect("a task");
    let mtbench = Task::built_in("mtbench").expect("a task");
    for task in [own, mtbench] {
        let place = tempfile::tempdir().expect("a folder");
        let folder = write_sound(place.path(), &task).expect("a sound run");
        let sound = whole(&folder, &task).expect("a sound run");
        // Written by hand between faults: the run's own files wait for the disk.
        let contents = files.map(|file| {
            let path = place.path().join(file);
            (file, fs::read_to_string(path).expect("a file of the run"))
        });
        for _ in 0..count("EURUS_MUTATIONS", 175) {
            // Every other fault is in the answers: they are what goes on after a kill.
            let at = rng.random_range(0..2 * files.len());
            let (file, content) = &contents[at.saturating_sub(files.len())];
            for (file, content) in &contents {
                fs::write(place.path().join(file), content).expect("a file of the run");
            }
            let faulty = mutated(&mut rng, content);
            fs::write(place.path().join(file), faulty).expect("a file of the run");
            let read = folder
                .verdicts(SETTING)
                .map(drop)
                .and(folder.summary().map(drop));
            let end = match (read, whole(&folder, &task)) {
                (Err(error), _) | (_, Err(error)) => {
                    assert!(!error.to_string().is_empty());
                    "refused"
                }
                (Ok(()), Ok(summary)) if summary == sound => "as it was",
                (Ok(()), Ok(_)) => "other numbers",
            };
            *counts.entry((*file, end)).or_default() += 1;
        }
    }
    for ((file, end), count) in &counts {
        println!("{count:5} faults in {file}: {end}");
    }
    let of_answers = |end| counts.get(&(files[0], end)).copied().unwrap_or_default();
    assert!(counts.values().sum::<usize>() >= 200);
    assert!(of_answers("refused") > 0 && of_answers("other numbers") > 0);
}
