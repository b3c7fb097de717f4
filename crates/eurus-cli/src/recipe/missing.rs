//! What a recipe needs and is not there, and where it can be had.

use std::path::Path;

use anyhow::{Result, bail};
use eurus::data::input;
use eurus::eval::tasks::Task;
use eurus::models::hub::{Hub, HubModel};
use eurus::recipes::{Input, Places, Recipe, Step};
use serde::Serialize;

/// Something that a step needs and is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The first step that needs it.
    pub step: String,
    /// The path, pattern or name.
    pub what: String,
    /// Where it is published, or what to do about it.
    pub remedy: String,
    /// Whether the run fetches it by itself.
    pub fetched: bool,
}

/// All that is missing, each thing once.
pub fn of(recipe: &Recipe, places: &Places) -> Vec<Missing> {
    let mut all: Vec<Missing> = Vec::new();
    for step in recipe.steps(places) {
        for missing in step
            .inputs
            .iter()
            .filter_map(|it| at(it, &step, recipe, places))
        {
            if !all.iter().any(|it| it.what == missing.what) {
                all.push(missing);
            }
        }
    }
    all
}

/// Refuses a run that would find something missing on its way.
pub fn refuse(recipe: &Recipe, places: &Places) -> Result<()> {
    let missing = of(recipe, places);
    let lines: Vec<String> = missing
        .iter()
        .filter(|it| !it.fetched)
        .map(|it| format!("  {} (step {}): {}", it.what, it.step, it.remedy))
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    bail!(
        "`{}` cannot be run, since this is missing:\n{}\n--mixtures and --benchmarks name the folders; `{}-small` needs none of it, if the recipe has a twin",
        recipe.name(),
        lines.join("\n"),
        recipe.name()
    )
}

fn at(input: &Input, step: &Step, recipe: &Recipe, places: &Places) -> Option<Missing> {
    let missing = |what: String, remedy: String, fetched: bool| {
        Some(Missing {
            step: step.name.clone(),
            what,
            remedy,
            fetched,
        })
    };
    match input {
        Input::Step(_) => None,
        Input::Model(base) => {
            if Path::new(base).is_dir() {
                return None;
            }
            let Ok(model) = base.parse::<HubModel>() else {
                let remedy = "no folder, and no name of a model of the hub (organization/name)";
                return missing(base.clone(), remedy.to_owned(), false);
            };
            let kept = Hub::from_env().ok().and_then(|hub| hub.cached(&model));
            match kept {
                Some(_) => None,
                None => {
                    let remedy = "a model of the hub, which is downloaded when it is needed";
                    missing(base.clone(), remedy.to_owned(), true)
                }
            }
        }
        Input::Files(path) => {
            let pattern = path.to_string_lossy();
            if path.exists() || input::expand([&pattern]).is_ok() {
                return None;
            }
            missing(pattern.into_owned(), published(path, recipe, places), false)
        }
    }
}

/// Where files are published.
fn published(path: &Path, recipe: &Recipe, places: &Places) -> String {
    let data = &recipe.file().data;
    let mixtures = [&data.sft, &data.preference, &data.reward];
    for source in mixtures
        .into_iter()
        .flatten()
        .flat_map(|it| it.sources.values())
    {
        let is_it = |files: &String| places.data.join(files) == path;
        if let (true, Some(origin)) = (source.files.as_ref().is_some_and(is_it), &source.origin) {
            return format!("published on the hub as the data set {origin}");
        }
    }
    if path == places.benchmarks {
        let tasks = recipe.file().eval.iter().flat_map(|eval| &eval.tasks);
        let of_task = |task: &String| {
            let task = Task::built_in(task).ok()?;
            let data = &task.file().data;
            let at = data.published_at.as_deref().unwrap_or("by its authors");
            Some(format!("{} ({}, {at})", data.file, task.name()))
        };
        let files: Vec<String> = tasks.filter_map(of_task).collect();
        return format!("the folder of {}", files.join(", "));
    }
    "a file of the user's".to_owned()
}
