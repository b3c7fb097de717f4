//! What every launch needs: outputs, grids, types.

use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

/// Units of a cube of the kernels that go over elements or rows.
pub const UNITS: usize = 256;

/// A tensor on the device of another, not filled.
pub fn empty(like: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    let shape = shape.into();
    let handle = like.client.empty(shape.num_elements() * dtype.size());
    CubeTensor::new_contiguous(
        like.client.clone(),
        like.device.clone(),
        shape,
        handle,
        dtype,
    )
}

/// The buffer of a contiguous copy, or of the tensor itself if it is contiguous.
pub fn buffer(tensor: CubeTensor) -> BufferArg {
    into_contiguous(tensor).into_buffer_arg()
}

/// The tensor itself when nobody else holds it and it is contiguous, or a copy: it may be written to.
pub fn owned(tensor: CubeTensor) -> CubeTensor {
    let tensor = into_contiguous(tensor);
    match tensor.can_mut() {
        true => tensor,
        false => tensor.copy(),
    }
}

/// The number type of a tensor, for kernels that are written for several.
pub fn element(tensor: &CubeTensor) -> ElemType {
    burn::backend::cubecl::dtype_to_storage_type(tensor.dtype)
}

/// Rows and columns of a matrix.
pub fn dims(tensor: &CubeTensor) -> [usize; 2] {
    let shape = tensor.meta.shape();
    [shape[0], shape[1]]
}

/// Cubes of [`UNITS`] that have a unit, by its absolute position, for each of so many elements. Where the device takes fewer cubes
/// in a row than there are, they stand in several, and there are units too many.
pub fn cubes_for(client: &Client, elements: usize) -> CubeCount {
    calculate_cube_count_elemwise(client, elements, row_of_units())
}

/// The units of a cube in one row.
pub fn row_of_units() -> CubeDim {
    row_of(UNITS)
}

/// So many units in one row.
pub fn row_of(units: usize) -> CubeDim {
    CubeDim::new_1d(units as u32)
}

/// Units of a cube that wait for each other: [`UNITS`], or as many as the device has at once, a power of two. Where they are
/// threads of a CPU, those that wait keep the others from coming.
pub fn waiting_units(client: &Client) -> usize {
    at_most(
        UNITS,
        client.properties().hardware.max_units_per_cube as usize,
    )
}

/// The half, the quarter and so on of a power of two that is not larger than a bound, and at least 1.
pub fn at_most(power: usize, bound: usize) -> usize {
    let mut power = power;
    while power > bound.max(1) {
        power /= 2;
    }
    power
}

/// The sum over the units of a cube, in an order that depends on their number alone. `sums` holds a number for each unit.
#[cube]
pub fn sum_over_units(value: f32, sums: &mut Shared<[f32]>, #[comptime] units: usize) -> f32 {
    let unit = UNIT_POS as usize;
    sums[unit] = value;
    sync_cube();
    let mut half = comptime!(units / 2).runtime();
    while half > 0 {
        if unit < half {
            sums[unit] += sums[unit + half];
        }
        sync_cube();
        half /= 2;
    }
    let sum = sums[0];
    sync_cube();
    sum
}

/// The largest number of the units of a cube, as [`sum_over_units`].
#[cube]
pub fn max_over_units(value: f32, parts: &mut Shared<[f32]>, #[comptime] units: usize) -> f32 {
    let unit = UNIT_POS as usize;
    parts[unit] = value;
    sync_cube();
    let mut half = comptime!(units / 2).runtime();
    while half > 0 {
        if unit < half {
            parts[unit] = f32::max(parts[unit], parts[unit + half]);
        }
        sync_cube();
        half /= 2;
    }
    let largest = parts[0];
    sync_cube();
    largest
}
