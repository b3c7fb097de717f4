//! What is kept of steps, and what follows from it.

use std::fs;
use std::path::Path;

use eurus_recipes::record::{Change, Decision, Record, put_aside, write_recipe};
use eurus_recipes::{Error, Places, Recipe, Step};

const OWN: &str = "name = \"mine\"\n[model]\nbase = \"BASE\"\n[data.sft]\nto = \"trl-messages\"\n\
                   [data.sft.sources.mine]\nfiles = \"*.jsonl\"\n[sft]\nlearning_rate = 1e-3\n";

/// A recipe on files in a folder, and its steps.
fn steps(folder: &Path, given: &[&str]) -> (Recipe, Vec<Step>) {
    let text = OWN.replace("BASE", &folder.join("base").display().to_string());
    let mut recipe = Recipe::parse(&text).unwrap();
    for given in given {
        recipe = recipe.with_override(given).unwrap();
    }
    let places = Places {
        data: folder.join("data"),
        benchmarks: folder.join("benchmarks"),
        runs: folder.join("runs"),
    };
    let steps = recipe.steps(&places);
    (recipe, steps)
}

fn place() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for inside in ["data", "base"] {
        fs::create_dir(folder.path().join(inside)).unwrap();
    }
    fs::write(folder.path().join("data/a.jsonl"), "1\n").unwrap();
    fs::write(folder.path().join("base/config.json"), "{}").unwrap();
    folder
}

fn decide(step: &Step, steps: &[Step], version: &str) -> Result<Decision, Error> {
    Record::of(step, steps, version)?.decide(step)
}

/// Does a step.
fn run(step: &Step, steps: &[Step]) {
    let mut record = Record::of(step, steps, "1").unwrap();
    record.begin(step).unwrap();
    fs::create_dir_all(step.output.parent().unwrap()).unwrap();
    fs::write(&step.output, "made").unwrap();
    record.finish(step).unwrap();
}

#[test]
fn a_step_begins_goes_on_and_is_skipped() {
    let place = place();
    let (recipe, steps) = steps(place.path(), &[]);
    let step = &steps[0];
    assert_eq!(decide(step, &steps, "1").unwrap(), Decision::Begin);
    Record::of(step, &steps, "1").unwrap().begin(step).unwrap();
    assert_eq!(decide(step, &steps, "1").unwrap(), Decision::GoOn);
    run(step, &steps);
    assert_eq!(decide(step, &steps, "1").unwrap(), Decision::Skip);
    write_recipe(&recipe, step).unwrap();
    assert_eq!(
        Recipe::read(step.recipe_file()).unwrap().resolved(),
        recipe.resolved()
    );
}

#[test]
fn each_change_is_named() {
    let place = place();
    let (_, before) = steps(place.path(), &[]);
    let (mixture, training) = (&before[0], &before[1]);
    run(mixture, &before);
    run(training, &before);
    let changes = |decision: Decision| match decision {
        Decision::Again(changes) => changes
            .iter()
            .map(Change::to_string)
            .collect::<Vec<_>>()
            .join("; "),
        other => format!("{other:?}"),
    };
    assert!(changes(decide(training, &before, "2").unwrap()).contains("it was made by version 1"));
    let (_, after) = steps(place.path(), &["sft.learning_rate=2e-3"]);
    let told = changes(decide(&after[1], &after, "1").unwrap());
    assert_eq!(
        told,
        "`--learning-rate 0.002` instead of `--learning-rate 0.001`"
    );
    let (_, after) = steps(place.path(), &["sft.epochs=2"]);
    assert_eq!(
        changes(decide(&after[1], &after, "1").unwrap()),
        "`--epochs 2` is new"
    );
    fs::write(place.path().join("data/b.jsonl"), "2\n").unwrap();
    assert!(changes(decide(mixture, &before, "1").unwrap()).ends_with("*.jsonl changed"));
    fs::write(place.path().join("base/config.json"), "{ }").unwrap();
    assert!(changes(decide(training, &before, "1").unwrap()).contains("base changed"));
    fs::write(place.path().join("base/config.json"), "{}").unwrap();
    fs::write(place.path().join("base/run.json"), "how it came about").unwrap();
    assert_eq!(decide(training, &before, "1").unwrap(), Decision::Skip);
    fs::write(&mixture.output, "other").unwrap();
    assert_eq!(
        changes(decide(training, &before, "1").unwrap()),
        "the result of sft/data changed"
    );
    fs::write(&mixture.output, "made").unwrap();
    fs::remove_file(&training.output).unwrap();
    assert_eq!(
        changes(decide(training, &before, "1").unwrap()),
        "its result is gone"
    );
}

#[test]
fn what_is_put_aside_is_never_lost() {
    let place = place();
    let (recipe, steps) = steps(place.path(), &[]);
    let step = &steps[0];
    for number in 1..4 {
        run(step, &steps);
        write_recipe(&recipe, step).unwrap();
        let moved = put_aside(step).unwrap().unwrap();
        assert!(
            moved
                .display()
                .to_string()
                .ends_with(&format!("data.jsonl.before-{number}"))
        );
        assert_eq!(decide(step, &steps, "1").unwrap(), Decision::Begin);
    }
    assert!(put_aside(step).unwrap().is_none());
}

#[test]
fn what_is_missing_foreign_or_of_another_format_is_an_error_with_its_place() {
    let place = place();
    let (_, all) = steps(place.path(), &[]);
    let step = &all[0];
    fs::create_dir_all(step.output.parent().unwrap()).unwrap();
    fs::write(&step.output, "mine").unwrap();
    let error = decide(step, &all, "1").unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }), "{error}");
    for text in ["", "{", "[]", "{\"format\": 2}", "{\"format\": 1}"] {
        fs::write(step.record_file(), text).unwrap();
        let error = decide(step, &all, "1").unwrap_err();
        assert!(matches!(error, Error::Record { .. }), "{text}: {error}");
        assert!(
            error.to_string().contains("data.jsonl.step.json"),
            "{error}"
        );
    }
    fs::remove_file(place.path().join("data/a.jsonl")).unwrap();
    let error = decide(step, &all, "1").unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "{error}");
}
