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

    /// A confidence that is no share of certainty.
    #[error("a confidence of {confidence} cannot be; it lies between 0 and 1, such as 0.95")]
    ConfidenceOutOfRange {
        /// The confidence asked for.
        confidence: f64,
    },

    /// One run has an item twice.
    #[error("the {run} run has item `{id}` twice; items are told apart by id, keep one of them")]
    DuplicateItem {
        /// `left` or `right`.
        run: &'static str,
        /// The id.
        id: String,
    },

    /// Two runs disagree about the cluster of an item.
    #[error(
        "item `{id}` is in one cluster in the left run and in another in the right; give both runs the same clusters"
    )]
    OtherCluster {
        /// The id.
        id: String,
    },

    // Process rewards
    /// A turn of a tree that cannot be held against its verdict.
    #[error("tree `{tree}`, turn `{turn}`: {problem}")]
    Turn {
        /// The tree.
        tree: String,
        /// The turn.
        turn: String,
        /// What is wrong with it.
        problem: String,
    },

    /// A tree of which nobody judged any turn.
    #[error("tree `{tree}` has no verdict on any of its turns; judge them, or leave the tree out")]
    NoVerdicts {
        /// The tree.
        tree: String,
    },

    /// All turns have the same verdict.
    #[error(
        "all {turns} judged turns are {verdict}: there is nothing to tell apart; take trees with correct and incorrect actions"
    )]
    OneVerdict {
        /// Number of judged turns.
        turns: usize,
        /// The verdict that they share.
        verdict: &'static str,
    },

    // Reranking
    /// A temperature that gives no weights.
    #[error(
        "a temperature of {temperature} gives no weights; it must be a number above 0, such as 1"
    )]
    TemperatureOutOfRange {
        /// The temperature asked for.
        temperature: f64,
    },

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

    // Tasks
    /// No built-in task has the name.
    #[error("there is no task `{name}`; {meant}")]
    UnknownTask {
        /// The name asked for.
        name: String,
        /// What may have been meant.
        meant: String,
    },

    /// A task has no setting of the name.
    #[error("the task `{task}` has no setting `{setting}`; {meant}")]
    UnknownSetting {
        /// The task.
        task: String,
        /// The setting asked for.
        setting: String,
        /// What may have been meant.
        meant: String,
    },

    /// A task file that cannot be used.
    #[error("{file}: {problem}")]
    TaskFile {
        /// The file, or the name of a built-in task.
        file: String,
        /// What is wrong with it, where, and what to do.
        problem: String,
    },

    /// The data of a task are not where they were looked for.
    #[error(
        "{}: the data of the task `{task}` are not there: {wanted}; give the path of the file or its folder",
        path.display()
    )]
    MissingData {
        /// The task.
        task: String,
        /// Where they were looked for.
        path: PathBuf,
        /// The file, its fields and where it is published.
        wanted: String,
    },

    /// A data file that cannot be used at all.
    #[error("{}: {problem}", path.display())]
    DataFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },

    /// An item that its task cannot grade.
    #[error("task `{task}`, item `{item}`: {problem}")]
    CannotGrade {
        /// The task.
        task: String,
        /// The item.
        item: String,
        /// What is in the way, and what to do.
        problem: String,
    },

    /// The interpreter had trouble with the machine.
    #[cfg(feature = "benchmarks")]
    #[error(transparent)]
    Interpreter {
        /// The interpreter's error.
        #[from]
        source: code_interpreter::Error,
    },

    // Benchmarks of reward models
    /// A row that is no JSON object.
    #[error("{place} of {} is no JSON object: {problem}; mend or leave out the row", path.display())]
    BenchRow {
        /// The file.
        path: PathBuf,
        /// The row.
        place: ultrainteract::input::Place,
        /// What is wrong with it.
        problem: String,
    },

    /// A field that cannot be used.
    #[error("{place} of {}: field `{field}` {problem}; mend or leave out the row", path.display())]
    BenchField {
        /// The file.
        path: PathBuf,
        /// The row.
        place: ultrainteract::input::Place,
        /// The field.
        field: String,
        /// What is wrong with it.
        problem: String,
    },

    /// A response that was not scored.
    #[error("{} has no reward of `{id}`; score every response of the benchmark", path.display())]
    NoReward {
        /// The file of rewards.
        path: PathBuf,
        /// Id of the response.
        id: String,
    },

    /// A subset that the benchmark does not have.
    #[error("no subset is called `{name}`; did you mean `{nearest}`?")]
    UnknownSubset {
        /// The name given.
        name: String,
        /// The most similar name.
        nearest: &'static str,
    },

    /// An item that cannot be judged.
    #[error("item `{id}` {problem}; mend or leave it out")]
    BadItem {
        /// The item.
        id: String,
        /// What is wrong with it.
        problem: &'static str,
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
        "cannot write {}: {source}; check that the folder exists and is writable",
        path.display()
    )]
    Write {
        /// Where it should have gone.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },

    // Files
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },

    /// A file is not the JSON that it should be.
    #[error("{}: {problem}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },

    /// Rows of a file cannot be read or written.
    #[error(transparent)]
    Data(#[from] ultrainteract::Error),

    // Samples
    /// A file of samples was drawn with other settings.
    #[error(
        "{}: `{field}` is {had} there and {wanted} here; go on with the settings of before, or name another file",
        path.display()
    )]
    OtherSettings {
        /// The file of settings.
        path: PathBuf,
        /// The first setting that differs.
        field: String,
        /// Its value in the file.
        had: String,
        /// The value that is wanted.
        wanted: String,
    },

    /// A file of samples has no file of settings.
    #[error(
        "{} exists, and {} does not, which says how it was drawn; name another file",
        path.display(),
        beside.display()
    )]
    NoSettings {
        /// The file of samples.
        path: PathBuf,
        /// The file that is missing.
        beside: PathBuf,
    },

    /// A file of samples has one twice.
    #[error("row {line} of {}: this sample stands in the file already; delete the line", path.display())]
    DuplicateSample {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
    },

    /// Two prompts have one id.
    #[error("two prompts have the id `{id}`; ids name the samples and must be unique")]
    DuplicatePrompt {
        /// The id.
        id: String,
    },

    /// A log-probability is NaN or infinite.
    #[error("sample {sample} of `{id}`: its log-probability is {value}")]
    LogProbNotFinite {
        /// The prompt.
        id: String,
        /// The sample.
        sample: usize,
        /// The value.
        value: f64,
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
