//! `eurus recipe check`: what every stage will cost, on which devices it fits, and what is missing. Nothing need be there: sizes
//! come from the recipe's shape of the model and from what is published of its data.

mod costs;
mod devices;
mod shape;
mod table;

use anyhow::Result;
use clap::Args;

use super::chosen::{Chosen, Folders};
use super::missing::{self, Missing};
use crate::job::print;
use costs::StageCost;
use devices::Device;

pub const EXAMPLES: &str = "\
Trees, steps and tokens are estimates by what the recipe knows of its data (published_rows, published_problems, \
tokens_per_problem); memory and operations follow from them as in `eurus plan`, which counts the tokens of data that are there.

Examples:
  eurus recipe check eurus-7b-kto
  eurus recipe check eurus-70b-sft --json
  eurus recipe check eurus-7b-sft --set sft.optimizer=adafactor --set sft.token_budget=4096";

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    chosen: Chosen,

    #[command(flatten)]
    folders: Folders,

    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

/// What is found out about a recipe.
#[derive(Debug, serde::Serialize)]
struct Report {
    recipe: String,
    /// What of the numbers is no count.
    estimates: Vec<String>,
    devices: Vec<Device>,
    stages: Vec<StageCost>,
    missing: Vec<Missing>,
}

impl Check {
    pub fn run(&self) -> Result<()> {
        let recipe = self.chosen.find()?;
        let places = self.folders.places();
        let devices = devices::all();
        let (stages, estimates) = costs::of(&recipe, &places, &devices)?;
        let report = Report {
            recipe: recipe.name().to_owned(),
            estimates,
            stages,
            devices,
            missing: missing::of(&recipe, &places),
        };
        print(&match self.json {
            true => serde_json::to_string_pretty(&report)?,
            false => table::of(&report),
        });
        Ok(())
    }
}
