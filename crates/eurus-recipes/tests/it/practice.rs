//! What is made to practice with.

use std::collections::BTreeMap;
use std::path::Path;

use eurus_eval::tasks::{DataPlace, Task};
use eurus_recipes::practice::{Amounts, BENCHMARKS, DATA, Practice};
use eurus_recipes::{Error, Places, Recipe};
use ultrainteract::formats::Format;
use ultrainteract::input;

const FEW: Amounts = Amounts {
    problems: 12,
    held_out: 4,
    seed: 7,
};

fn written(amounts: Amounts) -> (tempfile::TempDir, BTreeMap<String, Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    Practice::make(amounts)
        .unwrap()
        .write(folder.path())
        .unwrap();
    let mut files = BTreeMap::new();
    walk(folder.path(), "", &mut files);
    (folder, files)
}

fn walk(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_string_lossy());
        match path.is_dir() {
            true => walk(&path, &format!("{name}/"), files),
            false => drop(files.insert(name, std::fs::read(&path).unwrap())),
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_files_and_another_one_others() {
    let (_folder, files) = written(FEW);
    assert_eq!(files, written(FEW).1);
    assert_ne!(files, written(Amounts { seed: 8, ..FEW }).1);
}

#[test]
fn every_file_of_a_mixture_of_the_paper_is_there_and_every_row_is_valid() {
    let (folder, _) = written(FEW);
    for recipe in Recipe::all().unwrap() {
        let data = &recipe.file().data;
        let mixtures = [&data.sft, &data.preference, &data.reward];
        for source in mixtures
            .into_iter()
            .flatten()
            .flat_map(|it| it.sources.values())
        {
            let Some(pattern) = &source.files else {
                continue;
            };
            let pattern = folder.path().join(DATA).join(pattern);
            let files = input::expand([pattern.to_string_lossy()]).unwrap();
            for file in files {
                let format = Format::of_file(&file).unwrap().unwrap();
                for row in input::read(vec![file.clone()], move |record: &[u8]| {
                    format.parse(record)
                }) {
                    row.unwrap_or_else(|rejected| panic!("{}: {rejected:?}", file.display()));
                }
            }
        }
    }
}

#[test]
fn every_benchmark_of_the_paper_reads_what_is_made_for_it() {
    let (folder, _) = written(FEW);
    let place = folder.path().join(BENCHMARKS);
    for recipe in Recipe::all().unwrap() {
        let eval = recipe.file().eval.as_ref().unwrap();
        for name in &eval.tasks {
            let task = Task::built_in(name).unwrap();
            let task = match task.settings().first() {
                Some(setting) => task.with_setting(setting).unwrap(),
                None => task,
            };
            let items = task.load(&DataPlace::new(&place)).unwrap();
            assert_eq!(items.items.len(), FEW.held_out, "{name}");
        }
        for file in eval.reward_benches.values() {
            assert!(place.join(file).is_file(), "{file}");
        }
    }
}

#[test]
fn what_is_learned_is_asked_as_gsm8k_is() {
    let (folder, files) = written(FEW);
    let task = Task::built_in("gsm8k")
        .unwrap()
        .with_setting("cot")
        .unwrap();
    let items = task
        .load(&DataPlace::new(folder.path().join(BENCHMARKS)))
        .unwrap();
    let asked = serde_json::to_string(&items.items[0].request_without_system().messages).unwrap();
    let rows = String::from_utf8(files["data/ultrainteract-sft/rows.jsonl"].clone()).unwrap();
    let row: serde_json::Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
    let head = row["instruction"]
        .as_str()
        .unwrap()
        .rsplit_once('\n')
        .unwrap()
        .0;
    let head = serde_json::to_string(head).unwrap();
    assert!(asked.contains(head.trim_matches('"')), "{asked}\n{head}");
}

#[test]
fn amounts_that_cannot_be_are_refused() {
    for amounts in [
        Amounts { problems: 0, ..FEW },
        Amounts { held_out: 0, ..FEW },
        Amounts {
            problems: usize::MAX,
            ..FEW
        },
    ] {
        let error = Practice::make(amounts).unwrap_err();
        assert!(matches!(error, Error::Practice { .. }), "{error}");
        assert!(error.to_string().contains("ask for"), "{error}");
    }
}

#[test]
fn steps_of_a_recipe_that_practices_read_nothing_of_the_user() {
    let places = Places {
        data: "data".into(),
        benchmarks: "benches".into(),
        runs: "runs".into(),
    };
    let mut recipes = vec![Recipe::built_in("small-eurus").unwrap()];
    recipes.extend(
        Recipe::all()
            .unwrap()
            .iter()
            .map(|it| it.small().unwrap().unwrap()),
    );
    for recipe in recipes {
        for step in recipe.steps(&places) {
            let words = step.work.words().join(" ");
            assert!(
                !words.contains("benches") && !words.contains("=data/"),
                "{words}"
            );
            assert!(
                step.inputs
                    .iter()
                    .all(|it| matches!(it, eurus_recipes::Input::Step(_)))
            );
        }
    }
}
