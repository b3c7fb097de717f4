//! Products of tensors of burn's CPU backend.

use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, TensorData};

use crate::products::{Matrix, whole_product};

/// `lhs [m, k] * rhs [k, n]`: `[m, n]`, on all threads, without copying what is transposed.
///
/// `None` where one of them is not a matrix in single precision: burn's own product is for those.
///
/// # Panics
///
/// When the inner dimensions differ.
pub fn matmul(lhs: &FlexTensor, rhs: &FlexTensor) -> Option<FlexTensor> {
    let (lhs, rhs) = (matrix(lhs)?, matrix(rhs)?);
    let values = whole_product(lhs, rhs);
    let data = TensorData::new(values, [lhs.rows, rhs.cols]);
    Some(FlexTensor::from_data(data))
}

/// A matrix as it lies in memory.
fn matrix(tensor: &FlexTensor) -> Option<Matrix<'_>> {
    let layout = tensor.layout();
    let &[rows, cols] = layout.shape().as_slice() else {
        return None;
    };
    // Negative for a flipped tensor.
    let stride = |dim: usize| usize::try_from(layout.strides()[dim]).ok();
    let (row_stride, col_stride) = (stride(0)?, stride(1)?);
    (tensor.dtype() == DType::F32).then(|| Matrix {
        data: &tensor.storage::<f32>()[layout.start_offset()..],
        rows,
        cols,
        row_stride,
        col_stride,
    })
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::backend::ops::FloatTensorOps;
    use burn::tensor::FloatDType;

    use super::*;

    fn tensor(rows: usize, cols: usize) -> FlexTensor {
        let values: Vec<f32> = (0..rows * cols).map(|i| (i % 7) as f32 - 3.0).collect();
        FlexTensor::from_data(TensorData::new(values, [rows, cols]))
    }

    fn values(tensor: FlexTensor) -> Vec<f32> {
        tensor.to_contiguous().into_data().iter().collect()
    }

    #[test]
    fn a_product_is_that_of_burn_whatever_the_layout() {
        let transposed = |tensor| Flex::float_transpose(tensor);
        for (lhs, rhs) in [
            (tensor(5, 3), tensor(3, 4)),
            (transposed(tensor(3, 5)), tensor(3, 4)),
            (tensor(5, 3), transposed(tensor(4, 3))),
        ] {
            let got = matmul(&lhs, &rhs).expect("two matrices in single precision");
            // Small whole numbers: exact in whatever order.
            assert_eq!(values(got), values(Flex::float_matmul(lhs, rhs)));
        }
    }

    #[test]
    fn other_precisions_are_left_to_burn() {
        let double = Flex::float_cast(tensor(2, 2), FloatDType::F64);
        assert!(matmul(&double, &double).is_none());
    }
}
