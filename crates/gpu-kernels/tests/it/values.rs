//! What cuBLASLt computes, on an NVIDIA GPU:
//! `EURUS_PRODUCTS=cublaslt cargo test -p gpu-kernels --features cuda --test it values -- --ignored`.

use burn::backend::ops::FloatTensorOps as _;
use burn::tensor::{DType, Scalar, TensorData};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeDevice};
use gpu_kernels::product::{Library, library, product, product_onto};

/// Small integers and quarters: exact in bfloat16, and so are their products' sums in float32.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    let number = |i: usize| ((i * 7919 + seed * 104_729) % 33) as f32 / 4.0 - 4.0;
    (0..count).map(number).collect()
}

fn tensor(values: &[f32], shape: [usize; 2], dtype: DType) -> CubeTensor {
    let data = TensorData::new(values.to_vec(), shape).convert_dtype(dtype);
    CubeBackend::float_from_data(data, &CubeDevice::Cuda(Default::default()))
}

/// The tensor itself, or the transposed view of its transpose in memory.
fn stored(values: &[f32], [rows, columns]: [usize; 2], dtype: DType, turned: bool) -> CubeTensor {
    if !turned {
        return tensor(values, [rows, columns], dtype);
    }
    let turned = (0..rows * columns).map(|i| values[i % rows * columns + i / rows]);
    let turned: Vec<f32> = turned.collect();
    CubeBackend::float_transpose(tensor(&turned, [columns, rows], dtype))
}

fn values(tensor: CubeTensor) -> Vec<f32> {
    let data = cubecl::future::block_on(CubeBackend::float_into_data(tensor)).unwrap();
    data.convert::<f32>().try_to_vec().unwrap()
}

fn multiplied(lhs: &[f32], rhs: &[f32], [m, k, n]: [usize; 3]) -> Vec<f32> {
    let cell = |i: usize| {
        (0..k)
            .map(|j| lhs[i / n * k + j] * rhs[j * n + i % n])
            .sum()
    };
    (0..m * n).map(cell).collect()
}

fn assert_library() {
    assert!(
        matches!(library(), Some(Library::Found { .. })),
        "{:?}",
        library()
    );
}

#[test]
#[ignore = "needs an NVIDIA GPU and cuBLASLt"]
fn products_of_all_layouts_and_types_are_exact_where_numbers_are() {
    for sides in [[1, 8, 8], [16, 64, 24], [130, 72, 200], [7, 33, 5]] {
        let [m, k, n] = sides;
        let (lhs, rhs) = (numbers(m * k, 1), numbers(k * n, 2));
        let expected = multiplied(&lhs, &rhs, sides);
        let before = numbers(m * n, 3);
        for dtype in [DType::F32, DType::BF16] {
            for (left, right) in [(false, false), (false, true), (true, false), (true, true)] {
                let lhs = || stored(&lhs, [m, k], dtype, left);
                let rhs = || stored(&rhs, [k, n], dtype, right);
                let place = format!("{sides:?} {dtype:?} {left} {right}");
                assert_eq!(
                    values(product(lhs(), rhs(), DType::F32)),
                    expected,
                    "{place}"
                );
                let sum = tensor(&before, [m, n], DType::F32);
                let sum = values(product_onto(sum, lhs(), rhs()));
                let added: Vec<f32> = before.iter().zip(&expected).map(|(a, b)| a + b).collect();
                assert_eq!(sum, added, "{place}");
            }
        }
    }
    assert_library();
}

/// Kernels on CubeCL's streams and products on another: in the wrong order the chain would compute something else.
#[test]
#[ignore = "needs an NVIDIA GPU and cuBLASLt"]
fn a_long_chain_of_kernels_and_products_keeps_its_order() {
    const SIDE: usize = 2048;
    // The product with this matrix moves every column on by one.
    let mut shift = vec![0.0; SIDE * SIDE];
    for row in 0..SIDE {
        shift[row * SIDE + (row + 1) % SIDE] = 1.0;
    }
    let shift = tensor(&shift, [SIDE, SIDE], DType::BF16);
    let start: Vec<f32> = (0..SIDE * SIDE).map(|i| (i % SIDE % 128) as f32).collect();
    let mut x = tensor(&start, [SIDE, SIDE], DType::BF16);
    for step in 0..200 {
        x = product(x, shift.clone(), DType::BF16);
        let sign = if step % 2 == 0 { 1.0 } else { -1.0 };
        x = CubeBackend::float_add_scalar(x, Scalar::from(sign));
    }
    let moved = (0..SIDE * SIDE).map(|i| ((i % SIDE + SIDE - 200) % SIDE % 128) as f32);
    assert_eq!(values(x), moved.collect::<Vec<f32>>());
    assert_library();
}
