//! The built-in recipes.

use std::collections::BTreeMap;

use eurus_eval::tasks::Task;
use eurus_recipes::{Error, Mixture, Recipe, Result};
use ultrainteract::mix::{Amount, Preset};

/// All recipes, large and small.
pub fn every() -> Vec<Recipe> {
    let large = Recipe::all().unwrap();
    let small = large.iter().map(|it| it.small().unwrap().unwrap());
    let small: Vec<Recipe> = small.collect();
    large.into_iter().chain(small).collect()
}

fn built_in(name: &str) -> Recipe {
    Recipe::built_in(name).unwrap()
}

/// The values of a recipe, as text by their keys.
fn values(recipe: &Recipe) -> BTreeMap<String, String> {
    let values = recipe.values().into_iter();
    values
        .map(|(key, value)| (key, value.to_string()))
        .collect()
}

/// Keys with another value, or that one of two recipes has alone.
fn different(one: &Recipe, other: &Recipe) -> Vec<String> {
    let (one, other) = (values(one), values(other));
    let keys = one
        .keys()
        .chain(other.keys().filter(|key| !one.contains_key(*key)));
    let keys = keys.filter(|key| one.get(*key) != other.get(*key));
    keys.cloned().collect()
}

#[test]
fn every_value_has_a_source_and_every_source_a_value() {
    for recipe in every() {
        let values = values(&recipe);
        for key in values.keys() {
            let source = recipe.source(key).unwrap_or_default();
            assert!(
                !source.trim().is_empty(),
                "{}: {key} has no source",
                recipe.name()
            );
            assert!(
                source != "ours:",
                "{}: {key} is ours, and nobody knows why",
                recipe.name()
            );
        }
        // A recipe that names others is refused when it is read; this is for the merged one.
        for key in recipe.file().sources.keys() {
            assert!(
                values.contains_key(key),
                "{}: {key} is no value",
                recipe.name()
            );
        }
    }
}

#[test]
fn the_file_of_a_recipe_has_its_name_and_begins_with_the_command_that_shows_it() {
    for name in Recipe::names() {
        let path = format!("{}/recipes/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            text.starts_with(&format!("# eurus recipe show {name}\n")),
            "{name}"
        );
        assert_eq!(built_in(name).name(), name);
        assert!(built_in(name).file().about.is_some(), "{name}");
    }
}

#[test]
fn small_twins_differ_in_sizes_data_and_steps_alone() {
    const SIZES: [&str; 10] = [
        "max_steps",
        "trees_per_step",
        "token_budget",
        "max_path_tokens",
        "snapshot_every",
        "limit",
        "take",
        "published_rows",
        "published_problems",
        "tokens_per_problem",
    ];
    for recipe in Recipe::all().unwrap() {
        let small = recipe.small().unwrap().unwrap();
        assert_eq!(built_in(small.name()), small);
        let keys = different(&recipe, &small);
        assert!(
            keys.iter().any(|key| key == "model.base"),
            "{}",
            recipe.name()
        );
        for key in keys {
            let last = key.rsplit('.').next().unwrap();
            let is_model = key.starts_with("model.") || key.starts_with("practice.");
            assert!(
                is_model || SIZES.contains(&last),
                "{}: {key}",
                recipe.name()
            );
        }
        let file = small.file();
        let steps = [
            file.sft.as_ref().map(|it| it.max_steps),
            file.preference.as_ref().map(|it| it.max_steps),
            file.reward.as_ref().map(|it| it.max_steps),
        ];
        assert!(
            steps.iter().flatten().all(Option::is_some),
            "{}",
            recipe.name()
        );
    }
}

#[test]
fn the_hyper_parameters_are_those_of_the_paper() {
    for recipe in Recipe::all().unwrap() {
        let file = recipe.file();
        let sft = file.sft.as_ref().unwrap();
        assert_eq!((sft.learning_rate, sft.epochs), (Some(2e-5), Some(1)));
        let mut shapes = vec![(sft.warmup_ratio, sft.decay)];
        if let Some(it) = &file.preference {
            assert_eq!(
                (it.learning_rate, it.epochs, it.beta),
                (Some(5e-7), Some(1), Some(0.1))
            );
            shapes.push((it.warmup_ratio, it.decay));
        }
        if let Some(it) = &file.reward {
            assert_eq!((it.learning_rate, it.epochs), (Some(1e-5), Some(1)));
            shapes.push((it.warmup_ratio, it.decay));
        }
        for shape in shapes {
            assert_eq!(
                shape,
                (Some(0.1), Some(eurus_recipes::options::Decay::Cosine))
            );
        }
        for key in ["learning_rate", "warmup_ratio", "decay", "epochs"] {
            for stage in ["sft", "preference", "reward"] {
                let key = format!("{stage}.{key}");
                assert!(
                    recipe.source(&key).is_none() || recipe.is_confirmed(&key),
                    "{key}"
                );
            }
        }
    }
    let kto = built_in("eurus-7b-kto");
    let kto = kto.file().preference.as_ref().unwrap();
    assert_eq!(
        kto.desirable_weight.zip(kto.undesirable_weight),
        Some((1.33, 1.0))
    );
}

#[test]
fn mixtures_are_those_of_the_presets() {
    let amounts = |mixture: &Mixture| -> BTreeMap<String, (Amount, Option<u64>)> {
        let sources = mixture.sources.iter().map(|(name, source)| {
            let take = source.take.as_ref().unwrap().parse().unwrap();
            (name.clone(), (take, source.per_instruction))
        });
        sources.collect()
    };
    let mut seen = 0;
    for recipe in Recipe::all().unwrap() {
        let data = &recipe.file().data;
        for mixture in [&data.sft, &data.preference, &data.reward]
            .into_iter()
            .flatten()
        {
            let Some(preset) = &mixture.preset else {
                continue;
            };
            let preset: Preset = preset.parse().unwrap();
            let wanted = preset.amounts().iter().map(|&(name, amount)| {
                let most = (name == "ultrasafety").then_some(1);
                (name.to_owned(), (amount, most))
            });
            assert_eq!(amounts(mixture), wanted.collect(), "{}", recipe.name());
            seen += 1;
        }
    }
    assert_eq!(seen, 12 + 5 + 3);
}

#[test]
fn the_models_of_a_size_begin_with_the_same_imitation() {
    for recipe in Recipe::all().unwrap() {
        let large = recipe.name().contains("70b");
        let sft = built_in(if large {
            "eurus-70b-sft"
        } else {
            "eurus-7b-sft"
        });
        assert_eq!(recipe.file().sft, sft.file().sft);
        assert_eq!(recipe.file().data.sft, sft.file().data.sft);
        assert_eq!(recipe.file().model, sft.file().model);
    }
}

#[test]
fn the_ablations_of_the_reward_model_differ_in_what_they_leave_out() {
    let whole = built_in("eurus-rm-7b");
    let keys = |name: &str| different(&whole, &built_in(name));
    assert_eq!(
        keys("eurus-rm-7b-without-ldr"),
        ["reward.loss", "reward.rank_only"]
    );
    assert_eq!(
        keys("eurus-rm-7b-without-bt"),
        ["reward.loss", "reward.rank_only"]
    );
    let data = |name: &str| {
        let mixture = built_in(name).file().data.reward.clone().unwrap();
        mixture.sources.into_keys().collect::<Vec<_>>()
    };
    let rest = ["augmented", "ultrafeedback", "ultrainteract"];
    assert_eq!(data("eurus-rm-7b-without-us"), rest);
    assert_eq!(
        data("eurus-rm-7b-without-uf-us"),
        ["augmented", "ultrainteract"]
    );
    for key in keys("eurus-rm-7b-without-uf-us") {
        assert!(
            key.starts_with("data.reward.") || key == "reward.rank_only",
            "{key}"
        );
    }
}

#[test]
fn tasks_of_recipes_are_there() {
    for recipe in Recipe::all().unwrap() {
        for task in &recipe.file().eval.as_ref().unwrap().tasks {
            Task::built_in(task).unwrap();
        }
    }
}

#[test]
fn an_unknown_recipe_is_refused_with_the_nearest() -> Result<()> {
    let message = |name| Recipe::built_in(name).unwrap_err().to_string();
    assert!(message("eurus-7b-tko").contains("did you mean `eurus-7b-kto`?"));
    assert!(message("eurus-7b-kto-smal").contains("did you mean `eurus-7b-kto-small`?"));
    assert!(message("gemma").contains("there are eurus-7b-sft, "));
    assert!(matches!(
        Recipe::built_in("-small"),
        Err(Error::UnknownRecipe { .. })
    ));
    Ok(())
}
