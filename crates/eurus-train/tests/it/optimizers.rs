//! The updates of the optimizers, beside the papers' formulas written once more for single numbers in f64.

use std::collections::HashMap;
use std::fs;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use eurus_models::{Biases, Decoder, DecoderConfig, ForestBatch};
use eurus_train::log_probs::target_log_probs;
use eurus_train::{
    Decay, Error, Event, Optimizer, Ranks, SftTrainer, Snapshots, TrainingConfig, WeightDecayOn,
};
use token_forest::{PackedForest, TrainingTree};

use crate::common::{imitated, on_ranks, weights};

const STEPS: usize = 4;

/// A model with norms and biases.
fn model() -> Decoder {
    let mut config = DecoderConfig::llama(32, 24, 2, 4);
    config.initializer_range = 0.2;
    config.biases = Biases {
        queries_keys_values: true,
        ..Biases::default()
    };
    Decoder::init(&config, 3, &Device::flex())
}

/// One tree a step, the same at each.
fn settings(optimizer: Optimizer, weight_decay_on: WeightDecayOn) -> TrainingConfig {
    TrainingConfig {
        optimizer,
        weight_decay: 0.1,
        weight_decay_on,
        beta_1: 0.8,
        beta_2: 0.95,
        epsilon: 1e-4,
        learning_rate: 2e-2,
        decay: Decay::Constant,
        warmup_ratio: 0.0,
        max_grad_norm: 0.5,
        trees_per_step: 1,
        epochs: STEPS,
        ..TrainingConfig::default()
    }
}

/// What the formulas keep of a parameter.
#[derive(Default)]
struct Kept {
    first: Vec<f64>,
    second: Vec<f64>,
    updates: i32,
}

/// Algorithm 2 of arXiv 1711.05101, number by number.
fn adamw(kept: &mut Kept, values: &mut [f64], gradient: &[f64], decay: f64, of: &TrainingConfig) {
    let [b1, b2, epsilon] = [of.beta_1, of.beta_2, of.epsilon].map(f64::from);
    kept.updates += 1;
    kept.first.resize(values.len(), 0.0);
    kept.second.resize(values.len(), 0.0);
    for (i, g) in gradient.iter().enumerate() {
        kept.first[i] = b1 * kept.first[i] + (1.0 - b1) * g;
        kept.second[i] = b2 * kept.second[i] + (1.0 - b2) * g * g;
        let m = kept.first[i] / (1.0 - b1.powi(kept.updates));
        let v = kept.second[i] / (1.0 - b2.powi(kept.updates));
        values[i] -= of.learning_rate * (m / (v.sqrt() + epsilon) + decay * values[i]);
    }
}

/// Algorithm 4 of arXiv 1804.04235 for a matrix of so many columns, number by number; `None` is for a vector, whose second moment
/// is not factored.
fn adafactor(
    kept: &mut Kept,
    values: &mut [f64],
    gradient: &[f64],
    columns: Option<usize>,
    decay: f64,
    of: &TrainingConfig,
) {
    kept.updates += 1;
    let b2 = 1.0 - f64::from(kept.updates).powf(-0.8);
    let square = |i: usize| gradient[i] * gradient[i] + 1e-30;
    let second: Vec<f64> = match columns {
        None => {
            kept.second.resize(values.len(), 0.0);
            for i in 0..values.len() {
                kept.second[i] = b2 * kept.second[i] + (1.0 - b2) * square(i);
            }
            kept.second.clone()
        }
        Some(columns) => {
            let rows = values.len() / columns;
            // The paper's sums R and C; V = R C / (1 R).
            kept.first.resize(rows, 0.0);
            kept.second.resize(columns, 0.0);
            for r in 0..rows {
                let sum: f64 = (0..columns).map(|c| square(r * columns + c)).sum();
                kept.first[r] = b2 * kept.first[r] + (1.0 - b2) * sum;
            }
            for c in 0..columns {
                let sum: f64 = (0..rows).map(|r| square(r * columns + c)).sum();
                kept.second[c] = b2 * kept.second[c] + (1.0 - b2) * sum;
            }
            let total: f64 = kept.first.iter().sum();
            let entry = |i: usize| kept.first[i / columns] * kept.second[i % columns] / total;
            (0..values.len()).map(entry).collect()
        }
    };
    let update: Vec<f64> = gradient
        .iter()
        .zip(&second)
        .map(|(g, v)| g / v.sqrt())
        .collect();
    let mean = update.iter().map(|u| u * u).sum::<f64>() / update.len() as f64;
    let clip = mean.sqrt().max(1.0);
    for (value, update) in values.iter_mut().zip(update) {
        *value -= of.learning_rate * (update / clip + decay * *value);
    }
}

/// Moves every parameter by the formulas.
struct ByHand<'a> {
    settings: &'a TrainingConfig,
    gradients: GradientsParams,
    factor: f64,
    kept: &'a mut HashMap<ParamId, Kept>,
}

impl ModuleMapper for ByHand<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let gradient = self.gradients.remove::<D>(id).expect("a gradient");
        let gradient: Vec<f64> = gradient.into_data().iter::<f64>().collect();
        let gradient: Vec<f64> = gradient.into_iter().map(|it| it * self.factor).collect();
        let dims = tensor.dims();
        let mut values: Vec<f64> = tensor.clone().into_data().iter::<f64>().collect();
        let is_decayed = D > 1 || self.settings.weight_decay_on == WeightDecayOn::All;
        let decay = if is_decayed {
            f64::from(self.settings.weight_decay)
        } else {
            0.0
        };
        let kept = self.kept.entry(id).or_default();
        match self.settings.optimizer {
            Optimizer::Adamw => adamw(kept, &mut values, &gradient, decay, self.settings),
            Optimizer::Adafactor => {
                let columns = (D > 1).then(|| dims[D - 1]);
                adafactor(kept, &mut values, &gradient, columns, decay, self.settings);
            }
        }
        let values: Vec<f32> = values.into_iter().map(|it| it as f32).collect();
        let moved = Tensor::from_data(TensorData::new(values, dims), &tensor.device());
        Param::from_mapped_value(id, moved.require_grad(), mapper)
    }
}

/// Weights after some steps on one tree, and the norms of its gradients.
fn by_hand(tree: &TrainingTree, settings: &TrainingConfig) -> (Vec<f32>, Vec<f64>) {
    let device = Device::flex().autodiff();
    let forest = PackedForest::from_trees([tree.tree()]).expect("a tree");
    let batch = ForestBatch::new(forest, &device);
    let (mut model, mut kept, mut norms) = (model().train(), HashMap::new(), Vec::new());
    for _ in 0..STEPS {
        let loss = target_log_probs(&model, &batch, 64).mean().neg();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let norm = norm_of(&model, &gradients);
        norms.push(norm);
        model = model.map(&mut ByHand {
            settings,
            gradients,
            factor: (settings.max_grad_norm / (norm + 1e-6)).min(1.0),
            kept: &mut kept,
        });
    }
    (weights(&model.valid()), norms)
}

/// The root of the sum of all squares.
fn norm_of(model: &Decoder, gradients: &GradientsParams) -> f64 {
    struct Squares<'a>(&'a GradientsParams, f64);
    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = self.0.get::<D>(param.id).expect("a gradient").into_data();
            self.1 += gradient.iter::<f64>().map(|it| it * it).sum::<f64>();
        }
    }
    let mut squares = Squares(gradients, 0.0);
    model.visit(&mut squares);
    squares.1.sqrt()
}

fn train(
    trees: &[TrainingTree],
    settings: &TrainingConfig,
    snapshots: Option<Snapshots>,
    ranks: Ranks,
) -> Result<(Vec<f32>, Vec<Event>), Error> {
    let mut events = Vec::new();
    let trained = SftTrainer::new(settings.clone())?
        .with_snapshots(snapshots)?
        .with_ranks(ranks)
        .train(model(), trees, &mut |event| events.push(event.clone()))?;
    Ok((weights(&trained), events))
}

fn losses(events: &[Event]) -> Vec<f64> {
    let losses = events.iter().filter_map(Event::progress);
    losses.map(|step| step.loss).collect()
}

#[test]
fn both_optimizers_move_all_parameters_as_the_formulas_of_their_papers() {
    let trees = imitated(1);
    for optimizer in [Optimizer::Adamw, Optimizer::Adafactor] {
        let decays = [WeightDecayOn::Matrices, WeightDecayOn::All];
        let runs = decays.map(|weight_decay_on| {
            let settings = settings(optimizer, weight_decay_on);
            let (expected, norms) = by_hand(&trees[0], &settings);
            assert!(
                norms[0] > settings.max_grad_norm,
                "it is clipped: {norms:?}"
            );
            let (got, _) = train(&trees, &settings, None, Ranks::default()).expect("it trains");
            for (place, (a, b)) in got.iter().zip(&expected).enumerate() {
                assert!(
                    (a - b).abs() < 1e-5 * (1.0 + b.abs()),
                    "{optimizer:?}, decay on {weight_decay_on:?}, weight {place}: {a}, by hand {b}"
                );
            }
            got
        });
        assert_ne!(runs[0], runs[1], "norms and biases are decayed if asked");
    }
}

#[test]
fn adafactor_learns_what_adamw_learns() {
    let trees = imitated(8);
    let end = |optimizer| {
        let settings = TrainingConfig {
            trees_per_step: 4,
            epochs: 60,
            weight_decay: 0.0,
            ..settings(optimizer, WeightDecayOn::Matrices)
        };
        let (_, events) = train(&trees, &settings, None, Ranks::default()).expect("it trains");
        let losses = losses(&events);
        (losses[0], losses[losses.len() - 1])
    };
    let (first, adamw) = end(Optimizer::Adamw);
    let (_, adafactor) = end(Optimizer::Adafactor);
    // Several answers to one prompt are imitated, so the least loss is above 0.
    assert!(first > 3.0 && adamw < 0.15 * first, "{first} {adamw}");
    assert!((adafactor - adamw).abs() < 0.1, "{adafactor} {adamw}");
}

#[test]
fn a_run_with_adafactor_goes_on_bit_for_bit_and_not_with_another_optimizer() {
    let trees = imitated(4);
    let of = |optimizer| settings(optimizer, WeightDecayOn::Matrices);
    let all = 4 * STEPS;
    let alone = Ranks::default();
    let (whole, _) = train(&trees, &of(Optimizer::Adafactor), None, alone).expect("it trains");
    for after in [1, 7, all - 1] {
        let folder = tempfile::tempdir().expect("a folder");
        let every = Snapshots::new(folder.path())
            .with_every_steps(1)
            .with_keep(all);
        let go_on = |optimizer| {
            let snapshots = Some(every.clone().with_resume(true));
            train(&trees, &of(optimizer), snapshots, Ranks::default())
        };
        let settings = of(Optimizer::Adafactor);
        train(&trees, &settings, Some(every.clone()), Ranks::default()).expect("it trains");
        for later in after + 1..=all {
            let name = format!("step-{later:08}");
            fs::remove_dir_all(folder.path().join(name)).expect("every step has a snapshot");
        }
        let refused = go_on(Optimizer::Adamw)
            .map(|_| ())
            .expect_err("another run");
        let difference = "optimizer was \"adafactor\" and is \"adamw\"";
        assert!(refused.to_string().contains(difference), "{refused}");
        let (resumed, events) = go_on(Optimizer::Adafactor).expect("it goes on");
        assert_eq!(losses(&events).len(), all - after);
        assert!(resumed == whole, "gone on after step {after}");
    }
}

#[test]
fn adafactor_is_the_same_on_any_number_of_ranks() {
    let trees = imitated(6);
    let settings = TrainingConfig {
        trees_per_step: 3,
        ..settings(Optimizer::Adafactor, WeightDecayOn::Matrices)
    };
    let run = |ranks| train(&trees, &settings, None, ranks).expect("it trains");
    let (_, alone) = run(Ranks::default());
    for size in [2, 3] {
        let runs = on_ranks(size, run);
        for (weights, events) in &runs {
            assert!(*weights == runs[0].0, "all ranks end with one model");
            for (a, b) in losses(&alone).iter().zip(losses(events)) {
                assert!((a - b).abs() < 1e-4, "{a} alone, {b} on {size} ranks");
            }
        }
    }
}
