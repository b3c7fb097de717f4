//! Tests of recipes.

mod guide;
mod mutations;
mod overrides;
mod practice;
mod reading;
mod recipes;
mod records;
mod schema;
mod steps;
