//! The error type of chat models.

/// An error of a chat model: a bad setting, a spent budget, a failed call, a failed model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- before anything is sent ----
    /// A setting that cannot be right.
    #[error("setting `{field}` of the chat client: {problem}")]
    Config {
        /// The field of the configuration.
        field: &'static str,
        /// The fault of the setting, and a value to write instead.
        problem: String,
    },
    /// A setting that nothing can be drawn with.
    #[error("sampling: {setting} is {value}; {problem}")]
    Sampling {
        /// A field of [`Sampling`](crate::Sampling), or a setting that the model has beside it.
        setting: &'static str,
        /// Its value.
        value: f32,
        /// The values that it can have.
        problem: &'static str,
    },
    /// The environment has no key.
    #[error(
        "environment variable `{variable}` is not set, or is empty or not plain text; export the API key under \
         that name, or leave `api_key_env` out for a server that needs none"
    )]
    MissingKey {
        /// The variable that was looked for.
        variable: String,
    },
    /// The budget is used up.
    #[error(
        "budget used up: {spent:.4} of {budget:.4} spent on model `{model}`; raise `budget` to go on"
    )]
    BudgetSpent {
        /// The model that was to be asked.
        model: String,
        /// The amount spent so far.
        spent: f64,
        /// The amount that may be spent.
        budget: f64,
    },

    // ---- on the way ----
    /// No answer in time.
    #[error(
        "{url}: no complete answer within {seconds} s, tried {attempts} time(s); raise `timeout_seconds`, \
         ask for fewer samples or tokens, or lower `concurrency`"
    )]
    Timeout {
        /// Where the call went.
        url: String,
        /// The limit on one call.
        seconds: f64,
        /// How often the call was made.
        attempts: usize,
    },
    /// The server could not be reached, or the connection broke.
    #[error(
        "{url}: {problem} (tried {attempts} time(s)); check `base_url` and that the server is running"
    )]
    Transport {
        /// Where the call went.
        url: String,
        /// The fault of the transport.
        problem: String,
        /// How often the call was made.
        attempts: usize,
    },

    // ---- the answer ----
    /// The server refused, or failed.
    #[error("{url}: status {status} (tried {attempts} time(s)): {body}; {advice}")]
    Status {
        /// Where the call went.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of the answer's body, without the key.
        body: String,
        /// How often the call was made.
        attempts: usize,
        /// Advice for this HTTP status.
        advice: String,
    },
    /// The answer is not what the protocol promises.
    #[error(
        "{url}: status {status}, but {problem}; the body begins: {body}; check that `base_url` is the root of an \
         OpenAI-compatible API (it usually ends in /v1)"
    )]
    Malformed {
        /// Where the call went.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The part of the answer that could not be parsed.
        problem: String,
        /// The beginning of the answer's body, without the key.
        body: String,
    },

    // ---- models in this process ----
    /// A model that runs in this process failed.
    #[error("model `{model}`: {message}")]
    Local {
        /// The model.
        model: String,
        /// The fault, and a remedy.
        message: String,
    },
}

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
