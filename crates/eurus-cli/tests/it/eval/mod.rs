//! `eurus eval`, as its users run it.

mod list;
mod run;
mod show;
mod turns;
