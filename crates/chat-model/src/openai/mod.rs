//! A blocking client for servers that speak the OpenAI chat-completions protocol.
//!
//! OpenAI, vLLM, SGLang, llama.cpp and most hosted models speak it. The client repeats calls that
//! failed for a passing reason (see [`RetryPolicy`]), sends the requests of a batch concurrently,
//! asks again when a server ignores `n`, and keeps an account of tokens and money. It never writes
//! the API key anywhere: not into errors, not into `Debug` output.
//!
//! ```no_run
//! use chat_model::{ChatModel, ChatRequest, Message, OpenAiClient, OpenAiConfig};
//!
//! let client = OpenAiClient::new(
//!     OpenAiConfig::new("https://api.openai.com/v1", "gpt-4o-mini").with_api_key_env("OPENAI_API_KEY"),
//! )?;
//! let answers = client.complete(&ChatRequest::new([Message::user("What is 6 * 7?")]))?;
//! assert!(!answers[0].text.is_empty());
//! # Ok::<(), chat_model::Error>(())
//! ```

mod call;
mod client;
mod config;
mod wire;

pub use client::OpenAiClient;
pub use config::{ApiKey, OpenAiConfig, RetryPolicy, TokenLimitField};
