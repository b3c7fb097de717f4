#![doc = include_str!("../README.md")]

mod built_in;
mod check;
mod counts;
mod digest;
mod error;
mod file;
mod keys;
pub mod options;
mod overrides;
mod plan;
pub mod practice;
mod recipe;
pub mod record;
mod resolved;
mod values;

pub use counts::Counts;
pub use error::{Error, Result};
pub use file::{Mixture, Mixtures, Model, RecipeFile, Shape, Source};
pub use plan::{Input, Places, Stage, Step, Work};
pub use recipe::Recipe;
