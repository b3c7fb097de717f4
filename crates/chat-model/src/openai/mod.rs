//! A blocking client for servers that speak the OpenAI protocol.

mod answer;
mod body;
mod client;
mod config;
mod draw;
mod exchange;
mod http;
mod key;
mod lenient;
mod limits;
mod names;
mod observe;
mod prefix;
mod refusal;
mod reply;
mod retry_after;
mod score;
mod stream;

pub use client::OpenAiClient;
pub use config::{OpenAiConfig, PrefixSupport, RetryPolicy, TokenLimitField};
pub use key::ApiKey;
pub use observe::CallEvent;
