//! `eurus eval`, as its users run it.

mod every_task;
mod list;
mod process;
mod published;
mod reward_models;
mod run;
mod show;
mod trajectories;
mod turns;
