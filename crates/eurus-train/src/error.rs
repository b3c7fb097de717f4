//! The error type of training.

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate: what went wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is outside its range.
    #[error("training setting `{field}` is {value}: {problem}")]
    Config {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// The values that are allowed.
        problem: &'static str,
    },
    /// There is nothing to train on.
    #[error("no {what} to train on; check the data's filters and the input files")]
    NoData {
        /// The kind of example that is missing.
        what: &'static str,
    },
    /// An example's groups are not those that the loss learns from.
    #[error(
        "example `{id}` has {found}, and the loss learns from {wanted}; give a loss and examples that belong together"
    )]
    OtherKind {
        /// The example.
        id: String,
        /// The kind of its groups.
        found: token_forest::LabelKind,
        /// The kind that the loss learns from.
        wanted: token_forest::LabelKind,
    },
    /// A path is longer than allowed. Nothing is ever cut silently.
    #[error(
        "example `{id}` has a path of {tokens} tokens, more than max_path_tokens = {limit}; raise the limit, or drop or shorten the example"
    )]
    PathTooLong {
        /// The example.
        id: String,
        /// Tokens of its longest path.
        tokens: usize,
        /// The limit.
        limit: usize,
    },
    /// A token id has no embedding.
    #[error(
        "example `{id}` has token id {token}, and the model knows ids below {vocab_size} only; do tokenizer and model belong together?"
    )]
    UnknownToken {
        /// The example.
        id: String,
        /// The token.
        token: u32,
        /// Number of token ids the model knows.
        vocab_size: usize,
    },
    /// Reference log-probs belong to other trees than the ones given.
    #[error(
        "the reference log-probs were computed for other trees ({expected} pairs or responses there, {found} here); compute them again"
    )]
    StaleReference {
        /// Pairs, or responses with a verdict, that the reference was computed for.
        expected: usize,
        /// Those given.
        found: usize,
    },
    /// A loss looks at parts of responses, and the reference log-probs are those of whole ones.
    #[error(
        "the loss looks at the tokens or turns of responses, and the reference log-probs are those of whole responses; compute them with `PreferenceTrainer::reference` of the same trainer"
    )]
    ReferenceOfWholeResponses,
    /// The file of reference log-probs belongs to something else.
    #[error(
        "{path}: the reference log-probs in it cannot be used: {difference}; name another file, or remove this one"
    )]
    StaleCache {
        /// The file.
        path: std::path::PathBuf,
        /// How it differs.
        difference: String,
    },
    /// The reference model gives a log-prob that is not a finite number.
    #[error(
        "example `{id}`: the reference model's log-prob of a response is {value}; check its weights"
    )]
    ReferenceNotFinite {
        /// The example.
        id: String,
        /// The log-prob.
        value: f32,
    },
    /// The run begins with another model than the reference.
    #[error(
        "before the first step, policy and reference differ by {difference:.4} a token on example `{id}`, but they should be the same model; compute the reference with the model that training begins with, or allow another reference"
    )]
    OtherReference {
        /// The example that differs most.
        id: String,
        /// The largest difference of a response's log-prob, divided by its tokens.
        difference: f64,
    },
    /// A loss or gradient is not a finite number.
    #[error(
        "step {step}: {fault}; look at these examples and at the model's weights, lower the learning rate, or let such steps be skipped (`on_not_finite`)"
    )]
    NotFinite {
        /// Optimizer step, from 1.
        step: usize,
        /// Which number, and of which examples.
        fault: NotFinite,
    },
    /// A step has nothing to learn from: no parameter would move.
    #[error("step {step}: all gradients are zero, so nothing would be learned: {cause}; examples of the step: {}", the_first(.examples, ", "))]
    NoGradient {
        /// Optimizer step, from 1.
        step: usize,
        /// Why, as far as it can be told, and what to do.
        cause: String,
        /// Ids of the step's examples.
        examples: Vec<String>,
    },
    /// A file or folder could not be read or written.
    #[error("{path}: {action} failed: {source}")]
    Io {
        /// The file or folder.
        path: std::path::PathBuf,
        /// The action that failed.
        action: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// A snapshot cannot be written, or does not fit the model.
    #[error("snapshot {path}: {problem}")]
    Snapshot {
        /// The snapshot, or a file of it.
        path: std::path::PathBuf,
        /// The fault of the snapshot.
        problem: String,
    },
    /// A run that is not to go on would write among the snapshots of another.
    #[error(
        "{folder}: there are snapshots of a run in it, the newest after step {step}; go on from it (resume), or name another folder"
    )]
    SnapshotsExist {
        /// The folder.
        folder: std::path::PathBuf,
        /// The newest one's step.
        step: usize,
    },
    /// There is no snapshot that a run could be extended from.
    #[error(
        "{folder}: there is no whole snapshot of a run to extend; one is written at the end of a run that saves every so many steps"
    )]
    NothingToExtend {
        /// The folder.
        folder: std::path::PathBuf,
    },
    /// A run would be extended to fewer steps than it has taken.
    #[error(
        "snapshot {path}: the run has taken {taken} steps, more than the {steps} that it is to have; give more epochs or steps than before"
    )]
    NotLonger {
        /// The snapshot.
        path: std::path::PathBuf,
        /// Steps that were taken.
        taken: usize,
        /// Steps that the run is to have.
        steps: usize,
    },
    /// The snapshot is of a run with other settings or data.
    #[error(
        "snapshot {path} is of another run: {difference}; go on with what it was made with, extend it if it is only to be longer, or name another folder"
    )]
    OtherRun {
        /// The snapshot.
        path: std::path::PathBuf,
        /// All settings that differ, each with both values.
        difference: String,
    },
    /// The model could not be judged.
    #[error("the evaluation failed: {0}")]
    Evaluation(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another rank failed.
    #[error("rank {rank} failed: {problem}")]
    OtherRank {
        /// The first one that did.
        rank: usize,
        /// The rank's own error.
        problem: String,
    },
    /// A rank is gone, or says what cannot be understood.
    #[error("the ranks of the run lost each other: {problem}")]
    LostRank {
        /// The fault, as far as it is known.
        problem: String,
    },
    /// The ranks do not train the same.
    #[error(
        "rank {rank} does not train what rank 0 does: {difference}; give all ranks the same options and data"
    )]
    RanksDiffer {
        /// A rank that differs.
        rank: usize,
        /// The first difference.
        difference: String,
    },
    /// MPI cannot be used.
    #[cfg(feature = "mpi")]
    #[error("MPI: {problem}")]
    Mpi {
        /// Why not.
        problem: &'static str,
    },
    /// Token trees could not be packed.
    #[error(transparent)]
    Forest(#[from] token_forest::Error),
    /// The model does not do what trainers rely on.
    #[error(transparent)]
    Model(#[from] eurus_models::Error),
    /// A loss's settings are wrong.
    #[error(transparent)]
    Loss(#[from] pref_losses::Error),
}

/// A number of a step that is not finite. As text it is one line, with the first few terms and examples.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NotFinite {
    /// Which number.
    pub what: String,
    /// Its value, as text: JSON has no such numbers.
    pub value: String,
    /// The terms that went wrong first, as far as it can be told: a response's log-prob, the loss of a pair, a
    /// parameter's gradient.
    pub terms: Vec<String>,
    /// Ids of the step's examples.
    pub examples: Vec<String>,
}

impl std::fmt::Display for NotFinite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is {}", self.what, self.value)?;
        if !self.terms.is_empty() {
            write!(f, "; {}", the_first(&self.terms, "; "))?;
        }
        write!(
            f,
            "; examples of the step: {}",
            the_first(&self.examples, ", ")
        )
    }
}

/// The first few of a list, and how many there are beside them.
fn the_first(all: &[String], separator: &str) -> String {
    const SHOWN: usize = 3;
    let shown = all.len().min(SHOWN);
    let mut text = all[..shown].join(separator);
    if all.len() > shown {
        text.push_str(&format!(" and {} more", all.len() - shown));
    }
    text
}

impl Error {
    pub(crate) fn lost(problem: impl Into<String>) -> Self {
        Self::LostRank {
            problem: problem.into(),
        }
    }

    pub(crate) fn io(
        path: &std::path::Path,
        action: &'static str,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            path,
            action,
            source,
        }
    }
}
