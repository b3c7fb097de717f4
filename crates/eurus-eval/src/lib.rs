//! From sampled answers and rewards to numbers with standard errors, tables and a report.
//!
//! For anyone who evaluates language models or reward models on reasoning problems: pass@k,
//! best-of-N reranking and self-consistency, reward models judged on held-out pairs, and a
//! self-contained HTML report with charts and preference trees. No tensors, no models: this crate
//! takes the answers, verdicts and rewards that others computed.
//!
//! ```
//! use eurus_eval::reranking::{Candidate, Candidates, Method};
//! use eurus_eval::metrics::Proportion;
//! use eurus_eval::report::Report;
//! use eurus_eval::terminal;
//!
//! // Greedy accuracy of a model, one verdict per problem.
//! let greedy = Proportion::from_bools(&[true, false, true, true])?;
//! assert_eq!(greedy.mean, 0.75);
//!
//! // Two samples per problem, scored by one reward model.
//! let candidate = |answer: &str, correct, reward| Candidate {
//!     answer: Some(answer.to_owned()),
//!     correct,
//!     scores: vec![reward],
//! };
//! let mut candidates = Candidates::new(["BT + LDR"])?;
//! candidates.add_problem(vec![candidate("3", false, -1.2), candidate("4", true, 0.7)])?;
//! candidates.add_problem(vec![candidate("9", true, 0.1), candidate("8", false, 0.4)])?;
//! let reranking = candidates.report()?;
//! assert_eq!(reranking.accuracy(&Method::PassAtN).map(|accuracy| accuracy.mean), Some(1.0));
//!
//! // The same table on the terminal and in a report.
//! let table = reranking.table("Best of two samples");
//! assert!(terminal::render(&table).contains("Best-of-2, BT + LDR"));
//! let mut report = Report::new("A small experiment");
//! report.paragraph(format!("Greedy accuracy is {greedy}.")).table(table);
//! assert!(report.to_html()?.contains("75.0 ± 25.0 %"));
//! # Ok::<(), eurus_eval::Error>(())
//! ```
//!
//! # Modules
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`metrics`] | proportions, paired differences, means over seeds, pass@k; intervals, clusters, comparison of runs, bootstrap, AUC |
//! | [`reranking`] | best-of-N, votes, random choice, pass@N on the same candidates, for one N or many |
//! | `reward_benches` | RewardBench 1 and 2, AutoJ, MT-Bench's human votes, any pairs (feature `benchmarks`) |
//! | [`analyses`] | what the paper's analyses measure: rewards of every turn against verdicts, rewards in training, pass rates side by side |
//! | [`reward_model`] | pair accuracy, AUC, absolute rewards, a length-only baseline |
//! | [`tasks`] | benchmarks as files: data, prompts, settings, graders by name |
//! | [`graders`] | whether an answer is right, by the rules of its benchmark |
//! | `samples` | answers in a file that goes on after a kill (feature `benchmarks`) |
//! | `runs` | folders of answers and verdicts: grading, summaries, comparison, a page (feature `benchmarks`) |
//! | [`report`] | the HTML page: paragraphs, tables, line charts, preference trees |
//! | [`Table`] | the table that a report and a terminal share |
//! | [`terminal`] | tables as text |
//!
//! Every mean comes with the standard error over what it averages (problems, pairs or seeds);
//! see [`metrics`] for the one definition used throughout.

pub mod analyses;
mod error;
#[cfg(feature = "benchmarks")]
mod files;
#[cfg(feature = "benchmarks")]
pub mod graders;
pub mod metrics;
pub mod report;
pub mod reranking;
#[cfg(feature = "benchmarks")]
pub mod reward_benches;
pub mod reward_model;
#[cfg(feature = "benchmarks")]
pub mod runs;
#[cfg(feature = "benchmarks")]
pub mod samples;
mod table;
#[cfg(feature = "benchmarks")]
pub mod tasks;
pub mod terminal;
#[cfg(feature = "benchmarks")]
mod threads;

pub use error::{Error, Result};
pub use table::Table;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
