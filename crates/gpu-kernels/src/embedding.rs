//! The gradient of the embedding.

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use crate::launch::{UNITS, buffer, dims, element, owned, row_of_units};

/// A cube has a part of the columns of one row of the gradient. The first row of a token adds up those of all rows of it, so
/// that every sum has one order and no two units write to one place.
#[cube(launch_unchecked)]
fn add_by_token<F: Float, S: Float, I: Int>(
    tokens: &[I],
    grad: &[F],
    sum: &mut [S],
    width: usize,
    #[define(F, S)] _elements: [ElemType; 2],
    #[define(I)] _index: ElemType,
) {
    let row = CUBE_POS_Y as usize;
    let column = ABSOLUTE_POS_X as usize;
    let token = tokens[row];
    let mut is_first = true;
    for earlier in 0..row {
        if tokens[earlier] == token {
            is_first = false;
        }
    }
    if is_first && column < width {
        let at = usize::cast_from(token) * width + column;
        let mut total = f32::cast_from(sum[at]);
        for later in row..tokens.len() {
            if tokens[later] == token {
                total += f32::cast_from(grad[later * width + column]);
            }
        }
        sum[at] = S::cast_from(total);
    }
}

/// Adds the rows of `grad [T, d]` to the rows of `sum [vocab, d]` that `tokens [T]` name. The two may be of different types.
pub fn add_rows(sum: CubeTensor, tokens: CubeTensor, grad: CubeTensor) -> CubeTensor {
    let [rows, width] = dims(&grad);
    if rows * width == 0 {
        return sum;
    }
    let sum = owned(sum);
    let kinds = [element(&grad), element(&sum)];
    let (client, index) = (grad.client.clone(), element(&tokens));
    // SAFETY: tokens name rows of `sum`, as they did in the forward pass; units stay in their column.
    unsafe {
        add_by_token::launch_unchecked(
            &client,
            CubeCount::Static(width.div_ceil(UNITS) as u32, rows as u32, 1),
            row_of_units(),
            buffer(tokens),
            buffer(grad),
            sum.clone().into_buffer_arg(),
            width,
            kinds,
            index,
        );
    }
    sum
}
