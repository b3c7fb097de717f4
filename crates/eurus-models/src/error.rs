//! The error type of models and checkpoints.

use std::path::PathBuf;

use crate::WeightType;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate: what went wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {action} failed: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The action that failed.
        action: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// A checkpoint folder lacks a file that every checkpoint has.
    #[error(
        "{folder}: no {file}; a checkpoint folder holds config.json, model.safetensors (or shards with model.safetensors.index.json) and tokenizer files"
    )]
    MissingFile {
        /// The checkpoint folder.
        folder: PathBuf,
        /// The file that was looked for.
        file: &'static str,
    },
    /// A folder lacks a file that every checkpoint has, and is of another format.
    #[error("{folder}: there is no {wanted}, but {found}; {remedy}")]
    OtherFormat {
        /// The folder.
        folder: PathBuf,
        /// The file that was looked for.
        wanted: &'static str,
        /// The files that are there, and their format.
        found: String,
        /// How to convert them.
        remedy: String,
    },
    /// A JSON file of a checkpoint does not parse.
    #[error("{path}: not valid JSON of the expected form: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// A field of `config.json` has a value that would change the result and is not supported.
    #[error("config.json: field `{field}` is {value}, {problem}")]
    Config {
        /// The field's name, with that of the object it is in: `rope_scaling.factor`.
        field: String,
        /// Its value as written.
        value: String,
        /// Why it cannot be used and what to do.
        problem: String,
    },
    /// A safetensors file is damaged.
    #[error(
        "{path}: not a whole safetensors file: {}{problem}; copy or download it again",
        at(tensor)
    )]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// The first tensor that is affected, where that is known.
        tensor: Option<String>,
        /// The reader's message.
        problem: String,
    },
    /// A model or data of the hub cannot be downloaded.
    #[error("{model}: {problem}")]
    Hub {
        /// The model, or the data, as it was named.
        model: String,
        /// The fault, and a remedy.
        problem: String,
    },
    /// A GGUF file is damaged or asks for something that is not supported.
    #[error("{path}: GGUF: {}{problem}", at(tensor))]
    Gguf {
        /// The file.
        path: PathBuf,
        /// The tensor, where it is about one.
        tensor: Option<String>,
        /// The fault of the file.
        problem: String,
    },
    /// The index of a sharded checkpoint names a file that is not there.
    #[error(
        "{index}: tensor `{tensor}` is in {shard}, and there is no such file; copy or download it again"
    )]
    MissingShard {
        /// The index.
        index: PathBuf,
        /// The first tensor that the index puts there.
        tensor: String,
        /// The file.
        shard: String,
    },
    /// The index of a sharded checkpoint names something that is not a file beside it.
    #[error(
        "{index}: tensor `{tensor}` is in {shard:?}, which is not the plain name of a file; shards lie beside their index, nothing else is opened"
    )]
    ShardOutside {
        /// The index.
        index: PathBuf,
        /// The first tensor that the index puts there.
        tensor: String,
        /// The name that the index gives as a shard.
        shard: String,
    },
    /// The index of a sharded checkpoint and its shards do not list the same tensors.
    #[error(
        "{index}: tensor `{tensor}` is in {shard}, {problem}; do index and shards belong together?"
    )]
    IndexMismatch {
        /// The index.
        index: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shard in question.
        shard: String,
        /// In what they differ.
        problem: &'static str,
    },
    /// Two tensors of a checkpoint have what is one tensor of the model, under different spellings of its name.
    #[error(
        "{path}: tensors `{first}` and `{second}` would both be {name}; keep the one that is meant"
    )]
    AmbiguousTensors {
        /// The checkpoint.
        path: PathBuf,
        /// The part of the model.
        name: String,
        /// One of the tensors.
        first: String,
        /// The other.
        second: String,
    },
    /// A language model without its output projection, which is not the embedding either.
    #[error(
        "{path}: there is no `lm_head.weight`, and config.json does not say that the output projection is the embedding; if it is, set `tie_word_embeddings` to true there, otherwise copy or download the whole model. All else is there: it can be made a reward model of"
    )]
    MissingHead {
        /// The checkpoint.
        path: PathBuf,
    },
    /// A reward model where a language model is wanted.
    #[error(
        "{path}: this is a reward model (`{head}.weight`), and a language model is wanted here; give the model that it was trained from"
    )]
    RewardModelGiven {
        /// The checkpoint.
        path: PathBuf,
        /// The name of its head.
        head: &'static str,
    },
    /// A policy with the value head that it was trained with.
    #[error(
        "{path}: tensor `{name}` belongs to a value head, as TRL's PPO keeps it beside a policy; it is no part of a language model, and no reward head either. Save the policy without it (`model.pretrained_model.save_pretrained(...)`)"
    )]
    ValueHead {
        /// The checkpoint.
        path: PathBuf,
        /// The first of its tensors.
        name: String,
    },
    /// Tensors that the model needs are not in the checkpoint.
    #[error("{path}: the checkpoint lacks {} of the model's tensors, the first is `{}`; does config.json belong to these weights?", missing.len(), missing.first().map_or("", String::as_str))]
    MissingTensors {
        /// The checkpoint.
        path: PathBuf,
        /// Their names.
        missing: Vec<String>,
    },
    /// The checkpoint holds tensors that this model has no place for; leaving them out would change the result.
    #[error("{path}: the checkpoint has {} tensors that a model of its configuration has no place for, the first is `{}`", unused.len(), unused.first().map_or("", String::as_str))]
    UnusedTensors {
        /// The checkpoint.
        path: PathBuf,
        /// Their names.
        unused: Vec<String>,
    },
    /// A tensor's shape is not the one that `config.json` implies.
    #[error("{path}: tensor `{name}` has shape {found:?}, the configuration implies {expected:?}")]
    TensorShape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// The shape that the configuration implies.
        expected: Vec<usize>,
    },
    /// The configuration ties two tensors, but both are stored and they differ.
    #[error(
        "{path}: tensor `{name}` differs from `{tied_to}`, which config.json puts in its place (`tie_word_embeddings`); set that to false, or remove the tensor"
    )]
    TiedDiffers {
        /// The file.
        path: PathBuf,
        /// The tensor that would not be used.
        name: String,
        /// The tensor that would be used for it.
        tied_to: String,
    },
    /// A tensor is stored in a type that is not read.
    #[error(
        "{path}: tensor `{name}` is stored as {dtype}; float32, float16 and bfloat16 are read, so export it in one of them"
    )]
    TensorType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type in the file.
        dtype: String,
    },
    /// A weight is infinite or NaN, or would be in the type that it is to be written in.
    #[error("{path}: tensor `{name}` has {value} at {index:?}, which is no finite {}; {}", stored.name(), if value.is_finite() { "write another type" } else { "the model is broken, take an earlier one" })]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The place of the first such weight.
        index: Vec<usize>,
        /// The weight.
        value: f32,
        /// The type that it is read from or written in.
        stored: WeightType,
    },
    /// A token id is outside the model's vocabulary.
    #[error(
        "token id {token} is outside the model's vocabulary of {vocab_size}; do tokenizer and model belong together?"
    )]
    TokenOutOfRange {
        /// The token id.
        token: u32,
        /// The model's vocabulary.
        vocab_size: usize,
    },
    /// A prompt fills the model's context.
    #[error(
        "prompt {prompt} has {tokens} tokens, and the model's context of {context} leaves no room for one more; shorten the prompt, or take a model with a longer context"
    )]
    PromptTooLong {
        /// The prompt, by its place in the list.
        prompt: usize,
        /// Its tokens.
        tokens: usize,
        /// Tokens of the longest text that the model reads.
        context: usize,
    },
    /// A model of one's own that does not do what trainers rely on.
    #[error(
        "the model breaks a rule of packed forests: {rule}. Found on a forest of 11 tokens: {found}"
    )]
    Contract {
        /// The rule, and what to look at.
        rule: &'static str,
        /// Where the model breaks it.
        found: String,
    },
    /// A setting that no token can be drawn with.
    #[error(transparent)]
    Sampling(chat_model::Error),
    /// The model gives no distribution to draw a token from.
    #[error(
        "prompt {prompt}, sample {sample}: the logits of new token {step} are not finite; check the model's weights, or compute in another number type"
    )]
    LogitsNotFinite {
        /// The prompt, by its place in the list.
        prompt: usize,
        /// The sample of that prompt.
        sample: usize,
        /// The token that was to be drawn, from 1.
        step: usize,
    },
    /// An adapter cannot be made or read.
    #[error("low-rank adapter: {problem}")]
    Adapter {
        /// The fault of the adapter, and a remedy.
        problem: String,
    },
    /// The forest could not be built.
    #[error(transparent)]
    Forest(#[from] token_forest::Error),
    /// A prompt has no token.
    #[error(
        "prompt {prompt} has no tokens, and the first one is drawn from what the last of them leads to; give it one"
    )]
    EmptyPrompt {
        /// The prompt, by its place in the list.
        prompt: usize,
    },
    /// Weights are to be kept for decoding in a way that is for the CPU.
    #[error(
        "weights cannot be kept as {weights} for decoding, because {obstacle}; generate with exact weights"
    )]
    DecodeWeights {
        /// What was asked for.
        weights: crate::generate::DecodeWeights,
        /// What stands in the way.
        obstacle: &'static str,
    },
    /// Values could not be read back from the device.
    #[error("reading {what} back from the device failed: {problem}")]
    Device {
        /// The values that were read.
        what: &'static str,
        /// The backend's message.
        problem: String,
    },
}

/// Names a tensor before what is said about it.
fn at(tensor: &Option<String>) -> String {
    tensor
        .as_ref()
        .map_or_else(String::new, |tensor| format!("at tensor `{tensor}`, "))
}

impl Error {
    pub(crate) fn io(
        path: impl Into<PathBuf>,
        action: &'static str,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            path,
            action,
            source,
        }
    }
}
