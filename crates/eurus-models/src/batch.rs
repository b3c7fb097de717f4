//! A packed forest on a device.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use token_forest::PackedForest;

use crate::ops::{ForestSpans, Visibility};

/// A packed forest with what a model needs of it on a device.
#[derive(Debug, Clone)]
pub struct ForestBatch {
    /// The forest.
    pub forest: Arc<PackedForest>,
    /// Which tokens each node's tokens attend to.
    pub visibility: Visibility,
    /// Token ids, `[T]`.
    pub tokens: Tensor<1, Int>,
}

impl ForestBatch {
    /// Puts a forest on a device.
    pub fn new(forest: PackedForest, device: &Device) -> Self {
        let visibility = Visibility::new(ForestSpans::new(&forest), device);
        let tokens = int_tensor(&forest.tokens, device);
        Self {
            forest: Arc::new(forest),
            visibility,
            tokens,
        }
    }

    /// Returns the batch for a model without autodiff.
    pub fn inner(&self) -> Self {
        Self {
            forest: self.forest.clone(),
            visibility: self.visibility.inner(),
            tokens: self.tokens.clone().inner(),
        }
    }

    /// Tokens of the forest, `T`.
    pub fn token_count(&self) -> usize {
        self.forest.tokens.len()
    }
}

/// A list of indices on a device, `[N]`.
pub fn int_tensor(values: &[u32], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = values.iter().map(|&value| value as i32).collect();
    let len = values.len();
    Tensor::from_data(TensorData::new(values, [len]), device)
}
