//! "Something that completes a chat", as a trait, with a client for OpenAI-compatible servers.
//!
//! For programs that sample from language models and do not want to care whether the model runs in
//! this process, on a server in the next room or behind a paid API: they hold a [`ChatModel`].
//!
//! ```
//! use chat_model::{ChatModel, ChatRequest, Completion, FnModel, Message, Sampling};
//!
//! // Any function can be a model; tests script their actors this way.
//! let parrot = FnModel::new("parrot", |request: &ChatRequest| {
//!     let last = request.messages.last().map_or("", |message| message.content.as_str());
//!     Ok(vec![Completion::stopped(last); request.samples])
//! });
//!
//! let request = ChatRequest::new([Message::user("2 + 2 = 4")])
//!     .with_samples(3)
//!     .with_sampling(Sampling { temperature: 0.7, ..Sampling::default() });
//! let completions = parrot.complete(&request)?;
//!
//! assert_eq!(completions.len(), 3);
//! assert_eq!(completions[0].text, "2 + 2 = 4");
//! # Ok::<(), chat_model::Error>(())
//! ```
//!
//! # Vocabulary
//!
//! A *request* is a conversation, or a *raw prompt*, and the number of *samples* wanted for it; a *completion* is one
//! sampled continuation, with the reason it *finished*. A *batch* is many requests at once. An *answer prefix* is the
//! beginning of an answer that the model goes on with.
//!
//! # Modules
//!
//! | item | what |
//! | --- | --- |
//! | [`Message`], [`ChatRequest`], [`Sampling`], [`Completion`] | what goes in and comes out |
//! | [`ChatModel`], [`Capability`], [`FnModel`] | the trait, what not every model can, and a function as a model |
//! | [`Together`] | a model that computes the requests of several threads in one batch |
//! | `OpenAiClient`, `OpenAiConfig` | the HTTP client: retries, limits, token and cost account |
//! | [`Budget`], [`Prices`], [`Usage`] | money and tokens |
//! | [`Error`] | what can go wrong, whether it passes, and what to do about it |
//!
//! # Features
//!
//! `openai`, on by default, is the client. Without it the crate speaks no HTTP and builds in a second.

mod budget;
mod completion;
mod error;
mod message;
mod model;
#[cfg(feature = "openai")]
mod openai;
mod request;
mod seeds;
mod together;
mod usage;

pub use budget::{Budget, Reservation};
pub use completion::{Completion, Finish, TokenLogProb};
pub use error::{Error, Refusal, Result};
pub use message::{Message, Role, Sampling};
pub use model::{Capability, ChatModel, FnModel, Piece};
#[cfg(feature = "openai")]
pub use openai::{
    ApiKey, CallEvent, OpenAiClient, OpenAiConfig, PrefixSupport, RetryPolicy, TokenLimitField,
};
pub use request::ChatRequest;
pub use seeds::{FIRST_SAMPLE_HEADER, SEED_HEADER};
pub use together::Together;
pub use usage::{Prices, Usage, estimated_prompt_tokens, estimated_tokens, most_prompt_tokens};

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
