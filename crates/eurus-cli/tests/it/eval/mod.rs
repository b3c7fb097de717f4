//! `eurus eval`, as its users run it.

mod list;
mod reward_models;
mod run;
mod show;
mod turns;
