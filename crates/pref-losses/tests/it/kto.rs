//! The KL estimate of KTO and batches without one of the two kinds.

use burn::tensor::{Bool, Device, Tensor};
use pref_losses::{KlEstimate, KtoConfig, UnpairedLogProbs};

fn vector(values: &[f32]) -> Tensor<1> {
    Tensor::from_floats(values, &Device::flex())
}

fn tracked(values: &[f32]) -> Tensor<1> {
    Tensor::from_floats(values, &Device::flex().autodiff()).require_grad()
}

fn read(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

#[test]
fn kto_gradient_does_not_flow_through_the_kl_estimate() {
    let kto = KtoConfig::default().init().unwrap();
    let mismatched = tracked(&[-10.0, -11.0]);
    let policy = tracked(&[-5.0]);
    let kl = kto.kl(mismatched.clone(), vector(&[-12.0, -12.0]));
    assert_eq!(read(kl.clone()), [1.5]);
    let log_probs = UnpairedLogProbs {
        policy: policy.clone(),
        reference: vector(&[-5.0]),
        desirable: Tensor::<1, Bool>::from_data([true], &Device::flex()),
    };
    let gradients = kto.forward(log_probs, kl).losses.sum().backward();
    assert!(policy.grad(&gradients).is_some());
    assert!(mismatched.grad(&gradients).is_none());
}

#[test]
fn kto_kl_is_never_negative_and_zero_without_rows() {
    for estimate in [KlEstimate::Mean, KlEstimate::NonZeroMean, KlEstimate::Zero] {
        let kto = KtoConfig {
            kl: estimate,
            ..KtoConfig::default()
        }
        .init()
        .unwrap();
        assert_eq!(
            read(kto.kl(vector(&[-9.0, -9.0]), vector(&[-1.0, -9.0]))),
            [0.0]
        );
        let none = Tensor::<1>::zeros([0], &Device::flex());
        assert_eq!(read(kto.kl(none.clone(), none)), [0.0]);
    }
    let kto = |kl| {
        KtoConfig {
            kl,
            ..KtoConfig::default()
        }
        .init()
        .unwrap()
    };
    let rows = || (vector(&[-4.0, -9.0]), vector(&[-8.0, -9.0]));
    let (policy, reference) = rows();
    assert_eq!(read(kto(KlEstimate::Mean).kl(policy, reference)), [2.0]);
    let (policy, reference) = rows();
    assert_eq!(
        read(kto(KlEstimate::NonZeroMean).kl(policy, reference)),
        [4.0]
    );
}

#[test]
fn one_sided_kto_batches_have_finite_losses() {
    let kto = KtoConfig::default().init().unwrap();
    for flag in [true, false] {
        let output = kto.forward(
            UnpairedLogProbs {
                policy: vector(&[-5.0, -7.0]),
                reference: vector(&[-6.0, -6.0]),
                desirable: Tensor::<1, Bool>::from_data([flag, flag], &Device::flex()),
            },
            vector(&[0.0]),
        );
        assert!(read(output.losses).iter().all(|loss| loss.is_finite()));
    }
}
