//! The keys and values of a layer, kept in blocks of tokens.

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use crate::launch::{UNITS, buffer, dims, element, owned, row_of_units};

/// A unit has one column of one token.
#[cube(launch_unchecked)]
fn write_rows<F: Float, I: Int>(
    keys: &[F],
    values: &[F],
    slots: &[I],
    cached_keys: &mut [F],
    cached_values: &mut [F],
    width: usize,
    #[define(F)] _element: ElemType,
    #[define(I)] _index: ElemType,
) {
    let column = ABSOLUTE_POS_X as usize;
    let row = CUBE_POS_Y as usize;
    if column < width {
        let from = row * width + column;
        let to = usize::cast_from(slots[row]) * width + column;
        cached_keys[to] = keys[from];
        cached_values[to] = values[from];
    }
}

/// Writes `keys` and `values` `[T, width]` to the rows `slots [T]` of the caches `[tokens, width]`. Caches that nobody else holds
/// are changed where they lie.
pub fn write(
    cached_keys: CubeTensor,
    cached_values: CubeTensor,
    keys: CubeTensor,
    values: CubeTensor,
    slots: CubeTensor,
) -> (CubeTensor, CubeTensor) {
    let [rows, width] = dims(&keys);
    if rows * width == 0 {
        return (cached_keys, cached_values);
    }
    let (cached_keys, cached_values) = (owned(cached_keys), owned(cached_values));
    let (client, kind, index) = (keys.client.clone(), element(&keys), element(&slots));
    // SAFETY: slots are rows of the caches; a unit stays in its column.
    unsafe {
        write_rows::launch_unchecked(
            &client,
            CubeCount::Static(width.div_ceil(UNITS) as u32, rows as u32, 1),
            row_of_units(),
            buffer(keys),
            buffer(values),
            buffer(slots),
            cached_keys.clone().into_buffer_arg(),
            cached_values.clone().into_buffer_arg(),
            width,
            kind,
            index,
        );
    }
    (cached_keys, cached_values)
}
