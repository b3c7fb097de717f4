//! `eurus recipe list`.

use anyhow::Result;
use clap::Args;
use eurus::eval::{Table, terminal};
use eurus::recipes::Recipe;
use serde_json::json;

use crate::job::print;

pub const EXAMPLES: &str = "\
Examples:
  eurus recipe list
  eurus recipe list --json";

#[derive(Debug, Args)]
pub struct List {
    /// Write one JSON object for each recipe
    #[arg(long)]
    json: bool,
}

impl List {
    pub fn run(&self) -> Result<()> {
        let mut table = Table::new("Recipes of the paper, and a small one").headers([
            "name",
            "values of the paper",
            "values of ours",
            "small twin",
            "what",
        ]);
        let others = Recipe::other_names().into_iter().map(Recipe::built_in);
        let others = others.collect::<Result<Vec<_>, _>>()?;
        for recipe in Recipe::all()?.into_iter().chain(others) {
            let values = recipe.values();
            let confirmed = values
                .iter()
                .filter(|(key, _)| recipe.is_confirmed(key))
                .count();
            let small = recipe.small()?;
            let about = recipe.file().about.clone().unwrap_or_default();
            if self.json {
                let row = json!({
                    "name": recipe.name(),
                    "title": recipe.title(),
                    "about": about,
                    "confirmed": confirmed,
                    "ours": values.len() - confirmed,
                    "small": small.map(|it| it.name().to_owned()),
                });
                print(&row.to_string());
                continue;
            }
            table = table.row([
                recipe.name().to_owned(),
                confirmed.to_string(),
                (values.len() - confirmed).to_string(),
                small.map(|it| it.name().to_owned()).unwrap_or_default(),
                about,
            ]);
        }
        if !self.json {
            let note = "`eurus recipe show NAME` has every value with its source.";
            print(&terminal::render(&table.note(note)));
        }
        Ok(())
    }
}
