//! What can go wrong with models and checkpoints.

use std::path::PathBuf;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {action} failed: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
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
    /// A JSON file of a checkpoint does not parse.
    #[error("{path}: not valid JSON of the expected form: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A field of `config.json` has a value that would change the result and is not supported.
    #[error("config.json: field `{field}` is {value}, {problem}")]
    Config {
        /// The field's name.
        field: &'static str,
        /// Its value as written.
        value: String,
        /// Why it cannot be used and what to do.
        problem: String,
    },
    /// A safetensors file is damaged.
    #[error("{path}: not a whole safetensors file: {problem}; copy or download it again")]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        problem: String,
    },
    /// Tensors that the model needs are not in the checkpoint.
    #[error("{folder}: the checkpoint lacks {} of the model's tensors, the first is `{}`; does config.json belong to these weights?", missing.len(), missing.first().map_or("", String::as_str))]
    MissingTensors {
        /// The checkpoint folder.
        folder: PathBuf,
        /// Their names.
        missing: Vec<String>,
    },
    /// The checkpoint holds tensors that this model has no place for; leaving them out would change the result.
    #[error("{folder}: the checkpoint has {} tensors that a model of this config.json has no place for, the first is `{}`", unused.len(), unused.first().map_or("", String::as_str))]
    UnusedTensors {
        /// The checkpoint folder.
        folder: PathBuf,
        /// Their names.
        unused: Vec<String>,
    },
    /// A tensor's shape is not the one that `config.json` implies.
    #[error("{folder}: tensor `{name}` has shape {found:?}, config.json implies {expected:?}")]
    TensorShape {
        /// The checkpoint folder.
        folder: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// The shape that the configuration implies.
        expected: Vec<usize>,
    },
    /// A tensor is stored in a type that is not read.
    #[error(
        "{folder}: tensor `{name}` is stored as {dtype}; float32, float16 and bfloat16 are read"
    )]
    TensorType {
        /// The checkpoint folder.
        folder: PathBuf,
        /// The tensor.
        name: String,
        /// Its type in the file.
        dtype: String,
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
    /// An adapter cannot be made or read.
    #[error("low-rank adapter: {problem}")]
    Adapter {
        /// What is wrong and what to do.
        problem: String,
    },
    /// The forest could not be built.
    #[error(transparent)]
    Forest(#[from] token_forest::Error),
    /// Values could not be read back from the device.
    #[error("reading {what} back from the device failed: {problem}")]
    Device {
        /// What was read.
        what: &'static str,
        /// What the backend said.
        problem: String,
    },
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
