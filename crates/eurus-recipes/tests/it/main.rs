//! Tests of recipes.

mod mutations;
mod overrides;
mod reading;
mod recipes;
mod schema;
mod steps;
