//! Rankings of K responses for reward models.

use burn::tensor::{Bool, DType, Tensor};

use crate::stable::{negative_log_sigmoid, zeros_of};

/// Plackett-Luce loss of rankings (Plackett 1975; for reward models arXiv 2203.02155 ranks by pairs
/// instead, arXiv 2305.18290 has it in Appendix A.3): the negative log-probability of the ranking
/// when responses are drawn one after another in proportion to `exp(reward)`:
/// `-sum_i log(exp(r_i) / sum_{j >= i} exp(r_j))`.
///
/// With two responses it is [`BradleyTerry`](crate::BradleyTerry) without margin and penalty.
///
/// **When.** For annotations that rank K responses to a prompt; K - 1 terms against the K (K - 1) / 2
/// pairs of Bradley-Terry, which count the middle ranks more often.
///
/// **Rewards.** Only differences count, so their level is arbitrary.
///
/// **Pitfalls.** The order within a row *is* the label: sort responses best first. Ties cannot be
/// said; leave tied responses out or use pairs.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::PlackettLuce;
///
/// let device = Device::flex();
/// let tied = Tensor::<2>::zeros([1, 4], &device);
/// // Any of 4! orders is as likely as the other.
/// let loss = PlackettLuce.forward(tied).into_scalar::<f32>();
/// assert!((loss - 24f32.ln()).abs() < 1e-6);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct PlackettLuce;

impl PlackettLuce {
    /// One loss per prompt; 0, with a gradient of 0, where there is one response.
    ///
    /// # Shapes
    ///
    /// - rewards: `[prompts, responses]`, best response first, at least one
    /// - output: `[prompts]`, f32
    ///
    /// # Panics
    ///
    /// If there is no response per prompt.
    pub fn forward(&self, rewards: Tensor<2>) -> Tensor<1> {
        let [prompts, responses] = rewards.dims();
        assert!(responses > 0, "`rewards` is [{prompts}, 0]: no responses");
        ranking_losses(rewards.cast(DType::F32), None)
    }
}

/// The negative log-probability of each ranking, from rewards `[prompts, responses]` that are given
/// best first; `[prompts]`.
///
/// `ties [prompts, responses - 1]` is true where a response ties with the next one. Those that tie
/// are each ranked before all that come after the tie, and not compared with each other.
pub(crate) fn ranking_losses(rewards: Tensor<2>, ties: Option<Tensor<2, Bool>>) -> Tensor<1> {
    let [_, responses] = rewards.dims();
    assert!(responses > 0, "there are no responses to rank");
    let column = |index: usize| rewards.clone().narrow(1, index, 1).squeeze_dim::<1>(1);
    let tie = |index: usize| {
        let ties = ties.clone()?;
        Some(ties.narrow(1, index, 1).squeeze_dim::<1>(1))
    };
    // From the worst up: `all` is the log of the sum of exponentials of what has been passed, `lower`
    // that of what ranks strictly lower than the present response, where there is any.
    let mut all = column(responses - 1);
    let mut lower = all.clone();
    let mut is_last: Option<Tensor<1, Bool>> = None;
    // Where there is one response or no prompt, nothing else leads back to the rewards.
    let mut losses = zeros_of(rewards.clone().sum_dim(1).squeeze_dim::<1>(1));
    for index in (0..responses - 1).rev() {
        let reward = column(index);
        let grown = negative_log_sigmoid(reward.clone() - all.clone());
        let term = match tie(index) {
            None => grown.clone(),
            Some(tie) => {
                lower = all.mask_where(tie.clone(), lower);
                let last = match is_last {
                    None => tie,
                    Some(before) => before.bool_and(tie),
                };
                is_last = Some(last.clone());
                negative_log_sigmoid(reward.clone() - lower.clone()).mask_fill(last, 0.0)
            }
        };
        losses = losses + term;
        // `log(exp(all) + exp(reward))`.
        all = reward + grown;
    }
    losses
}
