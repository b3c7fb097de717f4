//! What a recipe must be beside well spelled.

use toml::Value;
use ultrainteract::formats::Format;
use ultrainteract::mix::{Amount, Preset};
use ultrainteract::nearest::nearest;

use crate::file::Mixture;
use crate::options::{PreferenceOptions, RewardOptions, SftOptions};
use crate::plan::{MADE, PRACTICE, bench_name, task_name};
use crate::{Places, Recipe, RecipeFile};

/// Refuses what contradicts itself or cannot be run.
pub(crate) fn check(recipe: &Recipe) -> Result<(), String> {
    let file = recipe.file();
    names(file)?;
    finite(recipe)?;
    if file.model.is_none() {
        return Err("there is no model to start from; give [model]".to_owned());
    }
    let base = file.model.as_ref().map(|model| model.base.as_str());
    if base == Some(PRACTICE) && file.practice.is_none() {
        let problem = "`model.base` is `practice`, and nothing makes that model; give [practice], or another base";
        return Err(problem.to_owned());
    }
    training(file)?;
    let data = &file.data;
    let mixtures = [
        ("sft", &data.sft),
        ("preference", &data.preference),
        ("reward", &data.reward),
    ];
    for (stage, mixture) in mixtures {
        if let Some(mixture) = mixture {
            checked_mixture(mixture).map_err(|problem| format!("[data.{stage}]: {problem}"))?;
        }
    }
    evaluation(file)?;
    let anywhere = Places {
        data: "data".into(),
        benchmarks: "benchmarks".into(),
        runs: "runs".into(),
    };
    if recipe.steps(&anywhere).is_empty() {
        let problem = "there is nothing to do; give a stage with its data ([sft] and [data.sft], or another), or [eval]";
        return Err(problem.to_owned());
    }
    sources(recipe)
}

fn is_name(name: &str) -> bool {
    let may_stand = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    !name.is_empty() && name.chars().all(may_stand)
}

/// Names become parts of keys and of paths.
fn names(file: &RecipeFile) -> Result<(), String> {
    let mixtures = [&file.data.sft, &file.data.preference, &file.data.reward];
    let sources = mixtures
        .into_iter()
        .flatten()
        .flat_map(|it| it.sources.keys());
    let benches = file.eval.iter().flat_map(|eval| eval.reward_benches.keys());
    for (what, name) in [("name", &file.name)]
        .into_iter()
        .chain(sources.map(|name| ("a source", name)))
        .chain(benches.map(|name| ("a benchmark", name)))
    {
        if !is_name(name) {
            return Err(format!(
                "{what} is `{name}`; lower-case letters, digits, `-` and `_` are wanted"
            ));
        }
    }
    Ok(())
}

/// TOML has `nan` and `inf`.
fn finite(recipe: &Recipe) -> Result<(), String> {
    let values = recipe.values();
    let odd = values.iter().find(|(_, value)| match value {
        Value::Float(number) => !number.is_finite(),
        _ => false,
    });
    match odd {
        Some((key, value)) => Err(format!("`{key}` is {value}, not a number")),
        None => Ok(()),
    }
}

fn training(file: &RecipeFile) -> Result<(), String> {
    let data = &file.data;
    let stages = [
        (
            "sft",
            data.sft.is_some(),
            file.sft.as_ref().map(SftOptions::problem),
        ),
        (
            "preference",
            data.preference.is_some(),
            file.preference.as_ref().map(PreferenceOptions::problem),
        ),
        (
            "reward",
            data.reward.is_some(),
            file.reward.as_ref().map(RewardOptions::problem),
        ),
    ];
    for (stage, has_data, options) in stages {
        let problem = match (options, has_data) {
            (Some(_), false) => "has nothing to learn from; give [data.STAGE]",
            (None, true) => "has data and no options; give [STAGE], or leave [data.STAGE] out",
            (Some(Some(problem)), true) => problem,
            (Some(None), true) | (None, false) => continue,
        };
        return Err(format!("[{stage}] {}", problem.replace("STAGE", stage)));
    }
    let Some(preference) = &file.preference else {
        return Ok(());
    };
    if preference.algorithm.is_some() == preference.loss.is_some() {
        return Err("[preference] takes `algorithm` or `loss`, one of them".to_owned());
    }
    let settings = [
        preference.beta,
        preference.desirable_weight,
        preference.undesirable_weight,
    ];
    if preference.loss.is_some() && settings.iter().any(Option::is_some) {
        let problem =
            "[preference] has `loss` and settings of an `algorithm`; a loss has its own, as JSON";
        return Err(problem.to_owned());
    }
    Ok(())
}

fn checked_mixture(mixture: &Mixture) -> Result<(), String> {
    let format = |name: &String| name.parse::<Format>().map_err(|error| error.to_string());
    mixture.to.as_ref().map(format).transpose()?;
    let sources = &mixture.sources;
    if sources.is_empty() {
        return Err("there is no source".to_owned());
    }
    for (name, source) in sources {
        let problem = |problem: String| format!("`{name}`: {problem}");
        let amount = source.take.as_ref().map(|take| take.parse::<Amount>());
        let amount = amount.transpose();
        amount.map_err(|error| problem(error.to_string()))?;
        match (&source.files, &source.augments) {
            (None, None) => return Err(problem("there are no files; give `files`".to_owned())),
            (Some(_), Some(_)) => {
                let both = "there are `files` and `augments`; leave one out";
                return Err(problem(both.to_owned()));
            }
            (None, Some(_)) if MADE.contains(&name.as_str()) => {
                return Err(problem(
                    "what a stage makes has this name; choose another".to_owned(),
                ));
            }
            (None, Some(of)) if sources.get(of).is_none_or(|of| of.files.is_none()) => {
                return Err(problem(format!(
                    "`augments` names `{of}`, which is no source with files"
                )));
            }
            _ => {}
        }
    }
    let Some(preset) = &mixture.preset else {
        return match &mixture.to {
            Some(_) => Ok(()),
            None => Err("give the format to write as `to`; a preset has one".to_owned()),
        };
    };
    let known = Preset::ALL.map(Preset::as_str);
    let preset: Preset = preset.parse().map_err(|_| match nearest(preset, &known) {
        Some(near) => format!("there is no preset `{preset}`; did you mean `{near}`?"),
        None => format!(
            "there is no preset `{preset}`; there are {}",
            known.join(", ")
        ),
    })?;
    let amounts = preset.amounts();
    let same = amounts.len() == sources.len()
        && amounts.iter().all(|(name, _)| sources.contains_key(*name));
    if same {
        return Ok(());
    }
    let names: Vec<&str> = amounts.iter().map(|(name, _)| *name).collect();
    Err(format!(
        "preset {preset} has the sources {}; have the same, or leave `preset` out and give `to`",
        names.join(", ")
    ))
}

fn evaluation(file: &RecipeFile) -> Result<(), String> {
    let Some(eval) = &file.eval else {
        return Ok(());
    };
    // Each has a folder of its name.
    let mut names: Vec<String> = Vec::new();
    let benches = eval.reward_benches.keys().map(|bench| bench_name(bench));
    for name in eval.tasks.iter().map(|task| task_name(task)).chain(benches) {
        if name.is_empty() || names.contains(&name) {
            return Err(format!(
                "[eval] has the name `{name}` twice or has a task without one; each result is kept by its name"
            ));
        }
        names.push(name);
    }
    if !eval.reward_benches.is_empty() && file.reward.is_none() {
        let problem = "[eval] has `reward_benches`, and there is no reward model; give [reward], or leave them out";
        return Err(problem.to_owned());
    }
    Ok(())
}

/// A source of a value that there is not is a slip, or was forgotten when the value went.
fn sources(recipe: &Recipe) -> Result<(), String> {
    let values = recipe.values();
    let keys: Vec<&str> = values.iter().map(|(key, _)| key.as_str()).collect();
    let named = recipe.file().sources.keys();
    let Some(unknown) = named.into_iter().find(|key| !keys.contains(&key.as_str())) else {
        return Ok(());
    };
    Err(match nearest(unknown, &keys) {
        Some(near) => {
            format!(
                "[sources] names `{unknown}`, which the recipe does not have; did you mean `{near}`?"
            )
        }
        None => format!("[sources] names `{unknown}`, which the recipe does not have"),
    })
}
