//! The errors of this crate.

use std::path::PathBuf;

/// What can go wrong when results are evaluated or a report is written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Metrics
    /// A mean of nothing was asked for.
    #[error("{what}: there is no value to average; pass at least one")]
    NoValues {
        /// The quantity that was being computed.
        what: &'static str,
    },

    /// A value is NaN or infinite.
    #[error("{what}: value {index} is {value}; every value must be a finite number")]
    NotFinite {
        /// The quantity that was being computed.
        what: &'static str,
        /// Index of the value, from 0.
        index: usize,
        /// The value.
        value: f64,
    },

    /// A share is below 0 or above 1.
    #[error("{what}: value {index} is {value}; a proportion averages values from 0 to 1")]
    NotAShare {
        /// The quantity that was being computed.
        what: &'static str,
        /// Index of the value, from 0.
        index: usize,
        /// The value.
        value: f64,
    },

    /// Two slices that belong together have different lengths.
    #[error(
        "{left} has {left_len} values and {right} has {right_len}; \
         they are matched by position and must be equally long"
    )]
    LengthMismatch {
        /// Name of the first slice.
        left: &'static str,
        /// Length of the first slice.
        left_len: usize,
        /// Name of the second slice.
        right: &'static str,
        /// Length of the second slice.
        right_len: usize,
    },

    /// More correct samples than samples.
    #[error("pass@k: {correct} of {samples} samples are correct, which cannot be")]
    TooManyCorrect {
        /// Number of samples.
        samples: usize,
        /// Number of correct samples.
        correct: usize,
    },

    /// pass@k with k outside 1..=samples.
    #[error(
        "pass@{k} cannot be estimated from {samples} samples; \
         k must be at least 1 and at most the number of samples"
    )]
    KOutOfRange {
        /// The k asked for.
        k: usize,
        /// Number of samples.
        samples: usize,
    },

    // Reranking
    /// Two scorers have the same name.
    #[error("scorer `{name}` is named twice; scorers are told apart by name")]
    DuplicateScorer {
        /// The repeated name.
        name: String,
    },

    /// A scorer that the candidates were not scored by.
    #[error("no scorer is called `{name}`; the candidates have {}", list(known))]
    UnknownScorer {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },

    /// A problem without candidates.
    #[error("problem {problem} has no candidates; leave it out or sample for it")]
    NoCandidates {
        /// Index of the problem, from 0.
        problem: usize,
    },

    /// A candidate has too many or too few scores.
    #[error(
        "problem {problem}, candidate {candidate}: {actual} scores for {expected} scorers; \
         give one score per scorer, in the order of the scorers"
    )]
    ScoreCount {
        /// Index of the problem, from 0.
        problem: usize,
        /// Index of the candidate, from 0.
        candidate: usize,
        /// Number of scorers.
        expected: usize,
        /// Number of scores.
        actual: usize,
    },

    /// A score that cannot be ordered.
    #[error("problem {problem}, candidate {candidate}: scorer `{scorer}` gave NaN")]
    ScoreIsNan {
        /// Index of the problem, from 0.
        problem: usize,
        /// Index of the candidate, from 0.
        candidate: usize,
        /// Name of the scorer.
        scorer: String,
    },

    /// Fewer candidates than asked for.
    #[error("problem {problem} has {actual} candidates, fewer than the {wanted} asked for")]
    TooFewCandidates {
        /// Index of the problem, from 0.
        problem: usize,
        /// Number of candidates wanted.
        wanted: usize,
        /// Number of candidates there are.
        actual: usize,
    },

    /// Problems with different numbers of candidates.
    #[error(
        "problem {problem} has {actual} candidates where problem 0 has {expected}; \
         best-of-N compares equal N, cut all to the smallest with `first(n)`"
    )]
    UnevenCandidates {
        /// Index of the problem, from 0.
        problem: usize,
        /// Number of candidates of problem 0.
        expected: usize,
        /// Number of candidates of this problem.
        actual: usize,
    },

    // Instructions
    /// No instruction has this name.
    #[error("no instruction is called `{name}`; did you mean `{nearest}`?")]
    UnknownInstruction {
        /// The name asked for.
        name: String,
        /// The name that is most like it.
        nearest: &'static str,
    },

    /// An instruction lacks an argument, or has one of another type.
    #[error(
        "instruction `{instruction}`: argument `{argument}` is {actual}, and must be {expected}"
    )]
    InstructionArgument {
        /// The instruction.
        instruction: String,
        /// The argument.
        argument: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is; null where it is missing.
        actual: String,
    },

    /// A keyword, a name of sections or a marker is no regular expression, or one that takes too many steps.
    #[error(
        "`{pattern}` cannot be looked for: {source}; escape signs that mean something in regular expressions"
    )]
    Pattern {
        /// The regular expression.
        pattern: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    // Judging
    /// The model that judges could not be asked.
    #[cfg(feature = "benchmarks")]
    #[error("the judge: {source}")]
    Judge {
        /// What the model says.
        #[from]
        source: chat_model::Error,
    },

    // Report
    /// A page or a prompt could not be rendered; a fault of this crate.
    #[error("a template failed; this is a bug in eurus-eval")]
    Template {
        /// The template engine's error.
        #[from]
        source: minijinja::Error,
    },

    /// The page could not be written.
    #[error(
        "cannot write the report to {}: {source}; check that the folder exists and is writable",
        path.display()
    )]
    Write {
        /// Where it should have gone.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

/// The result of everything fallible in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "no scorers".to_owned();
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
