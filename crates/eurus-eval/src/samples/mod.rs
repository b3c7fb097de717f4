//! Answers that a model gave to prompts, in a file that grows and survives a kill.
//!
//! ```
//! use chat_model::{ChatRequest, Completion, FnModel, Message};
//! use eurus_eval::samples::{PromptToAnswer, SampleFile, draw, prompt_seed};
//! use std::ops::ControlFlow;
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("samples.jsonl");
//! let model = FnModel::new("echo", |request: &ChatRequest| {
//!     Ok(vec![Completion::stopped(&request.messages[0].content); request.samples])
//! });
//! let mut request = ChatRequest::new([Message::user("What is 6 x 7?")]).with_samples(4);
//! request.sampling.seed = prompt_seed(0, "sum");
//! let prompts = [PromptToAnswer { id: "sum".into(), request }];
//!
//! let mut file = SampleFile::open(&path, &serde_json::json!({"model": "echo"}))?;
//! let drawn = draw(&model, &prompts, &mut file, &mut |_| ControlFlow::Continue(()))?;
//! assert_eq!(drawn.new, 4);
//! let samples = file.finish(&prompts)?;
//! assert_eq!(samples.len(), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod draw;
mod file;

use chat_model::{ChatRequest, Completion, Finish};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use draw::{Drawn, FailedPrompt, Progress, draw};
pub use file::SampleFile;
pub(crate) use file::first_difference;

/// A prompt that is to be answered.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptToAnswer {
    /// Unique among the prompts of a file.
    pub id: String,
    /// What is asked, and how often; its seed is that of the prompt.
    pub request: ChatRequest,
}

/// An answer: a line of a file of samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The prompt.
    pub id: String,
    /// Which of its answers, from 0.
    pub sample: usize,
    /// The answer, without what the caller had it begin with.
    pub text: String,
    /// The answers of a conversation in turns, each; the text is all of them. Nothing where there is one turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<String>,
    /// Why it ended, the last turn of several.
    pub finish: Finish,
    /// Its length in tokens.
    pub tokens: usize,
    /// Log-probability of all of it (natural logarithm), where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_prob: Option<f64>,
    /// Seed of the prompt; the sample depends on it and on its number.
    pub seed: u64,
}

impl Sample {
    /// A completion as an answer to a prompt.
    pub fn new(prompt: &PromptToAnswer, sample: usize, completion: Completion) -> Self {
        Self {
            id: prompt.id.clone(),
            sample,
            log_prob: completion.log_prob(),
            text: completion.text,
            turns: Vec::new(),
            finish: completion.finish,
            tokens: completion.tokens,
            seed: prompt.request.sampling.seed,
        }
    }
}

/// The seed of a prompt in a run with some seed. It depends on the prompt's id and not on its place in a file.
pub fn prompt_seed(seed: u64, id: &str) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update(id.as_bytes());
    let bytes = hasher.finalize();
    let first = bytes.iter().take(8);
    // Every reader of JSON has these exactly.
    first.fold(0, |seed, byte| (seed << 8) | u64::from(*byte)) >> 11
}
