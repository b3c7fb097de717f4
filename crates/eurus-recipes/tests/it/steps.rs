//! The steps that recipes stand for.

use std::collections::HashSet;

use eurus_recipes::options::{EvalOptions, PreferenceOptions, RewardOptions, SftOptions};
use eurus_recipes::{Input, Places, Recipe, Stage, Step};

use crate::reading::OWN;
use crate::recipes::every;

fn steps(recipe: &Recipe) -> Vec<Step> {
    recipe.steps(&Places {
        data: "data".into(),
        benchmarks: "benches".into(),
        runs: "runs".into(),
    })
}

fn step(name: &str, step: &str) -> Step {
    let steps = steps(&Recipe::built_in(name).unwrap());
    steps.into_iter().find(|it| it.name == step).unwrap()
}

fn line(step: &Step) -> String {
    step.work.words().join(" ")
}

#[test]
fn every_step_finds_what_it_needs() {
    for recipe in every() {
        let steps = steps(&recipe);
        let (mut names, mut outputs) = (HashSet::new(), HashSet::new());
        for step in &steps {
            for input in &step.inputs {
                let found = match input {
                    Input::Files(path) => path.starts_with("data") || path.starts_with("benches"),
                    Input::Model(base) => *base == recipe.file().model.as_ref().unwrap().base,
                    Input::Step(name) => names.contains(name),
                };
                assert!(found, "{}, {}: {input:?}", recipe.name(), step.name);
            }
            assert!(step.output.starts_with("runs"));
            assert!(names.insert(step.name.clone()), "{}", step.name);
            assert!(outputs.insert(step.output.clone()), "{:?}", step.output);
        }
        assert!(
            steps.is_sorted_by_key(|step| step.stage),
            "{}",
            recipe.name()
        );
        let last = steps.last().unwrap();
        assert_eq!(last.stage, Stage::Report);
        assert_eq!(last.work.words()[0], "report");
        assert_eq!(last.inputs.len(), steps.len() - 1);
    }
}

#[test]
fn a_step_names_all_that_it_reads_of_what_was_made_before() {
    for recipe in every() {
        let steps = steps(&recipe);
        for step in &steps {
            let words = step.work.words();
            for before in &steps {
                let output = before.output.to_str().unwrap();
                let is_it = |word: &str| std::path::Path::new(word).starts_with(output);
                let reads = words
                    .iter()
                    .any(|word| is_it(word) || word.split_once('=').is_some_and(|it| is_it(it.1)));
                let named = step.inputs.contains(&Input::Step(before.name.clone()));
                if before.name != step.name && step.stage != Stage::Report {
                    assert_eq!(
                        reads,
                        named,
                        "{}: {} of {}",
                        recipe.name(),
                        step.name,
                        before.name
                    );
                }
            }
        }
    }
}

#[test]
fn words_have_the_options_of_the_recipe_and_no_other() {
    let known = |command: &str| match command {
        "sft" => SftOptions::OPTIONS,
        "prefer" => PreferenceOptions::OPTIONS,
        "reward" => RewardOptions::OPTIONS,
        _ => EvalOptions::OPTIONS,
    };
    for recipe in every() {
        for step in steps(&recipe) {
            let words = step.work.words();
            if words
                .first()
                .is_none_or(|word| ["data", "recipe"].contains(&word.as_str()))
            {
                continue;
            }
            for option in words.iter().filter_map(|word| word.strip_prefix("--")) {
                let key = option.replace('-', "_");
                let places = ["model", "data", "out", "task", "json"];
                let known = known(&words[0]).contains(&key.as_str());
                assert!(
                    known || places.contains(&option),
                    "{}: --{option}",
                    step.name
                );
            }
        }
    }
}

#[test]
fn the_commands_are_those_that_one_would_type() {
    assert_eq!(
        line(&step("eurus-7b-sft", "sft/data")),
        "data mix --preset eurus-7b-sft --seed 0 \
         --source openorca=data/openorca/* --take openorca=50k \
         --source sharegpt=data/sharegpt/* --take sharegpt=30k \
         --source ultrachat=data/ultrachat/* --take ultrachat=32k \
         --source ultrainteract=data/ultrainteract-sft/* --take ultrainteract=all \
         --out runs/sft/data.jsonl"
    );
    let sft = line(&step("eurus-7b-sft-small", "sft/model"));
    assert!(sft.starts_with("sft --model runs/practice/files/model --data runs/sft/data.jsonl --out runs/sft/model --learning-rate 2e-5 --epochs 1 --max-steps 20 --trees-per-step 8 "), "{sft}");
    let prefer = line(&step("eurus-7b-kto", "preference/model"));
    assert!(prefer.starts_with("prefer --model runs/sft/model --data runs/preference/data.jsonl --out runs/preference/model --algorithm kto --beta 0.1 --desirable-weight 1.33 --undesirable-weight 1 --learning-rate 5e-7 "), "{prefer}");
    let reward = line(&step("eurus-rm-7b", "reward/model"));
    assert!(reward.starts_with("reward --model runs/sft/model --data runs/reward/data.jsonl --out runs/reward/model --loss bt-ldr --rank-only ultrafeedback,ultrasafety,"), "{reward}");
    assert_eq!(
        line(&step("eurus-rm-7b", "reward/augmented")),
        "data augment data/ultrainteract-pair/* --seed 0 --out runs/reward/augmented.jsonl"
    );
    assert_eq!(
        line(&step("eurus-rm-7b", "eval/rm-rewardbench")),
        "eval rm rewardbench --data benches/rewardbench.jsonl --model runs/reward/model --json"
    );
    assert_eq!(
        line(&step("eurus-7b-kto-small", "eval/gsmplus")),
        "eval run --task gsmplus --data runs/practice/files/benchmarks --model runs/preference/model --out runs/eval/gsmplus --seed 0 --limit 2"
    );
    let mixed = line(&step("eurus-rm-7b-without-us", "reward/data"));
    assert!(mixed.starts_with("data mix --to trl-preference-chat --seed 0 --score-by overall --source augmented=runs/reward/augmented.jsonl --take augmented=all "), "{mixed}");
    let whole = line(&step("eurus-rm-7b", "reward/data"));
    assert!(whole.contains("--per-instruction ultrasafety=1"), "{whole}");
}

#[test]
fn flags_and_lists_of_a_recipe_become_words_only_where_they_say_something() {
    let own = Recipe::parse(OWN).unwrap();
    let with = own.with_override("sft.drop_unusable=true").unwrap();
    let without = own.with_override("sft.drop_unusable=false").unwrap();
    let without = without.with_override("sft.lora_targets=").unwrap();
    assert_eq!(steps(&without), steps(&own));
    let words = steps(&with)[1].work.words().to_vec();
    assert!(words.contains(&"--drop-unusable".to_owned()) && !words.contains(&"true".to_owned()));
}

#[test]
fn a_task_of_ones_own_has_its_data_beside_it() {
    let own = Recipe::parse(OWN)
        .unwrap()
        .with_override("eval.tasks=tasks/sums.toml")
        .unwrap();
    let steps = steps(&own);
    let eval = steps.iter().find(|it| it.stage == Stage::Eval).unwrap();
    assert_eq!(
        line(eval),
        "eval run --task tasks/sums.toml --model runs/sft/model --out runs/eval/sums"
    );
    assert!(
        eval.inputs
            .contains(&Input::Files("tasks/sums.toml".into()))
    );
}

#[test]
fn benchmarks_of_policies_and_of_reward_models_are_on_the_device_of_eval() {
    let recipe = Recipe::built_in("eurus-rm-7b").unwrap();
    let recipe = recipe.with_override("eval.device=cuda").unwrap();
    let recipe = recipe.with_override("eval.tasks=svamp").unwrap();
    let steps = steps(&recipe);
    let of_eval: Vec<String> = steps
        .iter()
        .filter(|step| step.stage == Stage::Eval)
        .map(line)
        .collect();
    assert!(of_eval.len() > 1, "{of_eval:?}");
    for words in of_eval {
        assert!(words.contains("--device cuda"), "{words}");
    }
}
