//! The fused CPU kernels against the plain operations, value and gradients.

use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{FloatDType, TensorData};

use super::{Also, Forward, Gradient, Inputs, Saved, Wanted, WeightLayout, flex, plain};

/// Values of the size of real logits, without a generator: a quadratic sequence modulo a prime.
fn values(len: usize, step: u64) -> Vec<f32> {
    (0..len as u64)
        .map(|i| ((i * i * step + 7 * i) % 10_007) as f32 / 5003.0 - 1.0)
        .collect()
}

fn tensor(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.to_vec()))
}

fn read(tensor: FlexTensor) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn inputs(layout: WeightLayout, scale: f32) -> Inputs<Flex> {
    let (tokens, d_model, vocab) = (37, 24, 1003);
    let shape = match layout {
        WeightLayout::InputByVocab => [d_model, vocab],
        WeightLayout::VocabByInput => [vocab, d_model],
    };
    let hidden = values(tokens * d_model, 31).into_iter().map(|x| x * scale);
    let targets: Vec<i64> = (0..tokens as i64)
        .map(|t| (t * 271) % vocab as i64)
        .collect();
    Inputs {
        hidden: tensor(hidden.collect(), &[tokens, d_model]),
        weight: tensor(values(d_model * vocab, 17), &shape),
        targets: FlexTensor::from_data(TensorData::new(targets, vec![tokens])),
        layout,
        chunk_tokens: 5,
        also: Also::LogSumSquares,
    }
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0f32, |max, x| max.max(x.abs()))
}

/// The rounding error of sums in another order, relative to the largest value.
const ROUNDING: f32 = 2e-6;

/// The rounding error of a logit, whose terms are larger than itself. A softmax changes by as much relative to itself.
fn logit_rounding(row_max: FlexTensor) -> f32 {
    4.0 * f32::EPSILON * largest(&read(row_max))
}

/// `within`: of the largest value.
fn assert_close(got: FlexTensor, want: FlexTensor, within: f32, what: &str) {
    let (got, want) = (read(got), read(want));
    assert_eq!(got.len(), want.len());
    let bound = within * largest(&want) + 1e-7;
    for (i, (a, b)) in got.iter().zip(&want).enumerate() {
        assert!((a - b).abs() <= bound, "{what}[{i}]: {a} against {b}");
    }
}

/// Sums and differences of logits.
fn assert_close_logits(got: FlexTensor, want: FlexTensor, logit_rounding: f32, what: &str) {
    let scale = largest(&read(want.clone())).max(f32::MIN_POSITIVE);
    assert_close(got, want, ROUNDING + logit_rounding / scale, what);
}

#[test]
fn fused_kernels_equal_plain_operations() {
    for layout in [WeightLayout::InputByVocab, WeightLayout::VocabByInput] {
        for scale in [0.01, 1.0, 20.0] {
            let inputs = inputs(layout, scale);
            let Forward {
                log_probs,
                row_max,
                log_sum,
                log_sum_squares,
            } = flex::forward(&inputs);
            let want = plain::forward(&inputs);
            let of_logits = logit_rounding(row_max.clone());
            assert_close_logits(log_probs, want.log_probs, of_logits, "log_probs");
            assert_close(row_max.clone(), want.row_max, ROUNDING, "row_max");
            assert_close_logits(log_sum.clone(), want.log_sum, of_logits, "log_sum");
            let [squares, want] = [log_sum_squares, want.log_sum_squares].map(Option::unwrap);
            assert_close_logits(squares, want, of_logits, "log_sum_squares");

            let grad = tensor(values(inputs.tokens(), 5), &[inputs.tokens()]);
            let saved = Saved {
                inputs,
                row_max,
                log_sum,
            };
            for (hidden, weight) in [(true, true), (true, false), (false, true)] {
                let weight = weight.then_some(FloatDType::F32);
                let wanted = Wanted { hidden, weight };
                let got: Gradient<Flex> = flex::backward(saved.clone(), grad.clone(), wanted, None);
                let want: Gradient<Flex> =
                    plain::backward(saved.clone(), grad.clone(), wanted, None);
                for (got, want, what) in [
                    (got.hidden, want.hidden, "hidden"),
                    (got.weight, want.weight, "weight"),
                ] {
                    assert_eq!(got.is_some(), want.is_some(), "{what}");
                    if let (Some(got), Some(want)) = (got, want) {
                        assert_close(got, want, ROUNDING + of_logits, what);
                    }
                }
            }
        }
    }
}

#[test]
fn the_gradient_of_a_weight_is_added_to_what_there_is() {
    for layout in [WeightLayout::InputByVocab, WeightLayout::VocabByInput] {
        let inputs = inputs(layout, 1.0);
        let weight_shape = inputs.weight.shape();
        let Forward {
            row_max, log_sum, ..
        } = flex::forward(&inputs);
        let grad = tensor(values(inputs.tokens(), 5), &[inputs.tokens()]);
        let saved = Saved {
            inputs,
            row_max,
            log_sum,
        };
        let wanted = Wanted {
            hidden: false,
            weight: Some(FloatDType::F32),
        };
        let earlier = || tensor(values(weight_shape.num_elements(), 3), &weight_shape);
        let alone = flex::backward(saved.clone(), grad.clone(), wanted, None).weight;
        let want = Flex::float_add(alone.expect("a gradient"), earlier());
        let fused = flex::backward(saved.clone(), grad.clone(), wanted, Some(earlier())).weight;
        let plain = plain::backward::<Flex>(saved, grad, wanted, Some(earlier())).weight;
        assert_close(fused.expect("a gradient"), want.clone(), ROUNDING, "fused");
        assert_close(plain.expect("a gradient"), want, ROUNDING, "plain");
    }
}
