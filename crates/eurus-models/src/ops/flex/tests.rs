//! The fused operations against the stock ones: values and gradients.

use burn::tensor::Device;
use burn::tensor::{Shape, TensorData};
use proptest::prelude::*;
use token_forest::{PackedForest, TokenTree};

use super::*;
use crate::ops::Visibility;

const TOLERANCE: f32 = 2e-5;

fn noise(seed: u64, len: usize) -> Vec<f32> {
    use rand::{RngExt, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random::<f32>() * 4.0 - 2.0).collect()
}

fn tensor(seed: u64, rows: usize, width: usize) -> FlexTensor {
    to_tensor(noise(seed, rows * width), [rows, width])
}

fn assert_close(fused: FlexTensor, stock: FlexTensor) {
    let read = |t: FlexTensor| -> TensorData { t.to_contiguous().into_data() };
    let (fused, stock) = (read(fused), read(stock));
    assert_eq!(fused.shape(), stock.shape());
    for (a, b) in fused.iter::<f32>().zip(stock.iter::<f32>()) {
        assert!(
            (a - b).abs() <= TOLERANCE * (1.0 + b.abs()),
            "{a} fused, {b} stock"
        );
    }
}

/// A forest with a long node (several query blocks), shared ancestors and several trees.
fn forest() -> ForestSpans {
    let tokens = |n: usize| vec![1u32; n];
    let mut first = TokenTree::new(tokens(90), true);
    let chosen = first.push(0, tokens(70), true);
    first.push(0, tokens(3), true);
    first.push(chosen, tokens(130), true);
    let mut second = TokenTree::new(tokens(2), true);
    second.push(0, tokens(1), true);
    let forest = PackedForest::from_trees([&first, &second]).expect("whole trees");
    ForestSpans::new(&forest)
}

fn shapes() -> [AttentionShape; 3] {
    let shape = |kv_heads, window| AttentionShape {
        heads: 4,
        kv_heads,
        head_dim: 6,
        scale: 0.4,
        window,
    };
    [shape(4, None), shape(2, None), shape(1, Some(50))]
}

#[test]
fn tree_attention_equals_stock_operations_in_values_and_gradients() {
    let Visibility { spans, table } = Visibility::new(forest(), &Device::flex());
    let table = || FlexTensor::from_data(table.clone().into_data());
    for shape in shapes() {
        let t = spans.tokens;
        let q = tensor(1, t, shape.heads * shape.head_dim);
        let k = tensor(2, t, shape.kv_heads * shape.head_dim);
        let v = tensor(3, t, shape.kv_heads * shape.head_dim);
        let grad = tensor(4, t, shape.heads * shape.head_dim);
        let fused = Flex::tree_attention(
            q.clone(),
            k.clone(),
            v.clone(),
            table(),
            spans.clone(),
            shape,
        );
        let stock =
            reference::tree_attention::<Flex>(q.clone(), k.clone(), v.clone(), &spans, shape);
        let (output, lse) = fused.clone();
        assert_close(fused.0, stock.0);
        assert_close(fused.1, stock.1);
        let args = (q, k, v, output, lse, grad);
        let a = args.clone();
        let fused = Flex::tree_attention_backward(
            a.0,
            a.1,
            a.2,
            a.3,
            a.4,
            a.5,
            table(),
            spans.clone(),
            shape,
        );
        let a = args;
        let stock =
            reference::tree_attention_backward::<Flex>(a.0, a.1, a.2, a.3, a.4, a.5, &spans, shape);
        assert_close(fused.0, stock.0);
        assert_close(fused.1, stock.1);
        assert_close(fused.2, stock.2);
    }
}

#[test]
fn decode_attention_equals_stock_operations() {
    use crate::ops::decode::{BLOCK, CachedTokens, PromptGroup};
    let mut next = 12;
    let mut cached = |len: usize| CachedTokens {
        // Downwards: no block follows the one before.
        blocks: (0..len.div_ceil(BLOCK))
            .map(|_| {
                next -= 1;
                next
            })
            .collect(),
        len,
    };
    let mut group = |prompt, rows: &[usize]| PromptGroup {
        prompt: cached(prompt),
        rows: rows.iter().map(|&len| cached(len)).collect(),
    };
    let groups = vec![group(7, &[5, 1, 70]), group(140, &[64]), group(1, &[3])];
    for shape in shapes() {
        let spans = Arc::new(DecodeSpans::new(groups.clone(), shape));
        let width = shape.kv_heads * shape.head_dim;
        let q = tensor(1, spans.rows(), shape.heads * shape.head_dim);
        let [keys, values] = [2, 3].map(|seed| tensor(seed, 12 * BLOCK, width));
        let table = FlexTensor::from_data(TensorData::new(vec![0i64], [1]));
        let fused = Flex::decode_attention(
            q.clone(),
            keys.clone(),
            values.clone(),
            table,
            spans.clone(),
            shape,
        );
        let stock = reference::decode_attention::<Flex>(q, keys, values, &spans, shape);
        assert_close(fused, stock);
    }
}

#[test]
fn a_cache_is_written_to_as_by_stock_operations() {
    let slots = || FlexTensor::from_data(TensorData::new(vec![3i64, 9, 0], [3]));
    let tensors = || {
        [
            tensor(1, 10, 6),
            tensor(2, 10, 6),
            tensor(3, 3, 6),
            tensor(4, 3, 6),
        ]
    };
    let [keys, values, new_keys, new_values] = tensors();
    let fused = Flex::write_cache(keys, values, new_keys, new_values, slots());
    let [keys, values, new_keys, new_values] = tensors();
    let stock = reference::write_cache::<Flex>(keys, values, new_keys, new_values, slots());
    assert_close(fused.0, stock.0);
    assert_close(fused.1, stock.1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn norms_gates_and_rotations_equal_stock_operations(rows in 1usize..300, half in 1usize..20, seed in 0u64..99) {
        let width = 6 * half;
        let (x, y, grad) = (tensor(seed, rows, width), tensor(seed + 1, rows, width), tensor(seed + 2, rows, width));
        let weight = to_tensor(noise(seed + 3, width), [width]);
        assert_close(
            Flex::rms_norm(x.clone(), weight.clone(), 1e-5),
            reference::rms_norm::<Flex>(x.clone(), weight.clone(), 1e-5),
        );
        let fused = Flex::rms_norm_backward(x.clone(), weight.clone(), grad.clone(), 1e-5);
        let stock = reference::rms_norm_backward::<Flex>(x.clone(), weight, grad.clone(), 1e-5);
        assert_close(fused.0, stock.0);
        assert_close(fused.1, stock.1);
        assert_close(
            Flex::swiglu(x.clone(), y.clone()),
            reference::swiglu::<Flex>(x.clone(), y.clone()),
        );
        let fused = Flex::swiglu_backward(x.clone(), y.clone(), grad.clone());
        let stock = reference::swiglu_backward::<Flex>(x.clone(), y, grad);
        assert_close(fused.0, stock.0);
        assert_close(fused.1, stock.1);
        let (cos, sin) = (tensor(seed + 4, rows, half), tensor(seed + 5, rows, half));
        for back in [false, true] {
            assert_close(
                Flex::rotate(x.clone(), cos.clone(), sin.clone(), back),
                reference::rotate::<Flex>(x.clone(), cos.clone(), sin.clone(), back),
            );
        }
    }
}

#[test]
fn other_number_types_take_the_stock_operations() {
    let device = Device::flex();
    let x = burn::tensor::Tensor::<2>::ones([3, 4], &device).cast(DType::F64);
    let weight = burn::tensor::Tensor::<1>::ones([4], &device).cast(DType::F64);
    let normed = crate::ops::rms_norm(x, weight, 0.0);
    assert_eq!(normed.dtype(), DType::F64);
}

#[test]
fn a_linear_layer_of_few_rows_equals_the_stock_product() {
    for (rows, inputs, outputs) in [(1, 5, 3), (20, 48, 700), (64, 33, 256), (65, 7, 9)] {
        let (x, weight) = (tensor(1, rows, inputs), tensor(2, outputs, inputs));
        assert_close(
            Flex::project(x.clone(), weight.clone()),
            reference::project::<Flex>(x, weight),
        );
    }
}

#[test]
fn a_gradient_in_half_precision_is_added_to_a_sum_in_f32_without_being_rounded() {
    let half = |tensor| Flex::float_cast(tensor, FloatDType::BF16);
    let wide = |tensor| Flex::float_cast(tensor, FloatDType::F32);
    let (lhs, rhs, sum) = (
        half(tensor(1, 5, 40)),
        half(tensor(2, 40, 6)),
        tensor(3, 5, 6),
    );
    let stock = Flex::float_matmul(wide(lhs.clone()), wide(rhs.clone()));
    assert_close(Flex::wide_product(lhs.clone(), rhs.clone()), stock.clone());
    let stock = Flex::float_add(stock, sum.clone());
    assert_close(Flex::product_onto(sum, lhs, rhs), stock);

    let (x, grad, weight) = (
        half(tensor(4, 9, 6)),
        half(tensor(5, 9, 6)),
        half(Flex::float_reshape(tensor(6, 1, 6), Shape::from([6]))),
    );
    let sum = Flex::float_reshape(tensor(7, 1, 6), Shape::from([6]));
    let of_f32 = Flex::rms_norm_backward(
        wide(x.clone()),
        wide(weight.clone()),
        wide(grad.clone()),
        1e-5,
    );
    let ours = Flex::rms_norm_backward_onto(sum.clone(), x, weight, grad, 1e-5);
    assert_close(ours.1, Flex::float_add(of_f32.1, sum));
}

#[test]
fn an_embeddings_gradient_equals_the_stock_one_alone_and_added_to_another() {
    let (vocab, width) = (11, 6);
    let tokens = [3i64, 0, 3, 10, 3];
    let tokens = || FlexTensor::from_data(TensorData::new(tokens.to_vec(), [5]));
    let (grad, sum) = (tensor(1, 5, width), tensor(2, vocab, width));
    let stock = reference::embed_backward::<Flex>(vocab, tokens(), grad.clone());
    assert_close(Flex::embed_backward(vocab, tokens(), grad.clone()), stock);
    let kept = sum.clone();
    let fused = Flex::embed_backward_onto(sum.clone(), tokens(), grad.clone());
    let stock = reference::embed_backward_onto::<Flex>(sum.clone(), tokens(), grad.clone());
    assert_close(fused, stock);
    assert_close(sum, kept);
    // A transposed sum does not lie row by row.
    let turned = || Flex::float_transpose(tensor(2, width, vocab));
    let fused = Flex::embed_backward_onto(turned(), tokens(), grad.clone());
    assert_close(
        fused,
        reference::embed_backward_onto::<Flex>(turned(), tokens(), grad),
    );
}
