#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod api;
mod config;
mod connections;
mod engine;
mod error;
mod going;
mod metrics;
mod rewards;
mod server;

pub use config::ServeConfig;
pub use error::{Error, Result};
pub use rewards::RewardServed;
pub use server::{Served, Server, Service};
