#![doc = include_str!("../README.md")]

mod built_in;
mod check;
mod error;
mod file;
mod keys;
pub mod options;
mod overrides;
mod plan;
mod recipe;
mod resolved;
mod values;

pub use error::{Error, Result};
pub use file::{Mixture, Mixtures, Model, RecipeFile, Source};
pub use plan::{Input, Places, Stage, Step, Work};
pub use recipe::Recipe;
