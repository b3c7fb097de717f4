//! Responses in parts, tokens or turns, for losses that do not count all parts alike.

use burn::tensor::{Bool, DType, Tensor};

use crate::pairs::PairLogProbs;

/// Log-probs of the parts of one response of each pair: of its tokens for [`LdDpo`](crate::LdDpo),
/// of its turns for [`Dmpo`](crate::Dmpo).
///
/// Natural logarithms. Reference values never get a gradient. Any float dtype; losses compute in
/// f32. Parts are numbered among those that the mask counts, in order: prompts, padding and holes
/// take no number, and what stands there does not matter.
///
/// # Shapes
///
/// All three: `[pairs, parts]`. The two responses of a pair may have different numbers of columns.
#[derive(Debug, Clone)]
pub struct ResponseParts {
    /// `log p_policy` of each part, given all before it.
    pub policy: Tensor<2>,
    /// `log p_reference` of each part.
    pub reference: Tensor<2>,
    /// True where the part counts.
    pub mask: Tensor<2, Bool>,
}

/// The parts of both responses of each pair.
#[derive(Debug, Clone)]
pub struct PairParts {
    /// Those of the chosen responses.
    pub chosen: ResponseParts,
    /// Those of the rejected responses.
    pub rejected: ResponseParts,
}

impl ResponseParts {
    /// Checks that the three agree, and that there are as many pairs as on the other side.
    fn check(&self, side: &str, pairs: usize) {
        let dims = self.mask.dims();
        assert!(
            self.policy.dims() == dims && self.reference.dims() == dims && dims[0] == pairs,
            "{side}: `policy` is {:?}, `reference` {:?}, `mask` {dims:?}: they must agree, and have {pairs} rows",
            self.policy.dims(),
            self.reference.dims(),
        );
    }

    /// 1 for each part that counts, 0 elsewhere; f32.
    fn counted(&self) -> Tensor<2> {
        let ones = Tensor::<2>::ones(self.mask.dims(), (&self.mask.device(), DType::F32));
        ones.mask_fill(self.mask.clone().bool_not(), 0.0)
    }

    /// Number of parts that count, `[pairs, 1]`.
    pub(crate) fn counts(&self) -> Tensor<2> {
        self.counted().sum_dim(1)
    }

    /// The number of each part that counts, from 1; `[pairs, parts]`.
    pub(crate) fn numbers(&self) -> Tensor<2> {
        self.counted().cumsum(1)
    }

    /// Weighted sums of the parts that count, policy and reference, `[pairs]` each.
    fn sums(self, weights: Tensor<2>) -> [Tensor<1>; 2] {
        let ignored = self.mask.bool_not();
        [self.policy, self.reference.detach()].map(|values| {
            let values = values.cast(DType::F32).mask_fill(ignored.clone(), 0.0);
            (values * weights.clone()).sum_dim(1).squeeze_dim(1)
        })
    }
}

/// Log-probs of pairs, each a weighted sum over a response's parts.
///
/// # Panics
///
/// If the shapes disagree.
pub(crate) fn weighted_sums(
    chosen: ResponseParts,
    rejected: ResponseParts,
    weights: impl FnOnce(&ResponseParts, &ResponseParts) -> [Tensor<2>; 2],
) -> PairLogProbs {
    let pairs = chosen.mask.dims()[0];
    chosen.check("chosen", pairs);
    rejected.check("rejected", pairs);
    let [of_chosen, of_rejected] = weights(&chosen, &rejected);
    let [policy_chosen, reference_chosen] = chosen.sums(of_chosen);
    let [policy_rejected, reference_rejected] = rejected.sums(of_rejected);
    PairLogProbs {
        policy_chosen,
        policy_rejected,
        reference_chosen,
        reference_rejected,
    }
}
