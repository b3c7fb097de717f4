#![doc = include_str!("../README.md")]

/// The tensor library, in the version that everything here is built on.
pub use burn;

/// Preference trees as text, the released formats, validation and decontamination: [`ultrainteract`].
pub use ultrainteract as data;

/// Preference and reward-model losses as pure functions: [`pref_losses`].
pub use pref_losses as losses;

/// The arithmetic of a CPU, and how wide its vectors are: [`cpu_kernels`].
pub use cpu_kernels as kernels;

/// Conversations to token trees to packed forests: [`token_forest`].
pub use token_forest as forest;

/// Decoders over packed forests, reward heads, generation and Hugging Face checkpoints: [`eurus_models`].
pub use eurus_models as models;

/// SFT, preference and reward trainers: [`eurus_train`].
pub use eurus_train as train;

/// Python in a sandbox, or under resource limits: [`code_interpreter`].
#[cfg(feature = "synth")]
pub use code_interpreter as interpreter;

/// The trait "completes a chat", and an OpenAI-compatible client: [`chat_model`].
pub use chat_model as chat;

/// Final answers in a text, and whether two of them are the same: [`answer_equality`].
#[cfg(any(feature = "eval", feature = "synth"))]
pub use answer_equality as answers;

/// Trees from problems: actors, environment and critique: [`ultrainteract_synth`].
#[cfg(feature = "synth")]
pub use ultrainteract_synth as synth;

/// Metrics, reranking, reward-model evaluation and reports: [`eurus_eval`].
#[cfg(feature = "eval")]
pub use eurus_eval as eval;

/// The recipes of the paper, with the source of each value, and recipes of one's own: [`eurus_recipes`].
#[cfg(feature = "recipes")]
pub use eurus_recipes as recipes;

/// Runs and preference trees as one page that loads nothing, written or followed: [`eurus_report`].
#[cfg(feature = "report")]
pub use eurus_report as report;
/// Language models and reward models over HTTP: [`eurus_serve`].
#[cfg(feature = "serve")]
pub use eurus_serve as serve;
