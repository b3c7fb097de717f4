//! Preference-tree construction: actors, environment and critique, up to five turns.
//!
//! For anyone who wants multi-turn preference data from problems with known answers: give the
//! problems, a model that solves some of them, and get trees of correct and incorrect actions with
//! observations, as in UltraInteract (arXiv 2404.02078).
//!
//! ```
//! use chat_model::{ChatRequest, Completion, FnModel};
//! use code_interpreter::{Limits, Python};
//! use ultrainteract_synth::word_problems::{self, Options};
//! use ultrainteract_synth::{Problem, PythonEnvironment, RuleCritic, SynthConfig, Team, TreeBuilder};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let problems = word_problems::generate(7, 10, &Options::default())?;
//! let problems: Vec<Problem> = problems.into_iter().map(|word| word.problem).collect();
//!
//! // An actor that never gets it right; a real one is a local model or an `OpenAiClient`.
//! let actor = FnModel::new("guesser", |request: &ChatRequest| {
//!     Ok(vec![Completion::stopped("Step 1: I guess.\nAnswer:\n\\boxed{0}"); request.samples])
//! });
//!
//! let environment = PythonEnvironment::start(&Python::find()?, Limits::default(), 2)?;
//! let builder = TreeBuilder::new(SynthConfig::default(), Team::new(&actor), &environment, &RuleCritic)?;
//! let build = builder.build(&problems, &|_event| {})?;
//!
//! // Five wrong turns; then the annotated solution stands in, so there is one pair per problem.
//! assert_eq!(build.trees.len(), 10);
//! assert!(build.trees.iter().all(|tree| tree.turns() == 5 && tree.pairs().len() == 1));
//! assert_eq!(build.stats.total().fallbacks, 10);
//! # Ok(())
//! # }
//! ```
//!
//! # Vocabulary
//!
//! An *actor* is a model that writes *actions*. The *environment* executes them and judges each
//! against the *ground truth*. The *critic* says what is wrong with an incorrect action. Execution
//! result, binary feedback and critique are the *observation* that the next *turn* starts from.
//!
//! # Modules
//!
//! | item | what |
//! | --- | --- |
//! | [`TreeBuilder`], [`SynthConfig`], [`Team`] | the construction: its rule, its account, who acts |
//! | [`Prompts`] | the words that models are asked with |
//! | [`Environment`], [`PythonEnvironment`] | trying and judging |
//! | [`Critic`], [`RuleCritic`], [`ModelCritic`] | saying what is wrong |
//! | `store` (features `sqlite`, `postgres`) | jobs, answers, money and trees of a run that any number of processes share |
//! | `run` (the same features) | a worker on such a store, which a kill costs nothing |
//! | `run_file` (feature `run-file`) | the settings of a run as a TOML file |
//! | [`word_problems`] | problems to start with, from a seed |
//! | [`Problem`], [`read_problems`] | problems of your own |
//! | [`sources`] | problems from published data sets, and from any CSV or JSONL |

mod arithmetic;
mod critic;
mod environment;
mod error;
mod problem;
mod prompts;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod run;
#[cfg(feature = "run-file")]
pub mod run_file;
mod seed;
pub mod sources;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod store;
mod tree;
pub mod word_problems;

pub use critic::{Critic, CritiqueRequest, ModelCritic, RuleCritic};
#[cfg(feature = "search")]
pub use environment::CorpusSearch;
pub use environment::{
    Attempt, CORRECT_FEEDBACK, Environment, Outcome, PythonEnvironment, Tool, WRONG_FEEDBACK,
    failing_solutions,
};
pub use error::{Error, Result};
pub use problem::{
    BadProblem, Gold, IoTest, Problem, ProblemFiles, read_problems, read_problems_skipping,
};
pub use prompts::Prompts;
pub use tree::{
    Build, Dropped, End, Event, Failure, Fallback, Grown, SynthConfig, SynthStats, Team,
    TreeBuilder, TurnCounts, TurnStats,
};

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
