//! Mixed precision: bfloat16 computes, and nothing that must be exact is rounded to it.

use crate::common::{imitated, model, trees, weights};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Tensor};
use eurus_models::MixtureOfExperts;
use eurus_models::{Decoder, DecoderConfig, RewardModel};
use eurus_train::{
    Error, Event, Precision, PreferenceTrainer, ReferenceCache, ReferenceKey, ReferenceLogProbs,
    RewardTrainer, SftTrainer, Snapshots, TrainingConfig,
};
use pref_losses::{
    DpoConfig, KtoConfig, PreferenceLossConfig, RewardLossConfig, UltraInteractRewardConfig,
};
use token_forest::add_mismatched;

fn settings(precision: Precision) -> TrainingConfig {
    TrainingConfig {
        learning_rate: 1e-3,
        trees_per_step: 4,
        epochs: 5,
        precision,
        ..TrainingConfig::default()
    }
}

/// A run's losses, and the weights it ends with.
type Run = (Vec<f64>, Vec<f32>);

fn losses_of(events: &[Event]) -> Vec<f64> {
    let progress = events.iter().filter_map(Event::progress);
    progress.map(|step| step.loss).collect()
}

fn prefer(
    policy: Decoder,
    loss: &PreferenceLossConfig,
    settings: &TrainingConfig,
    snapshots: Option<Snapshots>,
) -> Run {
    let mut trees = trees(8);
    add_mismatched(&mut trees, 3).expect("several trees");
    let mut events = Vec::new();
    let reference = ReferenceLogProbs::compute(&policy, &trees, settings, &mut |_| {});
    let trained = PreferenceTrainer::new(settings.clone(), loss)
        .and_then(|it| it.with_snapshots(snapshots))
        .expect("valid settings")
        .train(policy, &trees, &reference.expect("a reference"), &mut |e| {
            events.push(e.clone());
        });
    (losses_of(&events), weights(&trained.expect("training")))
}

fn dpo() -> PreferenceLossConfig {
    PreferenceLossConfig::Dpo(DpoConfig::default())
}

fn sft(settings: &TrainingConfig) -> Run {
    let mut events = Vec::new();
    let trained = SftTrainer::new(settings.clone())
        .expect("valid settings")
        .train(model(2), &imitated(8), &mut |e| events.push(e.clone()));
    (losses_of(&events), weights(&trained.expect("training")))
}

fn reward(settings: &TrainingConfig) -> Run {
    let loss = RewardLossConfig::UltraInteract(UltraInteractRewardConfig::default());
    let mut events = Vec::new();
    let trained = RewardTrainer::new(settings.clone(), &loss)
        .expect("valid settings")
        .train(RewardModel::from_decoder(model(2)), &trees(8), &mut |e| {
            events.push(e.clone());
        });
    (losses_of(&events), weights(&trained.expect("training")))
}

/// A mixture of experts with a balancing loss.
fn mixtral() -> Decoder {
    let mut config = DecoderConfig::llama(32, 24, 2, 4);
    config.initializer_range = 0.2;
    config.mixture = Some(MixtureOfExperts {
        experts: 4,
        experts_per_token: 2,
        auxiliary_loss_coefficient: 0.02,
    });
    Decoder::init(&config, 3, &Device::flex())
}

#[test]
fn ten_losses_follow_those_of_full_precision() {
    let kto = PreferenceLossConfig::Kto(KtoConfig::default());
    let recomputed = |settings: &TrainingConfig| TrainingConfig {
        recompute_activations: true,
        ..settings.clone()
    };
    type Train<'a> = (&'a str, Box<dyn Fn(&TrainingConfig) -> Run + 'a>);
    let runs: [Train<'_>; 6] = [
        ("sft", Box::new(sft)),
        ("dpo", Box::new(|it| prefer(model(5), &dpo(), it, None))),
        ("kto", Box::new(|it| prefer(model(5), &kto, it, None))),
        ("reward model", Box::new(reward)),
        (
            "experts",
            Box::new(|it| prefer(mixtral(), &dpo(), it, None)),
        ),
        (
            "experts, recomputed",
            Box::new(|it| prefer(mixtral(), &dpo(), &recomputed(it), None)),
        ),
    ];
    for (name, run) in runs {
        let full = run(&settings(Precision::Full)).0;
        let mixed = run(&settings(Precision::Bf16)).0;
        assert_eq!((full.len(), mixed.len()), (10, 10));
        assert!(full != mixed, "{name}: bfloat16 computed");
        for (a, b) in full.iter().zip(&mixed) {
            // 8 bits of mantissa, a few layers deep.
            assert!(
                (a - b).abs() < 0.02 * (1.0 + a.abs()),
                "{name}: {full:?} {mixed:?}"
            );
        }
        assert!(mixed[9] < mixed[0], "{name}: {mixed:?}");
    }
}

#[test]
fn policy_and_reference_compute_the_same_at_the_start() {
    let (losses, _) = prefer(model(5), &dpo(), &settings(Precision::Bf16), None);
    assert!((losses[0] - 2f64.ln()).abs() < 1e-6, "{losses:?}");
}

/// How many parameters differ between two models, as they are and as bfloat16.
fn moved(before: &[f32], after: &[f32]) -> (usize, usize) {
    let rounded = |weights: &[f32]| -> Vec<f32> {
        let weights = Tensor::<1>::from_floats(weights, &Device::flex());
        let data = weights.cast(DType::BF16).into_data();
        data.iter::<f32>().collect()
    };
    let differ = |a: &[f32], b: &[f32]| a.iter().zip(b).filter(|(a, b)| a != b).count();
    (
        differ(before, after),
        differ(&rounded(before), &rounded(after)),
    )
}

#[test]
fn updates_that_bfloat16_would_lose_are_kept() {
    let settings = TrainingConfig {
        learning_rate: 5e-7,
        ..settings(Precision::Bf16)
    };
    let before = weights(&model(5));
    let (_, after) = prefer(model(5), &dpo(), &settings, None);
    let (kept, seen_in_half) = moved(&before, &after);
    assert!(kept > before.len() / 2, "{kept} of {}", before.len());
    assert!(
        seen_in_half < before.len() / 20,
        "{seen_in_half} of {}",
        before.len()
    );
}

struct Types(Vec<DType>);

impl ModuleVisitor for Types {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().dtype());
    }
}

#[test]
fn the_trained_model_has_weights_of_single_precision() {
    let trained = SftTrainer::new(settings(Precision::Bf16))
        .expect("valid settings")
        .train(model(2), &imitated(4), &mut |_| {})
        .expect("training");
    let mut types = Types(Vec::new());
    trained.visit(&mut types);
    assert!(types.0.iter().all(|&dtype| dtype == DType::F32));
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one_bit_for_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(Precision::Bf16);
    let snapshots = || {
        Snapshots::new(folder.path())
            .with_every_steps(3)
            .with_keep(9)
    };
    let whole = prefer(model(5), &dpo(), &settings, Some(snapshots()));
    let later: Vec<_> = std::fs::read_dir(folder.path())
        .expect("snapshots")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| !path.ends_with("step-00000003"))
        .collect();
    assert!(!later.is_empty());
    for path in later {
        std::fs::remove_dir_all(path).expect("removed");
    }
    let resumed = snapshots().with_resume(true);
    let resumed = prefer(model(5), &dpo(), &settings, Some(resumed));
    assert_eq!(resumed.0, whole.0[3..]);
    assert_eq!(resumed.1, whole.1);
}

#[test]
fn a_reference_file_of_the_other_precision_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (policy, trees) = (model(5), trees(2));
    let cache = ReferenceCache::new(
        folder.path().join("reference.jsonl"),
        ReferenceKey::new(&policy, "none"),
    );
    let compute = |precision| {
        let dpo = PreferenceLossConfig::Dpo(DpoConfig::default());
        let trainer = PreferenceTrainer::new(settings(precision), &dpo).expect("valid settings");
        trainer.reference(&policy, &trees, Some(&cache), &mut |_| {})
    };
    let mixed = compute(Precision::Bf16).expect("a reference");
    assert_eq!(compute(Precision::Bf16).expect("a reference"), mixed);
    let refused = compute(Precision::Full).expect_err("another number type");
    assert!(matches!(refused, Error::StaleCache { .. }));
    assert!(refused.to_string().contains("number type"), "{refused}");
}
