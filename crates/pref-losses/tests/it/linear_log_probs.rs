//! The linear log-prob operation against logits that are really made.

use burn::tensor::{DType, Device, Int, Tensor, TensorData, activation::log_softmax};
use pref_losses::linear_log_probs::{WeightGradient, linear_log_probs, tied_linear_log_probs};
use proptest::prelude::*;

/// Deterministic values in -1..1, of the size of real hidden states after scaling.
fn values(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

struct Problem {
    hidden: Tensor<2>,
    weight: Tensor<2>,
    targets: Tensor<1, Int>,
    /// Gradient that comes in from above, different for each token.
    grad: Tensor<1>,
}

fn problem(tokens: usize, d_model: usize, vocab: usize, seed: u64) -> Problem {
    let device = Device::flex().autodiff();
    let tensor = |rows, columns, seed| {
        let data = TensorData::new(values(rows * columns, seed), [rows, columns]);
        Tensor::<2>::from_data(data, &device)
            .mul_scalar(2.0)
            .detach()
            .require_grad()
    };
    let targets: Vec<i32> = values(tokens, seed + 2)
        .iter()
        .map(|x| (((x + 1.0) * 0.5 * vocab as f32) as usize).min(vocab - 1) as i32)
        .collect();
    Problem {
        hidden: tensor(tokens, d_model, seed),
        weight: tensor(d_model, vocab, seed + 1),
        targets: Tensor::from_data(TensorData::new(targets, [tokens]), &device),
        grad: Tensor::from_data(TensorData::new(values(tokens, seed + 3), [tokens]), &device),
    }
}

/// Value and gradients of `(log_probs * grad).sum()`.
struct Answer {
    log_probs: Vec<f32>,
    hidden: Vec<f32>,
    weight: Vec<f32>,
}

fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn answer(problem: &Problem, log_probs: Tensor<1>) -> Answer {
    let grad = problem.grad.clone().cast(log_probs.dtype());
    let gradients = (log_probs.clone() * grad).sum().backward();
    Answer {
        log_probs: read(log_probs),
        hidden: read(problem.hidden.grad(&gradients).unwrap()),
        weight: read(problem.weight.grad(&gradients).unwrap()),
    }
}

/// In double precision: a gradient is a difference, and where its terms nearly cancel single precision is off by more than
/// what is tested.
fn naive(problem: &Problem) -> Tensor<1> {
    let [hidden, weight] = [&problem.hidden, &problem.weight].map(|it| it.clone().cast(DType::F64));
    let logits = hidden.matmul(weight);
    let targets = problem.targets.clone().unsqueeze_dim(1);
    log_softmax(logits, 1).gather(1, targets).squeeze_dim(1)
}

fn chunked(problem: &Problem, chunk_tokens: usize) -> Tensor<1> {
    let Problem {
        hidden,
        weight,
        targets,
        ..
    } = problem;
    linear_log_probs(
        hidden.clone(),
        weight.clone(),
        targets.clone(),
        chunk_tokens,
    )
}

/// Largest difference relative to the largest value.
fn distance(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(1e-6f32, |max, x| max.max(x.abs()));
    let error = got.iter().zip(want).fold(0.0f32, |max, (a, b)| {
        let error = (a - b).abs();
        if error.is_nan() {
            f32::INFINITY
        } else {
            max.max(error)
        }
    });
    error / scale
}

fn assert_close(got: &Answer, want: &Answer, what: &str) {
    for (name, got, want) in [
        ("log-probs", &got.log_probs, &want.log_probs),
        ("gradient of hidden", &got.hidden, &want.hidden),
        ("gradient of weight", &got.weight, &want.weight),
    ] {
        let error = distance(got, want);
        assert!(error <= 5e-6, "{what}: {name} is off by {error:e}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn it_equals_log_softmax_and_gather_for_every_chunk_size(
        tokens in 1usize..40, d_model in 1usize..20, vocab in 1usize..300, seed in 1u64..1000,
    ) {
        let problem = problem(tokens, d_model, vocab, seed);
        let want = answer(&problem, naive(&problem));
        for chunk_tokens in [0, 1, 2, 3, 7, tokens, tokens + 1, usize::MAX] {
            let got = answer(&problem, chunked(&problem, chunk_tokens));
            assert_close(&got, &want, &format!("chunks of {chunk_tokens}"));
        }
    }

    #[test]
    fn shifting_all_logits_of_a_token_changes_nothing(
        seed in 1u64..1000, shift in -20.0f32..20.0,
    ) {
        let problem = problem(6, 5, 70, seed);
        let before = read(chunked(&problem, 2));
        // Adding the same column to every column of the weight shifts each token's logits alike.
        let column = Tensor::<2>::full([5, 1], shift, &problem.weight.device());
        let weight = problem.weight.clone() + column;
        let after = linear_log_probs(problem.hidden.clone(), weight, problem.targets.clone(), 2);
        let error = distance(&read(after), &before);
        // The logits round at the size of the shift.
        prop_assert!(error <= 1e-6 * (1.0 + 10.0 * shift.abs()), "{error:e}");
    }
}

#[test]
fn gradients_are_finite_differences() {
    let problem = problem(3, 4, 9, 5);
    let exact = answer(&problem, chunked(&problem, 1));
    let objective = |hidden: Vec<f32>| {
        let device = Device::flex();
        let hidden = Tensor::<2>::from_data(TensorData::new(hidden, [3, 4]), &device);
        let (weight, targets) = (
            problem.weight.clone().inner(),
            problem.targets.clone().inner(),
        );
        let log_probs = linear_log_probs(hidden, weight, targets, 1);
        (log_probs * problem.grad.clone().inner())
            .sum()
            .into_scalar::<f32>()
    };
    let start = read(problem.hidden.clone());
    for i in 0..start.len() {
        let moved = |step: f32| {
            let mut hidden = start.clone();
            hidden[i] += step;
            objective(hidden)
        };
        let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        assert!(
            (slope - exact.hidden[i]).abs() < 1e-3,
            "{i}: {slope} {}",
            exact.hidden[i]
        );
    }
}

#[test]
fn a_tied_embedding_gives_the_same_and_its_gradient_is_the_transpose() {
    let problem = problem(17, 8, 130, 3);
    let want = answer(&problem, chunked(&problem, 4));
    let embedding = problem.weight.clone().inner().transpose();
    let embedding =
        Tensor::from_data(embedding.into_data(), &problem.hidden.device()).require_grad();
    let Problem {
        hidden, targets, ..
    } = &problem;
    let log_probs = tied_linear_log_probs(
        hidden.clone(),
        embedding.clone(),
        targets.clone(),
        4,
        WeightGradient::OfWeight,
    );
    let gradients = (log_probs.clone() * problem.grad.clone()).sum().backward();
    let got = Answer {
        log_probs: read(log_probs),
        hidden: read(hidden.grad(&gradients).unwrap()),
        weight: read(embedding.grad(&gradients).unwrap().transpose()),
    };
    assert_close(&got, &want, "tied");
}

#[test]
fn a_transposed_view_is_as_good_as_a_contiguous_weight() {
    let problem = problem(9, 8, 64, 4);
    let want = answer(&problem, chunked(&problem, 3));
    let embedding = problem.weight.clone().inner().transpose();
    let embedding =
        Tensor::from_data(embedding.into_data(), &problem.hidden.device()).require_grad();
    let view = embedding.clone().transpose();
    let log_probs = linear_log_probs(problem.hidden.clone(), view, problem.targets.clone(), 3);
    let gradients = (log_probs.clone() * problem.grad.clone()).sum().backward();
    let got = Answer {
        log_probs: read(log_probs),
        hidden: read(problem.hidden.grad(&gradients).unwrap()),
        weight: read(embedding.grad(&gradients).unwrap().transpose()),
    };
    assert_close(&got, &want, "view");
}

#[test]
fn policy_and_reference_agree_to_the_bit() {
    let problem = problem(33, 12, 257, 8);
    let policy = read(chunked(&problem, 5));
    let reference = linear_log_probs(
        problem.hidden.clone().inner(),
        problem.weight.clone().inner(),
        problem.targets.clone().inner(),
        5,
    );
    assert_eq!(policy, read(reference));
}

#[test]
fn a_frozen_factor_gets_no_gradient_and_does_not_disturb_the_other() {
    let problem = problem(7, 6, 40, 9);
    let want = answer(&problem, chunked(&problem, 2));
    let run = |hidden: Tensor<2>, weight: Tensor<2>| {
        let log_probs = linear_log_probs(hidden, weight, problem.targets.clone(), 2);
        (log_probs * problem.grad.clone()).sum().backward()
    };
    let frozen_weight = run(problem.hidden.clone(), problem.weight.clone().detach());
    assert_eq!(
        read(problem.hidden.grad(&frozen_weight).unwrap()),
        want.hidden
    );
    assert!(problem.weight.grad(&frozen_weight).is_none());
    // A tensor without autodiff is a constant too.
    let frozen_hidden = run(problem.hidden.clone().inner(), problem.weight.clone());
    assert_eq!(
        read(problem.weight.grad(&frozen_hidden).unwrap()),
        want.weight
    );
}

#[test]
fn it_works_on_a_device_with_gradient_checkpointing() {
    let problem = problem(7, 6, 40, 10);
    let want = answer(&problem, chunked(&problem, 2));
    let device = Device::flex().autodiff().gradient_checkpointing();
    let leaf = |t: &Tensor<2>| Tensor::<2>::from_data(t.to_data(), &device).require_grad();
    let (hidden, weight) = (leaf(&problem.hidden), leaf(&problem.weight));
    let targets = Tensor::<1, Int>::from_data(problem.targets.to_data(), &device);
    let grad = Tensor::<1>::from_data(problem.grad.to_data(), &device);
    let log_probs = linear_log_probs(hidden.clone() * 1.0, weight.clone(), targets, 2);
    let gradients = (log_probs.clone() * grad).sum().backward();
    let got = Answer {
        log_probs: read(log_probs),
        hidden: read(hidden.grad(&gradients).unwrap()),
        weight: read(weight.grad(&gradients).unwrap()),
    };
    assert_close(&got, &want, "checkpointed");
}

#[test]
fn bf16_factors_are_multiplied_in_f32_and_get_bf16_gradients() {
    let problem = problem(11, 16, 90, 11);
    let rounded = |t: &Tensor<2>| t.clone().inner().cast(DType::BF16);
    let (hidden, weight) = (rounded(&problem.hidden), rounded(&problem.weight));
    let exact = linear_log_probs(
        hidden.clone().cast(DType::F32),
        weight.clone().cast(DType::F32),
        problem.targets.clone().inner(),
        4,
    );
    let leaf = |t: Tensor<2>| Tensor::<2>::from_inner(t).require_grad();
    let (hidden, weight) = (leaf(hidden), leaf(weight));
    let log_probs = linear_log_probs(hidden.clone(), weight.clone(), problem.targets.clone(), 4);
    assert_eq!(log_probs.dtype(), DType::F32);
    assert_eq!(read(log_probs.clone()), read(exact));
    let gradients = (log_probs * problem.grad.clone()).sum().backward();
    for gradient in [
        hidden.grad(&gradients).unwrap(),
        weight.grad(&gradients).unwrap(),
    ] {
        assert_eq!(gradient.dtype(), DType::BF16);
        assert!(read(gradient).iter().all(|x| x.is_finite()));
    }
}

#[test]
fn no_tokens_give_no_log_probs() {
    let device = Device::flex();
    let hidden = Tensor::<2>::zeros([0, 4], &device);
    let weight = Tensor::<2>::zeros([4, 9], &device);
    let targets = Tensor::<1, Int>::from_data(TensorData::new(Vec::<i32>::new(), [0]), &device);
    assert_eq!(linear_log_probs(hidden, weight, targets, 8).dims(), [0]);
}

#[test]
fn nan_in_a_hidden_state_stays_in_its_token() {
    let problem = problem(3, 4, 50, 12);
    let mut hidden = read(problem.hidden.clone());
    hidden[5] = f32::NAN;
    let device = Device::flex();
    let hidden = Tensor::<2>::from_data(TensorData::new(hidden, [3, 4]), &device);
    let (weight, targets) = (
        problem.weight.clone().inner(),
        problem.targets.clone().inner(),
    );
    let got = read(linear_log_probs(hidden, weight, targets, 2));
    assert!(
        got[0].is_finite() && got[1].is_nan() && got[2].is_finite(),
        "{got:?}"
    );
}

#[test]
#[should_panic(expected = "target 9 of token 1 is outside the vocabulary of 9")]
fn a_target_outside_the_vocabulary_is_named() {
    let device = Device::flex();
    let hidden = Tensor::<2>::zeros([2, 4], &device);
    let weight = Tensor::<2>::zeros([4, 9], &device);
    let targets = Tensor::<1, Int>::from_data([0, 9], &device);
    linear_log_probs(hidden, weight, targets, 8);
}

#[test]
#[should_panic(expected = "expected InputByVocab with 4 inputs")]
fn a_weight_of_the_wrong_layout_is_refused() {
    let device = Device::flex();
    let hidden = Tensor::<2>::zeros([2, 4], &device);
    let weight = Tensor::<2>::zeros([9, 4], &device);
    let targets = Tensor::<1, Int>::from_data([0, 1], &device);
    linear_log_probs(hidden, weight, targets, 8);
}
