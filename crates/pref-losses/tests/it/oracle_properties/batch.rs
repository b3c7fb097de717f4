//! Random batches: numbers that f32 and f64 see alike.

use burn::tensor::{Bool, Device, Tensor, TensorData};
use ndarray::Array1;
use proptest::prelude::*;

use super::oracles::Side;

/// Most pairs of a batch.
const MAX_PAIRS: usize = 16;

/// Log-probs of pairs, in f32.
#[derive(Debug, Clone)]
pub struct Batch {
    pub policy_chosen: Vec<f32>,
    pub policy_rejected: Vec<f32>,
    pub reference_chosen: Vec<f32>,
    pub reference_rejected: Vec<f32>,
    pub chosen_lengths: Vec<f32>,
    pub rejected_lengths: Vec<f32>,
    pub verdicts: Vec<bool>,
    pub kl: f32,
    pub shift: f64,
}

/// The same in f64.
#[derive(Debug, Clone)]
pub struct Wide {
    pub policy_chosen: Array1<f64>,
    pub policy_rejected: Array1<f64>,
    pub reference_chosen: Array1<f64>,
    pub reference_rejected: Array1<f64>,
    pub chosen_lengths: Array1<f64>,
    pub rejected_lengths: Array1<f64>,
    pub verdicts: Array1<bool>,
    pub kl: f64,
    pub shift: f64,
}

impl Batch {
    pub fn len(&self) -> usize {
        self.policy_chosen.len()
    }

    pub fn widen(&self) -> Wide {
        let wide = |values: &[f32]| Array1::from_iter(values.iter().map(|&x| f64::from(x)));
        Wide {
            policy_chosen: wide(&self.policy_chosen),
            policy_rejected: wide(&self.policy_rejected),
            reference_chosen: wide(&self.reference_chosen),
            reference_rejected: wide(&self.reference_rejected),
            chosen_lengths: wide(&self.chosen_lengths),
            rejected_lengths: wide(&self.rejected_lengths),
            verdicts: Array1::from(self.verdicts.clone()),
            kl: f64::from(self.kl),
            shift: self.shift,
        }
    }
}

impl Wide {
    pub fn policy(&self, side: Side) -> &Array1<f64> {
        match side {
            Side::Chosen => &self.policy_chosen,
            Side::Rejected => &self.policy_rejected,
        }
    }

    pub fn with_policy(&self, side: Side, policy: &Array1<f64>) -> Self {
        let mut moved = self.clone();
        match side {
            Side::Chosen => moved.policy_chosen.assign(policy),
            Side::Rejected => moved.policy_rejected.assign(policy),
        }
        moved
    }
}

/// `count` numbers between `-scale` and `scale`, multiples of `scale / 1024`: their differences are
/// exact in f32 when the scale is a power of 2.
pub fn numbers(count: usize, scale: f32) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-1024i16..=1024, count).prop_map(move |values| {
        values
            .iter()
            .map(|&x| f32::from(x) * scale / 1024.0)
            .collect()
    })
}

/// Pairs with log-probs between `-scale` and 0, for a scale of 1/16 up to the largest.
pub fn pairs(largest_scale: f32) -> impl Strategy<Value = Batch> {
    let scales: Vec<f32> = [0.0625f32, 1.0, 8.0, 64.0, 512.0]
        .into_iter()
        .filter(|&scale| scale <= largest_scale)
        .collect();
    (1..=MAX_PAIRS, prop::sample::select(scales)).prop_flat_map(|(pairs, scale)| {
        let log_probs = move || {
            prop::collection::vec(1u16..=1024, pairs).prop_map(move |values| -> Vec<f32> {
                values
                    .iter()
                    .map(|&x| -f32::from(x) * scale / 1024.0)
                    .collect()
            })
        };
        let lengths = move || {
            prop::collection::vec(1u8..=200, pairs)
                .prop_map(|values| -> Vec<f32> { values.iter().map(|&n| f32::from(n)).collect() })
        };
        let four = [log_probs(), log_probs(), log_probs(), log_probs()];
        let verdicts = prop::collection::vec(any::<bool>(), pairs);
        (
            four,
            [lengths(), lengths()],
            verdicts,
            0u16..4096,
            -2.0f64..2.0,
        )
            .prop_map(|(log_probs, lengths, verdicts, kl, shift)| {
                let [
                    policy_chosen,
                    policy_rejected,
                    reference_chosen,
                    reference_rejected,
                ] = log_probs;
                let [chosen_lengths, rejected_lengths] = lengths;
                Batch {
                    policy_chosen,
                    policy_rejected,
                    reference_chosen,
                    reference_rejected,
                    chosen_lengths,
                    rejected_lengths,
                    verdicts,
                    kl: f32::from(kl) / 1024.0,
                    shift,
                }
            })
    })
}

pub fn vector(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

pub fn matrix(values: &[f32], shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

pub fn flags(values: &[bool], device: &Device) -> Tensor<1, Bool> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// A tensor whose gradient is wanted.
pub fn leaf(values: &[f32]) -> Tensor<1> {
    vector(values, &Device::flex().autodiff()).require_grad()
}

pub fn read<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}
