//! Tests of recipes.

mod guide;
mod mutations;
mod overrides;
mod reading;
mod recipes;
mod schema;
mod steps;
