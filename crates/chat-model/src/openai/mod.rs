//! A blocking client for servers that speak the OpenAI chat-completions protocol.

mod call;
mod client;
mod config;
mod wire;

pub use client::OpenAiClient;
pub use config::{ApiKey, OpenAiConfig, RetryPolicy, TokenLimitField};
