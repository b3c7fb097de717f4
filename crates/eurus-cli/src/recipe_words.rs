//! Recipes speak of this program: their keys are its options, with the same values, and their commands are understood.

use std::collections::BTreeSet;

use clap::{Arg, Command, CommandFactory, FromArgMatches};
use eurus::recipes::options::{
    EvalOptions, PracticeOptions, PreferenceOptions, RewardOptions, SftOptions,
};
use eurus::recipes::{Places, Recipe, RecipeFile};
use serde_json::Value;

use crate::Cli;

/// The words of a command, the type of its options in the schema of recipes, and the keys.
const TABLES: [(&[&str], &str, &[&str]); 5] = [
    (&["sft"], "SftOptions", SftOptions::OPTIONS),
    (&["prefer"], "PreferenceOptions", PreferenceOptions::OPTIONS),
    (&["reward"], "RewardOptions", RewardOptions::OPTIONS),
    (&["eval", "run"], "EvalOptions", EvalOptions::OPTIONS),
    (
        &["recipe", "practice"],
        "PracticeOptions",
        PracticeOptions::OPTIONS,
    ),
];

/// Options that recipes do not have: what is read and written, where a run goes on, what is shown, and data beside the mixture.
const NOT_IN_RECIPES: &[&str] = &[
    // Files and folders.
    "model",
    "data",
    "out",
    "overwrite",
    "max_shard_bytes",
    "metrics",
    "tensorboard",
    "snapshots",
    "reference",
    "reference_cache",
    "python",
    // Where a run goes on.
    "resume",
    "extend",
    // Rows of a mixture have been read before.
    "format",
    "score_by",
    "show_tokenization",
    // Held-out rows.
    "eval",
    "eval_every",
    "keep_best",
    "patience",
    "eval_samples",
    "eval_max_tokens",
    // A recipe has its tasks as a list, and its model is a checkpoint.
    "task",
    "served_name",
    "api_key_env",
    "concurrency",
    "json",
    "harness",
    "help",
];

fn command(words: &[&str]) -> Command {
    let mut command = Cli::command();
    command.build();
    words.iter().fold(command, |command, word| {
        command.find_subcommand(word).unwrap().clone()
    })
}

fn option<'a>(command: &'a Command, key: &str) -> &'a Arg {
    let long = key.replace('_', "-");
    let found = command
        .get_arguments()
        .find(|it| it.get_long() == Some(&long));
    found.unwrap_or_else(|| panic!("{} has no option --{long}", command.get_name()))
}

/// The names that a key of a recipe may have, if they are counted.
fn names(schema: &Value, table: &str, key: &str) -> Option<BTreeSet<String>> {
    let property = &schema["$defs"][table]["properties"][key];
    let place = property["anyOf"][0]["$ref"].as_str()?;
    let choices = schema.pointer(place.trim_start_matches('#'))?["oneOf"].as_array()?;
    let names = choices.iter().filter_map(|it| it["const"].as_str());
    Some(names.map(str::to_owned).collect())
}

#[test]
fn the_keys_of_recipes_are_options_with_the_same_values() {
    let schema = RecipeFile::schema();
    let mut counted = 0;
    for (words, table, keys) in TABLES {
        let command = command(words);
        for key in keys {
            let option = option(&command, key);
            let takes = option.get_action().takes_values();
            let kind = &schema["$defs"][table]["properties"][key]["type"][0];
            assert_eq!(takes, kind != "boolean", "{words:?} {key}");
            if let Some(names) = names(&schema, table, key) {
                let values = option.get_possible_values();
                let values: BTreeSet<String> =
                    values.iter().map(|it| it.get_name().to_owned()).collect();
                assert_eq!(names, values, "{words:?} {key}");
                counted += 1;
            }
        }
    }
    assert!(counted > 20, "{counted} keys with names");
}

#[test]
fn the_options_of_a_stage_are_keys_of_recipes_unless_they_are_named_here() {
    for (words, _, keys) in TABLES {
        let command = command(words);
        for long in command.get_arguments().filter_map(Arg::get_long) {
            let key = long.replace('-', "_");
            let known = keys.contains(&key.as_str()) != NOT_IN_RECIPES.contains(&key.as_str());
            assert!(
                known,
                "{words:?} --{long}: a key in `options/stages.rs` of eurus-recipes, or a name here"
            );
        }
    }
}

#[test]
fn the_commands_of_every_recipe_are_understood_and_every_option_acts() {
    let places = Places {
        data: "data".into(),
        benchmarks: "benchmarks".into(),
        runs: "runs".into(),
    };
    let mut understood = 0;
    for large in Recipe::all().unwrap() {
        let small = large.small().unwrap().unwrap();
        for recipe in [large, small, Recipe::built_in("small-eurus").unwrap()] {
            for step in recipe.steps(&places) {
                let words = step.work.words();
                if words.is_empty() {
                    continue;
                }
                let told = format!("{}, {}: {}", recipe.name(), step.name, words.join(" "));
                let line = ["eurus"]
                    .into_iter()
                    .chain(words.iter().map(String::as_str));
                let matches = Cli::command().try_get_matches_from(line);
                let matches = matches.unwrap_or_else(|error| panic!("{told}: {error}"));
                let parsed = Cli::from_arg_matches(&matches);
                let parsed = parsed.unwrap_or_else(|error| panic!("{told}: {error}"));
                if let Err(error) = parsed.command.check(&matches) {
                    panic!("{told}: {error}");
                }
                understood += 1;
            }
        }
    }
    assert!(understood > 200, "{understood} commands");
}
