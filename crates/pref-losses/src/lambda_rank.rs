//! Ranking K scored responses by pairs, with the pair weights of LambdaRank.

use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, positive};
use crate::loss::ScoreLoss;
use crate::responses::{ResponseLogProbs, ResponseOutput};
use crate::stable::negative_log_sigmoid;

/// Settings of [`LambdaRank`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LambdaRankConfig {
    /// Strength of the tie to the reference, above 0. Default 0.1.
    pub beta: f64,
}

impl Default for LambdaRankConfig {
    fn default() -> Self {
        Self { beta: 0.1 }
    }
}

impl LambdaRankConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when `beta` is not above 0.
    pub fn init(&self) -> Result<LambdaRank, Error> {
        positive("lambda_rank", "beta", self.beta)?;
        Ok(LambdaRank { beta: self.beta })
    }
}

/// All pairs of a prompt's K responses, weighted by what swapping the two would change in the ranking
/// (LambdaRank, Burges et al. 2006; as a loss: LambdaLoss, Wang et al. 2018).
///
/// With the implicit rewards `r = beta (policy - reference)`, the scores `v`, `L(x) = -log s(x)`, the
/// discount `d(k) = 1 / log2(1 + k)` and `k_i` the rank of response `i` by its reward, 1 for the
/// highest:
///
/// `sum over v_i > v_j of w_ij L(r_i - r_j)`, with `w_ij` in proportion to
/// `(v_i - v_j) |d(k_i) - d(k_j)|`, constant, and summing to 1 over the pairs of a prompt.
///
/// `(v_i - v_j) |d(k_i) - d(k_j)|` is the change of the discounted cumulative gain, with scores as
/// gains, when the two swap places. So pairs count that are far apart in score and that reach to
/// the top of the present ranking. The weights do not change when scores are scaled or shifted, and
/// sum to 1, so the loss is ln 2 at the reference, for two responses it is [`Dpo`](crate::Dpo), and
/// settings carry over between prompts of different K.
///
/// **Ties.** Two equal scores make no pair; a prompt whose scores are all equal has a loss and
/// a gradient of 0. Equal rewards, as all of them are at the reference, are ranked the lowest score
/// first, the ranking that there is most to gain from; equal in both, they share the mean of their
/// ranks. So the order of responses in the row never counts.
///
/// **When.** K responses to a prompt are scored and the best shall come out on top: pairs at the
/// bottom hardly count, other than in [`PlackettLuceDpo`](crate::PlackettLuceDpo), and the size of
/// score differences does.
///
/// **Chosen rewards.** As DPO: only differences count.
///
/// **Pitfalls.** The weights depend on the present ranking and jump when it changes, so the loss is
/// not continuous; its gradient is that of the weighted pairs. One score far from the others takes all
/// the weight.
///
/// **Not TPO.** The tree loss of arXiv 2410.12854 also ranks K siblings with such weights, and weighs
/// the steps of a response besides, by their likeness to those of the best one. Its two published
/// codes contradict each other and the paper, and both end in the logarithm of a logistic function of
/// the ranking loss, by which a step lowers better responses. This is another loss: whole
/// responses, weights that are normalized, and descent raises the better response of each pair.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{LambdaRankConfig, ResponseLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex().autodiff();
/// let policy = Tensor::<2>::from_floats([[-3.0, -4.0, -5.0]], &device).require_grad();
/// let output = LambdaRankConfig::default().init()?.forward(ResponseLogProbs {
///     policy: policy.clone(),
///     reference: policy.clone().detach(),
///     scores: Tensor::from_floats([[1.0, 0.0, 2.0]], &device),
/// });
/// // At the reference every pair is ln 2, whatever the scores.
/// assert!((output.losses.clone().into_scalar::<f32>() - std::f32::consts::LN_2).abs() < 1e-6);
/// // Descent raises the best and lowers the worst.
/// let gradient = policy.grad(&output.losses.sum().backward()).unwrap();
/// let gradient: Vec<f32> = gradient.into_data().iter::<f32>().collect();
/// assert!(gradient[2] < 0.0 && gradient[1] > 0.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LambdaRank {
    beta: f64,
}

impl LambdaRank {
    /// One loss per prompt.
    ///
    /// # Panics
    ///
    /// If the three tensors differ in shape.
    pub fn forward(&self, responses: ResponseLogProbs) -> ResponseOutput {
        let (rewards, scores) = responses.rewards_and_scores(self.beta);
        let leads = differences(rewards.clone());
        let weights = pair_weights(leads.clone().detach(), differences(scores));
        let losses = negative_log_sigmoid(leads) * weights;
        ResponseOutput {
            losses: losses.sum_dim(2).sum_dim(1).squeeze_dims(&[1, 2]),
            rewards: rewards.detach(),
        }
    }
}

impl ScoreLoss for LambdaRank {
    fn forward(&self, responses: ResponseLogProbs) -> ResponseOutput {
        self.forward(responses)
    }
}

/// `x_i - x_j` at `[prompt, i, j]`.
fn differences(values: Tensor<2>) -> Tensor<3> {
    values.clone().unsqueeze_dim::<3>(2) - values.unsqueeze_dim::<3>(1)
}

/// The weights of the pairs `(i, j)`, from the differences of rewards and of scores; 0 where `i` is
/// not the better one.
fn pair_weights(leads: Tensor<3>, gains: Tensor<3>) -> Tensor<3> {
    let ones = leads.ones_like();
    let tied = leads.clone().equal_elem(0.0);
    // Of equal rewards the lower score is ranked first.
    let is_behind = leads
        .lower_elem(0.0)
        .bool_or(tied.clone().bool_and(gains.clone().greater_elem(0.0)));
    let is_equal = tied.bool_and(gains.clone().equal_elem(0.0));
    let count = |of: Tensor<3, Bool>| ones.clone().mask_fill(of.bool_not(), 0.0).sum_dim(2);
    // Equal ones, each its own equal, share the mean of their ranks.
    let ranks = count(is_behind) + count(is_equal).mul_scalar(0.5).add_scalar(0.5);
    let discounts = ranks.log1p().recip();
    let [prompts, responses, _] = discounts.dims();
    let swapped = discounts.clone() - discounts.reshape([prompts, 1, responses]);
    let weights = gains.clamp_min(0.0) * swapped.abs();
    let total = weights.clone().sum_dim(2).sum_dim(1);
    // No pair, no weight.
    let nothing = total.clone().equal_elem(0.0);
    weights / total.mask_fill(nothing, 1.0)
}
