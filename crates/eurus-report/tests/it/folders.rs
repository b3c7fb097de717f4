//! Which runs are found where, and what is said of those that are not as they should be.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use eurus_report::Error;
use eurus_report::runs::{Runs, TrainingKind};
use proptest::prelude::*;
use serde_json::json;

use crate::fixture::*;

/// What is said of one path that no page can be made of.
fn refusal(path: &Path) -> Error {
    Runs::open(&[path.to_owned()]).unwrap_err()
}

fn open(path: &Path) -> Runs {
    Runs::open(&[path.to_owned()]).unwrap()
}

#[test]
fn every_kind_of_run_is_found_in_its_folder() {
    let place = tempfile::tempdir().unwrap();
    let trained = preference_run(&place.path().join("kto"), &some_steps());
    let evaluated = evaluation(&place.path().join("svamp"), &summary("svamp", "kto", 30));
    let reranked = place.path().join("rerank.json");
    fs::write(&reranked, reranking("rm").to_string()).unwrap();
    let runs = Runs::open(&[trained, evaluated, reranked]).unwrap();
    let [trained, evaluated, reranked] = runs.folders() else {
        panic!("three folders")
    };
    let run = &trained.training()[0];
    assert_eq!(
        (run.kind, run.steps.len()),
        (Some(TrainingKind::Preference), 60)
    );
    assert_eq!((run.remarks.len(), run.judged.len()), (1, 2));
    assert_eq!(trained.settings().unwrap().options["learning-rate"], "5e-7");
    assert_eq!(evaluated.evaluation().unwrap().run.task.name, "svamp");
    assert_eq!(reranked.reranking().unwrap().points.len(), 3);
    assert!(runs.notes().is_empty() && runs.are_complete());
}

#[test]
fn the_stages_of_a_quickstart_are_runs_of_their_own() {
    let place = tempfile::tempdir().unwrap();
    let staged = |stage: &str, mut event: serde_json::Value| {
        event["stage"] = stage.into();
        event
    };
    let events = [
        json!({"stage": "trees", "pairs": 12}),
        staged("SFT", sft_step(1, 1)),
        staged("DPO", step(1, 2)),
        staged("KTO", step(1, 2)),
        staged("DPO", step(2, 2)),
    ];
    fs::write(place.path().join("metrics.jsonl"), lines(&events)).unwrap();
    let summary = json!({"seed": 1, "measures": {"pass@1, SFT": 0.4, "odd": "text"}});
    fs::write(place.path().join("summary.json"), summary.to_string()).unwrap();
    let runs = open(place.path());
    let names: Vec<String> = runs.training().into_iter().map(|it| it.0).collect();
    assert_eq!(names, ["SFT", "DPO", "KTO"]);
    assert_eq!(runs.folders()[0].measures().len(), 1);
    assert!(
        runs.are_complete() && runs.notes().is_empty(),
        "{:?}",
        runs.notes()
    );
}

#[test]
fn a_line_that_is_being_written_is_left_out_and_said() {
    let place = tempfile::tempdir().unwrap();
    let whole = lines(&some_steps());
    let cut = &whole[..whole.len() - 30];
    fs::write(place.path().join("metrics.jsonl"), cut).unwrap();
    let runs = open(place.path());
    assert_eq!(runs.training()[0].1.judged.len(), 1);
    let notes = runs.notes();
    assert!(
        notes.len() == 1 && notes[0].contains("the last line is not whole"),
        "{notes:?}"
    );
}

#[test]
fn lines_that_are_no_events_are_counted_and_the_first_are_named() {
    let place = tempfile::tempdir().unwrap();
    let bad = [
        "{",
        "[]",
        "{\"event\": \"unheard-of\"}",
        "{\"step\": \"three\"}",
        "\u{0}\u{0}",
    ];
    let text = format!(
        "{}{}\n{}",
        lines(&[step(1, 2)]),
        bad.join("\n"),
        lines(&[step(2, 2)])
    );
    fs::write(place.path().join("metrics.jsonl"), text).unwrap();
    let runs = open(place.path());
    assert_eq!(runs.training()[0].1.steps.len(), 2);
    let notes = runs.notes().join("\n");
    assert!(
        notes.contains("5 of 7 lines are left out") && notes.contains("line 2: "),
        "{notes}"
    );
}

#[test]
fn what_is_no_run_is_refused_with_its_place_and_what_to_do() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    assert!(matches!(refusal(&at("nothing")), Error::NotThere { .. }));
    assert!(matches!(refusal(place.path()), Error::NoRun { .. }));

    fs::write(at("story.txt"), "Once upon a time\nthere was a run.\n").unwrap();
    let error = refusal(&at("story.txt")).to_string();
    assert!(error.contains("none of its 2 lines is an event"), "{error}");

    fs::write(at("odd.json"), "{\"a\": 1}").unwrap();
    let error = refusal(&at("odd.json")).to_string();
    assert!(error.contains("eurus eval rerank"), "{error}");

    fs::create_dir(at("elsewhere")).unwrap();
    let record = json!({"options": {"metrics": "logs/kto.jsonl"}});
    fs::write(at("elsewhere/run.json"), record.to_string()).unwrap();
    let error = refusal(&at("elsewhere")).to_string();
    assert!(
        error.contains("--metrics") && error.contains("logs/kto.jsonl"),
        "{error}"
    );
}

#[test]
fn a_folder_of_another_version_is_said_to_be_one() {
    let place = tempfile::tempdir().unwrap();
    let trained = preference_run(&place.path().join("old"), &[step(1, 1)]);
    fs::write(trained.join("run.json"), record("0.0.1", "1").to_string()).unwrap();
    let notes = open(&trained).notes();
    assert!(
        notes.len() == 1 && notes[0].contains("is of version 0.0.1"),
        "{notes:?}"
    );

    fs::write(trained.join("metrics.jsonl"), "{\"kind\": \"step\"}\n").unwrap();
    let error = refusal(&trained).to_string();
    assert!(error.contains("it was written by 0.0.1"), "{error}");

    fs::write(trained.join("metrics.jsonl"), lines(&[step(1, 1)])).unwrap();
    fs::write(trained.join("run.json"), "not JSON").unwrap();
    let notes = open(&trained).notes();
    assert!(notes[0].contains("settings are left out"), "{notes:?}");

    let evaluated = evaluation(&place.path().join("eval"), &summary("svamp", "m", 1));
    let old = json!({"run": {"eurus": "0.0.1"}, "settings": {}});
    fs::write(evaluated.join("summary.json"), old.to_string()).unwrap();
    let error = refusal(&evaluated).to_string();
    assert!(
        error.contains("version 0.0.1") && error.contains("eurus eval grade"),
        "{error}"
    );
}

#[test]
fn a_run_on_its_way_is_found_by_the_name_that_it_is_to_have() {
    for way in ["kto.snapshots", ".kto.x7Fq2"] {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join(way);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("metrics.jsonl"), lines(&[step(1, 9)])).unwrap();
        let mut runs = open(&place.path().join("kto"));
        assert!(!runs.are_complete(), "{way}");
        assert!(!runs.update().unwrap(), "nothing was added");

        let result = preference_run(&place.path().join("kto"), &[step(1, 2), step(2, 2)]);
        fs::remove_dir_all(&folder).unwrap();
        assert!(runs.update().unwrap(), "{way}: it has its name");
        assert_eq!(runs.training()[0].1.steps.len(), 2);
        assert!(runs.are_complete(), "{}", result.display());
    }
}

#[test]
fn a_result_that_is_being_replaced_gives_way_to_the_run_that_replaces_it() {
    let place = tempfile::tempdir().unwrap();
    let result = preference_run(&place.path().join("kto"), &some_steps());
    let snapshots = place.path().join("kto.snapshots");
    fs::create_dir(&snapshots).unwrap();
    let metrics = snapshots.join("metrics.jsonl");
    fs::write(&metrics, lines(&[step(1, 9)])).unwrap();
    let written = |by: Duration, earlier: bool| {
        let now = SystemTime::now();
        let at = if earlier { now - by } else { now + by };
        fs::File::options()
            .append(true)
            .open(&metrics)
            .unwrap()
            .set_modified(at)
            .unwrap();
        open(&result).training()[0].1.steps.len()
    };
    let minute = Duration::from_secs(60);
    assert_eq!((written(minute, true), written(minute, false)), (60, 1));
}

#[test]
fn a_run_that_went_on_has_each_step_once() {
    let place = tempfile::tempdir().unwrap();
    let mut events = some_steps();
    events.extend((30..=60).map(|it| step(it, 60)));
    let run = preference_run(place.path(), &events);
    let runs = open(&run);
    let (_, run) = &runs.training()[0];
    let numbers: Vec<u64> = run.steps.iter().map(|it| it.step).collect();
    assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
    assert!(run.remarks.is_empty(), "the warning was of step 39");
}

#[test]
fn runs_are_named_by_the_end_of_their_paths_unless_two_end_alike() {
    let place = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = ["a/kto", "b/kto", "b/dpo"]
        .map(|name| preference_run(&place.path().join(name), &[step(1, 1)]))
        .into();
    let runs = Runs::open(&paths).unwrap();
    let names: Vec<&str> = runs.folders().iter().map(|it| it.name()).collect();
    assert!(
        names[0].ends_with("a/kto") && names[1].ends_with("b/kto"),
        "{names:?}"
    );
    assert_eq!(names[2], "dpo");
    let one = Runs::open(&[paths[0].join("metrics.jsonl")]).unwrap();
    assert_eq!(one.folders()[0].name(), "kto");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A file that grows piece by piece is read as if it had been there at once.
    #[test]
    fn a_file_that_grows_is_the_file_that_is_there(cuts in prop::collection::vec(0.0..1.0f64, 0..6)) {
        let place = tempfile::tempdir().unwrap();
        let text = lines(&some_steps());
        let mut cuts: Vec<usize> = cuts.iter().map(|share| (share * text.len() as f64) as usize).collect();
        cuts.push(text.len());
        cuts.sort_unstable();
        let path = place.path().join("metrics.jsonl");
        fs::write(&path, "").unwrap();
        let mut growing = open(&path);
        let mut at = 0;
        for cut in cuts {
            let mut file = fs::File::options().append(true).open(&path).unwrap();
            file.write_all(&text.as_bytes()[at..cut]).unwrap();
            growing.update().unwrap();
            at = cut;
        }
        let whole = open(&path);
        // NaN, which is what a step does not know, equals nothing.
        let shown = |runs: &Runs| format!("{:?}", runs.training());
        prop_assert_eq!(shown(&growing), shown(&whole));
        prop_assert_eq!(growing.notes(), whole.notes());
    }
}
