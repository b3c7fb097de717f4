//! What the paper's analyses measure, on any model: the experiments of the examples and `eurus eval` share it.
//!
//! | analysis | module | on a real model |
//! | --- | --- | --- |
//! | does a reward of every turn tell right actions from wrong ones, and where does a trajectory go wrong? | [`process_rewards`] | `eurus eval process` |
//! | where do the rewards of chosen and rejected actions go in training (arXiv 2404.02078, figure 5)? | [`reward_trajectory`] | `eurus eval trajectories` |
//! | what do several policies solve of the same problems, in one turn or several? | [`pass_rates`] | `eurus eval compare` |
//! | do reward models rank pairs right, and where is their zero (section 3)? | [`reward_model`](crate::reward_model) | `eurus eval rm` |
//! | what is gained by choosing among samples (table 9)? | [`reranking`](crate::reranking) | `eurus eval rerank` |
//!
//! Data are plain numbers, names and verdicts. Files are read where a module says so.

pub mod pass_rates;
pub mod process_rewards;
pub mod reward_trajectory;
