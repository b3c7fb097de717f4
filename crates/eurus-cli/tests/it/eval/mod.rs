//! `eurus eval`, as its users run it.

mod list;
mod process;
mod reward_models;
mod run;
mod show;
mod trajectories;
mod turns;
