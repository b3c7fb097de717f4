//! Every loss once more in plain f64 on `ndarray` arrays: no device, no graph, one formula a line.
//!
//! For tests, which hold the tensor losses against it, and for scoring logged log-probs where there
//! is no device. Values only; a gradient is a central difference away. Everything is computed in
//! f64 and is finite wherever the true value is, for log-ratios of 1e-8 as of 1e4. Nothing here
//! depends on the rest of the crate, so that the two can only agree by both being right. NaN in is
//! NaN out.
//!
//! Losses of policies work on [`LogRatios`], so they combine: divide by lengths with
//! [`LogRatios::per_token`], replace the reverse KL with [`Divergence::scores`], leave the reference
//! out with [`LogRatios::without_reference`], then apply any loss.
//!
//! ```
//! use ndarray::array;
//! use pref_losses::oracle::{self, Pairs};
//!
//! let (policy_chosen, policy_rejected) = (array![-12.0, -30.0], array![-25.0, -31.0]);
//! let (reference_chosen, reference_rejected) = (array![-14.0, -30.0], array![-22.0, -31.0]);
//! let ratios = Pairs {
//!     policy_chosen: policy_chosen.view(),
//!     policy_rejected: policy_rejected.view(),
//!     reference_chosen: reference_chosen.view(),
//!     reference_rejected: reference_rejected.view(),
//! }
//! .log_ratios();
//!
//! let losses = oracle::dpo(&ratios, 0.1);
//! assert!(losses[0] < losses[1]);
//! // The second pair has not moved from the reference.
//! assert_eq!(losses[1], 2f64.ln());
//!
//! let (chosen, rejected) = ratios.rewards(0.1);
//! assert_eq!(oracle::accuracy(chosen.view(), rejected.view()), 0.5);
//! ```
//!
//! # Words
//!
//! `a` and `b` are the log-ratios of chosen and rejected, `z = beta (a - b)`, `s` is the logistic
//! function, `L(x) = -log s(x)`, `e` the rate of flipped labels.
//!
//! | input | functions |
//! | --- | --- |
//! | rewards `[pairs]` | [`bradley_terry`], [`direct_reward`], [`ultra_interact`], [`centering`], [`norm_bt`] |
//! | [`LogRatios`] | [`dpo`], [`conservative_dpo`], [`robust_dpo`], [`ipo`], [`hinge`], [`exo`], [`nca`], [`bco`], [`sppo_hard`], [`aot_unpaired`], [`apo_zero`], [`apo_down`], [`discopop`], [`kto_pairs`], [`kto_batch`] |
//! | [`Pairs`] | [`aot`] |
//! | policy alone | [`simpo`], [`slic`], [`orpo`], [`log_odds`], [`alpha_score`] |
//! | log-ratios with a verdict each | [`kto`], [`bco_unpaired`], [`mean_kl`], [`non_zero_mean_kl`] |
//! | K responses | [`nca_k`], [`info_nca_k`], [`plackett_luce`], [`score_order`], [`lambda_rank`] |
//! | logits, tokens | [`token_log_probs`], [`next_token_log_probs`], [`linear_log_probs`], [`sequence_sums`], [`sequence_means`], [`changed_token_means`], [`cross_entropy`], [`token_log_sum_squares`] |
//! | tokens, turns | [`length_desensitized`], [`discounted_turns`], [`wpo_weights`], [`part_counts`] |
//! | rewards | [`accuracy`], [`margin`] |

mod divergence;
mod paired;
mod parts;
mod ratios;
mod reference_free;
mod responses;
mod reward;
mod scalar;
mod tokens;
mod unpaired;

pub use divergence::Divergence;
pub use paired::{
    aot, aot_unpaired, apo_down, apo_zero, bco, conservative_dpo, discopop, dpo, exo, hinge, ipo,
    kto_batch, kto_pairs, nca, robust_dpo, sppo_hard,
};
pub use parts::{discounted_turns, length_desensitized, part_counts, wpo_weights};
pub use ratios::{LogRatios, Pairs, accuracy, margin};
pub use reference_free::{alpha_score, log_odds, orpo, simpo, slic};
pub use responses::{
    info_nca_k, lambda_rank, lambda_rank_weights, nca_k, plackett_luce, score_order, target_weights,
};
pub use reward::{bradley_terry, centering, direct_reward, norm_bt, ultra_interact};
pub use scalar::{log_one_minus_exp, log_sigmoid, log_sum_exp, negative_log_sigmoid, sigmoid};
pub use tokens::{
    changed_token_means, cross_entropy, linear_log_probs, next_token_log_probs, sequence_means,
    sequence_sums, token_log_probs, token_log_sum_squares,
};
pub use unpaired::{KtoWeights, bco_unpaired, kto, mean_kl, non_zero_mean_kl};
