//! Inputs of projections that are not kept for the backward pass but made again in it.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;

use super::{add_rms_norm, rms_norm};

/// The place of a tensor that is made once in the backward pass for all who need it, and goes with the last of them.
#[derive(Clone, Default)]
pub struct Again(Arc<Mutex<Option<Box<dyn Any + Send>>>>);

impl Again {
    /// The tensor that is there, or that which `make` puts there.
    pub(super) fn get_or_make<T: Clone + Send + 'static>(&self, make: impl FnOnce() -> T) -> T {
        // What is there is whole, also where a thread has panicked since.
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let made = place.as_ref().and_then(|it| it.downcast_ref::<T>());
        if let Some(made) = made {
            return made.clone();
        }
        let made = make();
        *place = Some(Box::new(made.clone()));
        made
    }
}

impl fmt::Debug for Again {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Again")
    }
}

/// The output of a root-mean-square norm, `[T, d]`, with what it was made of.
#[derive(Debug, Clone)]
pub struct Normed {
    /// The output, `[T, d]`.
    pub value: Tensor<2>,
    pub(super) x: Tensor<2>,
    pub(super) weight: Tensor<1>,
    pub(super) epsilon: f32,
    pub(super) again: Again,
}

impl Normed {
    fn of(x: Tensor<2>, weight: Tensor<1>, epsilon: f32, value: Tensor<2>) -> Self {
        Self {
            value,
            x,
            weight,
            epsilon,
            again: Again::default(),
        }
    }

    /// Norms the rows of `x [T, d]`.
    pub fn new(x: Tensor<2>, weight: Tensor<1>, epsilon: f32) -> Self {
        let value = rms_norm(x.clone(), weight.clone(), epsilon);
        Self::of(x, weight, epsilon, value)
    }

    /// Norms the rows of `x + y`, which comes first; both are `[T, d]`.
    pub fn of_sum(
        x: Tensor<2>,
        y: Tensor<2>,
        weight: Tensor<1>,
        epsilon: f32,
    ) -> (Tensor<2>, Self) {
        let (sum, value) = add_rms_norm(x, y, weight.clone(), epsilon);
        (sum.clone(), Self::of(sum, weight, epsilon, value))
    }
}
