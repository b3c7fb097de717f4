//! From logits and hidden states to log-probs of sequences.

use burn::tensor::{Device, Int, Tensor, TensorData};
use ndarray::{Array1, Array2, Array3, ArrayView2};
use pref_losses::linear_log_probs::{
    WeightGradient, linear_log_probs, linear_log_probs_with_squares, tied_linear_log_probs,
    tied_linear_log_probs_with_squares,
};
use pref_losses::log_probs::{
    IGNORE_INDEX, SequenceReduction, cross_entropy, next_token_log_probs, sequence_log_probs,
    token_log_probs, token_log_sum_squares,
};
use pref_losses::oracle;
use proptest::prelude::*;

use super::batch::{numbers, read, vector};
use super::oracles::STEP;
use super::{check, close, differences, weighted, weights};

/// Most sequences, tokens and words.
const SIZES: [usize; 3] = [3, 6, 12];

fn sizes() -> impl Strategy<Value = [usize; 3]> {
    let [sequences, tokens, vocab] = SIZES;
    (1..=sequences, 2..=tokens, 2..=vocab).prop_map(|(s, t, v)| [s, t, v])
}

fn widen(values: &[f32]) -> Array1<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

fn ints<const D: usize>(values: &[i64], shape: [usize; D]) -> Tensor<D, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
}

#[test]
fn sequence_log_probs_equal_their_oracle() {
    let most = SIZES.iter().product();
    let inputs = (
        sizes(),
        numbers(most, 16.0),
        prop::collection::vec((any::<u16>(), any::<bool>()), most),
    );
    check("sequences", inputs, |(shape, logits, labels)| {
        let [sequences, tokens, vocab] = shape;
        let logits = &logits[..sequences * tokens * vocab];
        let words: Vec<i64> = labels[..sequences * tokens]
            .iter()
            .map(|(word, _)| i64::from(*word) % vocab as i64)
            .collect();
        let labels: Vec<i64> = words
            .iter()
            .zip(&labels)
            .map(|(&word, &(_, counts))| if counts { word } else { IGNORE_INDEX })
            .collect();
        let square = [sequences, tokens];
        let wide_words = Array2::from_shape_vec(square, words.clone()).expect("all words");
        let wide_labels = Array2::from_shape_vec(square, labels.clone()).expect("all labels");
        let cube =
            |flat: &Array1<f64>| Array3::from_shape_vec(shape, flat.to_vec()).expect("all logits");
        // All that is made of logits, one after the other.
        let oracle = |flat: &Array1<f64>| {
            let logits = cube(flat);
            let aligned = oracle::token_log_probs(logits.view(), wide_words.view());
            let (shifted, mask) = oracle::next_token_log_probs(logits.view(), wide_labels.view());
            let mut all: Vec<f64> = aligned.iter().copied().collect();
            all.extend(&oracle::sequence_sums(shifted.view(), mask.view()));
            all.extend(&oracle::sequence_means(shifted.view(), mask.view()));
            all.push(oracle::cross_entropy(shifted.view(), mask.view(), None));
            all.push(oracle::cross_entropy(shifted.view(), mask.view(), Some(7)));
            Array1::from(all)
        };

        let device = Device::flex().autodiff();
        let leaf = Tensor::<3>::from_data(TensorData::new(logits.to_vec(), shape), &device);
        let leaf = leaf.require_grad();
        let aligned = token_log_probs(leaf.clone(), ints(&words, square));
        let (shifted, mask) = next_token_log_probs(leaf.clone(), ints(&labels, square));
        let reduced = |how| sequence_log_probs(shifted.clone(), mask.clone(), how);
        let got = Tensor::cat(
            vec![
                aligned.reshape([sequences * tokens]),
                reduced(SequenceReduction::Sum),
                reduced(SequenceReduction::Mean),
                cross_entropy(shifted.clone(), mask.clone(), None),
                cross_entropy(shifted.clone(), mask.clone(), Some(7)),
            ],
            0,
        );
        let at = widen(logits);
        let want = oracle(&at);
        close("values", &read(&got), &want.to_vec())?;
        let squares = oracle::token_log_sum_squares(cube(&at).view());
        let squares: Vec<f64> = squares.iter().copied().collect();
        close(
            "squares",
            &read(&token_log_sum_squares(leaf.clone())),
            &squares,
        )?;
        let factors = vector(&weights(want.len()), &Device::flex());
        let gradients = (got * factors).sum().backward();
        let want = differences(&at, STEP, |moved| weighted(&oracle(moved)));
        close(
            "gradient",
            &read(&leaf.grad(&gradients).expect("a leaf")),
            &want,
        )
    });
}

#[test]
fn linear_log_probs_equal_their_oracle() {
    let inputs = (
        (1usize..8, 1usize..8, 2usize..40, 1usize..10),
        numbers(8 * 8, 2.0),
        numbers(8 * 40, 2.0),
        prop::collection::vec(any::<u16>(), 8),
    );
    check(
        "linear",
        inputs,
        |((tokens, d_model, vocab, chunk), hidden, weight, words)| {
            let (hidden, weight) = (&hidden[..tokens * d_model], &weight[..d_model * vocab]);
            let words: Vec<i64> = words[..tokens]
                .iter()
                .map(|&word| i64::from(word) % vocab as i64)
                .collect();
            let targets = Array1::from(words.clone());
            let oracle = |hidden: &Array1<f64>, weight: &Array1<f64>| {
                let hidden = ArrayView2::from_shape(
                    (tokens, d_model),
                    hidden.as_slice().expect("one row after the other"),
                );
                let weight = ArrayView2::from_shape(
                    (d_model, vocab),
                    weight.as_slice().expect("one row after the other"),
                );
                oracle::linear_log_probs(hidden.expect("all"), weight.expect("all"), targets.view())
            };
            let (h, w) = (widen(hidden), widen(weight));
            let values = oracle(&h, &w).to_vec();
            let squares = {
                let rows = |of: &Array1<f64>, shape| {
                    Array2::from_shape_vec(shape, of.to_vec()).expect("all numbers")
                };
                let logits = rows(&h, (tokens, d_model)).dot(&rows(&w, (d_model, vocab)));
                let logits = logits.into_shape_with_order((1, tokens, vocab));
                let squares = oracle::token_log_sum_squares(logits.expect("as many").view());
                squares.iter().copied().collect::<Vec<f64>>()
            };
            let along_hidden = differences(&h, STEP, |moved| weighted(&oracle(moved, &w)));
            let along_weight = differences(&w, STEP, |moved| weighted(&oracle(&h, moved)));

            let device = Device::flex().autodiff();
            let leaf = |values: &[f32], shape: [usize; 2]| {
                Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), &device)
                    .require_grad()
            };
            for tied in [false, true] {
                let (hidden_values, weight_values) = (hidden, weight);
                let (hidden, weight) = (
                    leaf(hidden, [tokens, d_model]),
                    leaf(weight, [d_model, vocab]),
                );
                let targets = || ints(&words, [tokens]);
                // Leaves of its own: two graphs cannot share them.
                let (own_hidden, own_weight) = (
                    leaf(hidden_values, [tokens, d_model]),
                    leaf(weight_values, [d_model, vocab]),
                );
                let (h, w) = (own_hidden.clone(), own_weight.clone());
                let (got, (same, with_squares)) = if tied {
                    let transposed = weight.clone().transpose();
                    (
                        tied_linear_log_probs(
                            hidden.clone(),
                            transposed,
                            targets(),
                            chunk,
                            WeightGradient::OfWeight,
                        ),
                        tied_linear_log_probs_with_squares(
                            h,
                            w.transpose(),
                            targets(),
                            chunk,
                            WeightGradient::OfWeight,
                        ),
                    )
                } else {
                    (
                        linear_log_probs(hidden.clone(), weight.clone(), targets(), chunk),
                        linear_log_probs_with_squares(h, w, targets(), chunk),
                    )
                };
                prop_assert_eq!(read(&same), read(&got));
                close("squares", &read(&with_squares), &squares)?;
                let factors = vector(&weights(tokens), &Device::flex());
                // What is made of the squares pulls at nothing.
                let all = (same * factors).sum() + with_squares.sum();
                let gradients = all.backward();
                close(
                    "gradient of hidden beside squares",
                    &read(&own_hidden.grad(&gradients).expect("a leaf")),
                    &along_hidden,
                )?;
                close(
                    "gradient of weight beside squares",
                    &read(&own_weight.grad(&gradients).expect("a leaf")),
                    &along_weight,
                )?;
                close("values", &read(&got), &values)?;
                let factors = vector(&weights(tokens), &Device::flex());
                let gradients = (got * factors).sum().backward();
                close(
                    "gradient of hidden",
                    &read(&hidden.grad(&gradients).expect("a leaf")),
                    &along_hidden,
                )?;
                close(
                    "gradient of weight",
                    &read(&weight.grad(&gradients).expect("a leaf")),
                    &along_weight,
                )?;
            }
            Ok(())
        },
    );
}
