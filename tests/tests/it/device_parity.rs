//! Every device that is compiled in computes what the CPU computes in double precision with stock operations: log-probs,
//! rewards and gradients of every kind of decoder, training runs, and generated tokens.
//!
//! The CPU's fused operations are always checked. `--features eurus-tests/wgpu`, `cuda` or `tch` add the devices that these
//! bring, which must be there then; `EURUS_DEVICES=cuda` (or several, with commas) takes these alone. A device that does not pass
//! is not to be trained on.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor};
use eurus_models::generate::{Flow, Generator, Prompt, SamplingParams};
use eurus_models::{Biases, MixtureOfExperts};
use eurus_models::{
    Decoder, DecoderConfig, ForestBatch, ForestBody, ForestRewardModel, RewardModel, int_tensor,
};
use eurus_tests::parameters::{self, Named};
use eurus_train::log_probs::target_log_probs;
use eurus_train::{
    Event, Precision, PreferenceTrainer, ReferenceLogProbs, RewardTrainer, TrainingConfig,
};
use pref_losses::{
    DpoConfig, KtoConfig, NcaConfig, PreferenceLossConfig, RewardLossConfig,
    UltraInteractRewardConfig,
};
use token_forest::{Group, PackedForest, TokenTree, TrainingTree, add_mismatched};

/// f32 against f64, through a few layers.
const TOLERANCE: f64 = 1e-4;

/// Every device of this build that is asked for, by name.
fn devices() -> Vec<(&'static str, Device)> {
    let asked = std::env::var("EURUS_DEVICES").ok();
    let is_asked = |name: &str| match &asked {
        Some(asked) => asked.split(',').any(|it| it == name),
        None => true,
    };
    let mut devices = all_devices();
    devices.retain(|(name, _)| is_asked(name));
    assert!(
        !devices.is_empty(),
        "EURUS_DEVICES names no device of this build"
    );
    devices
}

fn all_devices() -> Vec<(&'static str, Device)> {
    vec![
        ("flex", Device::flex()),
        #[cfg(feature = "cuda")]
        ("cuda", Device::cuda(0)),
        #[cfg(feature = "wgpu")]
        ("wgpu", Device::wgpu(Default::default())),
        #[cfg(feature = "tch")]
        #[allow(deprecated, reason = "burn has deprecated LibTorch")]
        ("tch", Device::libtorch()),
    ]
}

/// Decoders that together have every part there is.
fn configs() -> Vec<(&'static str, DecoderConfig)> {
    let base = || {
        let mut config = DecoderConfig::llama(40, 24, 3, 4);
        config.kv_heads = 2;
        config.initializer_range = 0.2;
        config
    };
    let mut tied = base();
    tied.tie_word_embeddings = true;
    tied.head_norms = true;
    tied.biases = Biases {
        queries_keys_values: true,
        ..config_biases()
    };
    let mut window = base();
    window.sliding_window = Some(6);
    let mut experts = base();
    experts.mixture = Some(MixtureOfExperts {
        experts: 4,
        experts_per_token: 2,
        auxiliary_loss_coefficient: 0.02,
    });
    vec![
        ("tied, head norms, biases", tied),
        ("sliding window", window),
        ("experts", experts),
    ]
}

fn config_biases() -> Biases {
    DecoderConfig::llama(40, 24, 3, 4).biases
}

/// Trees of two turns with two pairs.
fn trees(count: u32) -> Vec<TrainingTree> {
    let tree = |i: u32| {
        let token = |offset: u32| 1 + (7 * i + offset) % 38;
        let mut tree = TokenTree::new(vec![token(0), token(3), 39, token(11)], false);
        let chosen = tree.push(0, vec![token(1), token(4), 0], true);
        let rejected = tree.push(0, vec![token(2), 0], true);
        let observation = tree.push(rejected, vec![token(9), token(8), 39], false);
        let right = tree.push(observation, vec![token(1), token(5), token(6), 0], true);
        let wrong = tree.push(observation, vec![token(2), token(2), 0], true);
        let pairs = vec![Group::pair(chosen, rejected), Group::pair(right, wrong)];
        TrainingTree::new(format!("tree-{i}"), &tree, pairs).expect("a whole tree")
    };
    (0..count).map(tree).collect()
}

fn forest() -> PackedForest {
    let trees = trees(4);
    PackedForest::from_trees(trees.iter().map(TrainingTree::tree)).expect("whole trees")
}

/// The number type of all parameters.
struct Cast(DType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        Param::from_mapped_value(id, tensor.cast(self.0), mapper)
    }
}

/// A device and a number type.
struct Machine<'a> {
    device: &'a Device,
    dtype: DType,
}

impl Machine<'_> {
    fn decoder(&self, config: &DecoderConfig) -> Decoder {
        Decoder::init(config, 5, self.device).map(&mut Cast(self.dtype))
    }

    fn reward_model(&self, config: &DecoderConfig) -> RewardModel {
        // A head of zeros would hide everything below it.
        let mut model = RewardModel::from_decoder(Decoder::init(config, 5, self.device));
        let weights: Vec<f32> = (0..config.hidden_size).map(|i| (i as f32).sin()).collect();
        let weights = Tensor::<1>::from_floats(weights.as_slice(), self.device);
        model.head.projection_mut().weight = Param::from_tensor(weights.unsqueeze());
        model.map(&mut Cast(self.dtype))
    }

    /// The weighted sum of the log-probs, so that every one has its own gradient.
    fn log_probs(&self, config: &DecoderConfig) -> (Vec<f64>, Named) {
        let model = self.decoder(config).train();
        let batch = ForestBatch::new(forest(), &self.device.clone().autodiff());
        let (_, auxiliary) = model.hidden_states_and_auxiliary_loss(&batch);
        let log_probs = target_log_probs(&model, &batch, 3);
        let values = read(log_probs.clone());
        let mut loss = weighted_sum(log_probs);
        if let Some(auxiliary) = auxiliary {
            loss = loss + auxiliary.cast(DType::F32);
        }
        (values, parameters::gradients(&model, &loss.backward()))
    }

    fn rewards(&self, config: &DecoderConfig) -> (Vec<f64>, Named) {
        let model = self.reward_model(config).train();
        let device = self.device.clone().autodiff();
        let batch = ForestBatch::new(forest(), &device);
        let ends: Vec<u32> = (0..batch.forest.node_count())
            .map(|node| batch.forest.end_of(node))
            .collect();
        let rewards = model.rewards(&batch, int_tensor(&ends, &device));
        let values = read(rewards.clone());
        let gradients = weighted_sum(rewards).backward();
        (values, parameters::gradients(&model, &gradients))
    }

    /// The losses of a run, and the weights it ends with.
    fn prefer(&self, loss: &PreferenceLossConfig, settings: &TrainingConfig) -> (Vec<f64>, Named) {
        let config = &configs()[0].1;
        let mut trees = trees(6);
        add_mismatched(&mut trees, 3).expect("several trees");
        let policy = self.decoder(config);
        let reference = ReferenceLogProbs::compute(&policy, &trees, settings, &mut |_| {});
        let reference = reference.expect("a reference");
        let mut losses = Vec::new();
        let trained = PreferenceTrainer::new(settings.clone(), loss)
            .expect("valid settings")
            .train(policy, &trees, &reference, &mut |event| {
                take(event, &mut losses)
            })
            .expect("training");
        (losses, parameters::parameters(&trained))
    }

    fn train_rewards(&self, settings: &TrainingConfig) -> (Vec<f64>, Named) {
        let loss = RewardLossConfig::UltraInteract(UltraInteractRewardConfig::default());
        let mut losses = Vec::new();
        let trained = RewardTrainer::new(settings.clone(), &loss)
            .expect("valid settings")
            .train(
                self.reward_model(&configs()[2].1),
                &trees(6),
                &mut |event| {
                    take(event, &mut losses);
                },
            )
            .expect("training");
        (losses, parameters::parameters(&trained))
    }
}

fn take(event: &Event, losses: &mut Vec<f64>) {
    losses.extend(event.progress().map(|step| step.loss));
}

fn read(tensor: Tensor<1>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn weighted_sum(values: Tensor<1>) -> Tensor<1> {
    let [count] = values.dims();
    let weights: Vec<f32> = (0..count).map(|i| (i as f32 * 0.7).cos()).collect();
    let weights = Tensor::<1>::from_floats(weights.as_slice(), &values.device());
    (values.clone() * weights.cast(values.dtype())).sum()
}

fn settings() -> TrainingConfig {
    TrainingConfig {
        learning_rate: 1e-3,
        weight_decay: 0.01,
        trees_per_step: 3,
        token_budget: 40,
        epochs: 3,
        log_prob_chunk: 5,
        ..TrainingConfig::default()
    }
}

fn assert_near(device: &str, what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{device}, {what}");
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * (1.0 + b.abs()),
            "{device}, {what}, number {index}: {a}, and {b} in double precision"
        );
    }
}

/// Compares by the distance of each parameter's values, relative to the largest of them.
fn assert_all_near(device: &str, what: &str, found: &Named, expected: &Named, tolerance: f64) {
    let names: Vec<_> = found.keys().collect();
    assert_eq!(
        names,
        expected.keys().collect::<Vec<_>>(),
        "{device}, {what}"
    );
    for (name, values) in found {
        let expected = &expected[name];
        let scale = expected.largest().max(1e-3);
        for (a, b) in values.entries.iter().zip(&expected.entries) {
            assert!(
                f64::from((a - b).abs()) <= tolerance * scale,
                "{device}, {what}, `{name}`: {a}, and {b} in double precision, of at most {scale}"
            );
        }
    }
}

/// Calls a check for each device in f32, with the CPU in f64 beside it.
fn on_every_device(check: impl Fn(&str, &Machine<'_>, &Machine<'_>)) {
    let double = Machine {
        device: &Device::flex(),
        dtype: DType::F64,
    };
    for (name, device) in devices() {
        let machine = Machine {
            device: &device,
            dtype: DType::F32,
        };
        check(name, &machine, &double);
    }
}

#[test]
fn log_probs_and_their_gradients_are_those_of_double_precision() {
    on_every_device(|name, machine, double| {
        for (what, config) in configs() {
            let (values, gradients) = machine.log_probs(&config);
            let (expected, expected_gradients) = double.log_probs(&config);
            assert_near(name, what, &values, &expected, TOLERANCE);
            assert_all_near(name, what, &gradients, &expected_gradients, TOLERANCE);
        }
    });
}

#[test]
fn rewards_and_their_gradients_are_those_of_double_precision() {
    on_every_device(|name, machine, double| {
        for (what, config) in configs() {
            let (values, gradients) = machine.rewards(&config);
            let (expected, expected_gradients) = double.rewards(&config);
            assert_near(name, what, &values, &expected, TOLERANCE);
            assert_all_near(name, what, &gradients, &expected_gradients, TOLERANCE);
        }
    });
}

#[test]
fn runs_of_the_trainers_are_those_of_double_precision() {
    let losses = [
        PreferenceLossConfig::Dpo(DpoConfig::default()),
        PreferenceLossConfig::Kto(KtoConfig::default()),
        PreferenceLossConfig::Nca(NcaConfig::default()),
    ];
    on_every_device(|name, machine, double| {
        for recompute_activations in [false, true] {
            let settings = TrainingConfig {
                recompute_activations,
                ..settings()
            };
            for loss in &losses {
                let (values, _) = machine.prefer(loss, &settings);
                let (expected, _) = double.prefer(loss, &settings);
                assert_eq!(values.len(), 6);
                assert_near(name, loss.name(), &values, &expected, TOLERANCE);
            }
            let (values, _) = machine.train_rewards(&settings);
            let (expected, _) = double.train_rewards(&settings);
            assert_near(name, "reward model", &values, &expected, TOLERANCE);
        }
    });
}

/// AdamW divides by the root of a gradient's mean square: where that is nearly zero, rounding decides which way a weight
/// goes, by a learning rate at most.
#[test]
fn trained_weights_are_those_of_double_precision() {
    let settings = settings();
    let dpo = PreferenceLossConfig::Dpo(DpoConfig::default());
    on_every_device(|name, machine, double| {
        let (_, weights) = machine.prefer(&dpo, &settings);
        let (_, expected) = double.prefer(&dpo, &settings);
        let furthest = 2.0 * settings.learning_rate * 6.0;
        for (parameter, values) in &weights {
            let pairs = values.entries.iter().zip(&expected[parameter].entries);
            let distances: Vec<f64> = pairs.map(|(a, b)| f64::from((a - b).abs())).collect();
            let mean = distances.iter().sum::<f64>() / distances.len() as f64;
            let most = distances.iter().fold(0.0f64, |most, &it| most.max(it));
            assert!(mean < 1e-5, "{name}, `{parameter}`: {mean} on average");
            assert!(most < furthest, "{name}, `{parameter}`: {most}");
        }
    });
}

/// Not every device can: WebGPU has no bfloat16.
#[test]
fn mixed_precision_follows_double_precision_where_the_device_has_it() {
    let dpo = PreferenceLossConfig::Dpo(DpoConfig::default());
    let mixed = TrainingConfig {
        precision: Precision::Bf16,
        ..settings()
    };
    on_every_device(|name, machine, double| {
        if !machine.device.supports_dtype(DType::BF16) {
            // The trainers refuse it there.
            return;
        }
        let (values, _) = machine.prefer(&dpo, &mixed);
        let (expected, _) = double.prefer(&dpo, &settings());
        assert_near(name, "bf16", &values, &expected, 0.02);
    });
}

#[test]
fn generated_tokens_are_those_of_double_precision() {
    let prompts: Vec<Prompt> = [vec![1, 2, 3], vec![4], vec![5, 6, 7, 8]]
        .into_iter()
        .map(|tokens| Prompt::new(tokens, 2, 1))
        .collect();
    on_every_device(|name, machine, double| {
        for (what, config) in configs() {
            let generate = |machine: &Machine<'_>| {
                let model = machine.decoder(&config);
                let generator = Generator::new(&model, vec![0]);
                let params = SamplingParams::greedy(12);
                let all = generator.generate(&prompts, &params, &mut |_| Flow::Continue);
                all.expect("it generates")
            };
            let (found, expected) = (generate(machine), generate(double));
            for (a, b) in found.iter().flatten().zip(expected.iter().flatten()) {
                assert_eq!(a.tokens, b.tokens, "{name}, {what}");
                let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect();
                let (a, b): (Vec<f64>, Vec<f64>) = (wide(&a.log_probs), wide(&b.log_probs));
                assert_near(name, what, &a, &b, TOLERANCE);
            }
        }
    });
}
