//! SFT, preference learning and reward models on whole trees: every shared history is computed once.
//!
//! For anyone who has conversations, preference pairs or rollouts that share their beginnings and wants to train a
//! model on them, in a program of their own. The trainers take [`TrainingTree`](token_forest::TrainingTree)s, pack the trees of a step into forests of
//! bounded size and know a model by small traits, so any burn module that implements [`ForestBody`](eurus_models::ForestBody) and
//! [`ForestModel`](eurus_models::ForestModel) or [`ForestRewardModel`](eurus_models::ForestRewardModel) trains.
//! They never print: what happens is told to a callback.
//!
//! # Quick start
//!
//! A tiny model, one prompt with two answers, two steps of DPO:
//!
//! ```
//! use burn::tensor::Device;
//! use eurus_models::{Decoder, DecoderConfig};
//! use eurus_train::{Event, TrainingConfig, PreferenceTrainer};
//! use pref_losses::{DpoConfig, PreferenceLossConfig};
//! use token_forest::{Group, TokenTree, TrainingTree};
//!
//! # fn main() -> eurus_train::Result<()> {
//! let policy = Decoder::init(&DecoderConfig::llama(32, 16, 2, 2), 7, &Device::flex());
//! let mut tree = TokenTree::new(vec![1, 2, 3], false); // token ids of the prompt
//! let chosen = tree.push(0, vec![4, 5], true);
//! let rejected = tree.push(0, vec![6], true);
//! let trees = [TrainingTree::new("p1", &tree, vec![Group::pair(chosen, rejected)])?];
//!
//! let settings = TrainingConfig { learning_rate: 1e-2, epochs: 2, ..TrainingConfig::default() };
//! let loss = PreferenceLossConfig::Dpo(DpoConfig { beta: 0.1, ..DpoConfig::default() });
//! let trainer = PreferenceTrainer::new(settings, &loss)?;
//! let reference = trainer.reference(&policy, &trees, None, &mut |_| {})?;
//! let mut steps = Vec::new();
//! let trained = trainer.train(policy, &trees, &reference, &mut |event| {
//!     if let Event::Preference { progress, stats } = event {
//!         steps.push((progress.clone(), *stats));
//!     }
//! })?;
//!
//! let (first, last) = (&steps[0], &steps[1]);
//! assert!((first.1.loss - std::f64::consts::LN_2).abs() < 1e-4); // policy and reference are the same yet
//! assert!(last.1.loss < first.1.loss && last.1.margin > 0.0);
//! assert_eq!((first.0.unique_tokens, first.0.naive_tokens), (6, 9)); // the prompt counts once
//! # drop(trained);
//! # Ok(())
//! # }
//! ```
//!
//! # A step
//!
//! A step takes [`trees_per_step`](TrainingConfig::trees_per_step) trees, or as many as fill
//! [`forests_per_step`](TrainingConfig::forests_per_step). They are packed into forests of at most
//! [`token_budget`](TrainingConfig::token_budget) tokens; the gradients of all forests are summed before the one update,
//! so the budget bounds the memory and changes nothing else but rounding. The loss is the mean over the whole step:
//! over target tokens for SFT, over pairs, single responses or prompts otherwise. A path that is too long is an error before
//! training, never cut; a loss or gradient that is not finite, and a step whose gradients are all zero, end the run with the
//! ids of the step's examples.
//!
//! The same data, settings and seed give the same run on the same machine.
//!
//! # Features
//!
//! The CPU backend (flex) is always there.
//!
//! | feature | adds |
//! | --- | --- |
//! | `avx512` | matrix products with AVX-512, on processors that have it |
//! | `cuda` | burn's CUDA backend |
//! | `mpi` | several processes and machines; needs an MPI library with its compiler wrapper, and libclang, at build time |
//! | `wgpu` | burn's wgpu backend |
//! | `tch` | burn's LibTorch backend, which burn has deprecated; needs `LIBTORCH` set at build time |
//!
//! # What is here
//!
//! | item | what |
//! | --- | --- |
//! | [`TrainingConfig`], [`Optimizer`], [`WeightDecayOn`], [`Schedule`], [`Decay`], [`Precision`] | optimizer, learning rate, step size, limits, number type, seed |
//! | [`SftTrainer`] | imitation of trainable nodes |
//! | [`PreferenceTrainer`], [`ResponseLoss`] | DPO, NCA, KTO and the rest of `pref_losses`, or a loss of your own, over pairs, single or scored responses |
//! | [`ReferenceLogProbs`], [`ReferenceCache`], [`ReferenceSync`] | log-probs of the reference model, kept in a file if asked |
//! | [`RewardTrainer`], [`pair_rewards`], [`leaf_rewards`] | reward models, rewards of pairs and candidates |
//! | [`Evaluation`], [`Judgement`] | judging the model while it is trained, and keeping the best |
//! | [`Snapshots`], [`RunIdentity`] | the state of a run on disk, and going on from it |
//! | [`StopRequest`], [`StopReason`] | ending a run before its last step |
//! | [`Ranks`], [`Communicator`] | several processes or threads that train one model |
//! | [`plan`] | the forests of every step and of the reference, found without a model |
//! | [`Event`], [`StepProgress`] | what a run tells its callback, ready for JSON |
//! | [`tensorboard`] | the numbers of the events as TensorBoard reads them |
//! | [`digest`] | SHA-256 of files and bytes, as run identities have them |
//! | [`log_probs`] | log-probs of a forest's targets and nodes |
//! | [`Error`] | what can go wrong, and what to do about it |

mod activations;
mod config;
mod device_memory;
pub mod digest;
mod error;
mod evaluation;
mod events;
mod examples;
pub mod log_probs;
mod optimizer;
mod order;
pub mod plan;
mod precision;
mod preference;
mod ranks;
mod reference;
mod reward;
mod run;
mod schedule;
pub mod scoring;
mod sft;
mod snapshot;
mod step;
mod stop;
pub mod tensorboard;

pub use config::{NotFinitePolicy, Optimizer, TrainingConfig, WeightDecayOn};
pub use error::{Error, NotFinite, Result};
pub use evaluation::{Evaluation, Judgement, SampleText};
pub use events::{Event, StepProgress};
pub use precision::Precision;
pub use preference::{PreferenceTrainer, ReferenceSync, ResponseLoss, ResponseLossConfig};
pub use ranks::{Communicator, DeviceSum, Ranks};
pub use reference::{ReferenceCache, ReferenceKey, ReferenceLogProbs};
pub use reward::{PairRewards, RewardTrainer, leaf_rewards, pair_rewards};
pub use schedule::{Decay, Schedule};
pub use sft::SftTrainer;
pub use snapshot::{RunIdentity, Snapshots};
pub use stop::{StopReason, StopRequest};

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
