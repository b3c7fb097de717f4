//! K responses to each prompt: what goes into a loss over them and what comes out.

use burn::tensor::{DType, Tensor};

use crate::pairs::log_ratio;

/// K responses to each of several prompts.
///
/// # Shapes
///
/// All three: `[prompts, responses]`.
#[derive(Debug, Clone)]
pub struct ResponseLogProbs {
    /// `log p_policy(response | prompt)`, summed over tokens.
    pub policy: Tensor<2>,
    /// `log p_reference(response | prompt)`, summed over tokens.
    pub reference: Tensor<2>,
    /// The scalar reward of each response.
    pub scores: Tensor<2>,
}

/// Losses `[prompts]` and implicit rewards `[prompts, responses]`, f32.
#[derive(Debug, Clone)]
pub struct ResponseOutput {
    /// One loss per prompt, with gradient.
    pub losses: Tensor<1>,
    /// `beta * (policy - reference)`, without gradient.
    pub rewards: Tensor<2>,
}

impl ResponseLogProbs {
    /// Implicit rewards `beta * (policy - reference)`, with gradient, and scores, without; both f32.
    pub(crate) fn rewards_and_scores(self, beta: f64) -> (Tensor<2>, Tensor<2>) {
        let dims = self.policy.dims();
        for (name, tensor) in [("reference", &self.reference), ("scores", &self.scores)] {
            assert!(
                tensor.dims() == dims,
                "`{name}` is {:?}, `policy` is {dims:?}: they must agree",
                tensor.dims()
            );
        }
        let rewards = log_ratio(self.policy, self.reference).mul_scalar(beta);
        (rewards, self.scores.cast(DType::F32).detach())
    }
}
