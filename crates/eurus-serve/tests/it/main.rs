//! A server with a tiny model, asked over HTTP.

mod common;

mod answers;
mod leaving;
mod local;
mod mutations;
mod openai_package;
mod refusals;
mod rewards;
