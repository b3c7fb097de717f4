//! Low-rank adapters: nothing at first, merged and taken off again, and in PEFT's folders.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Distribution, Tensor};
use eurus_models::lora::{Adapted, AdapterFolder, LoraConfig};
use eurus_models::{Architecture, MixtureOfExperts};
use eurus_models::{
    Decoder, DecoderConfig, Error, ForestBatch, ForestBody, ForestModel, ForestRewardModel,
    RewardModel, int_tensor, ops,
};
use token_forest::{PackedForest, TokenTree};

fn shape() -> DecoderConfig {
    let mut config = DecoderConfig::llama(32, 16, 2, 4);
    config.initializer_range = 0.2;
    config
}

fn base(config: &DecoderConfig) -> Decoder {
    Decoder::init(config, 5, &Device::flex())
}

fn batch(device: &Device) -> ForestBatch {
    let mut tree = TokenTree::new(vec![1, 7, 9], false);
    tree.push(0, vec![4, 2], true);
    tree.push(0, vec![8], true);
    let forest = PackedForest::from_trees([&tree]).expect("a whole tree");
    ForestBatch::new(forest, device)
}

fn logits(model: &Decoder) -> Vec<f32> {
    let device = model.output_weight().device();
    let hidden = model.hidden_states(&batch(&device));
    let logits = ops::project(hidden, model.output_weight());
    logits.into_data().iter().collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

/// Adapters as training would leave them: no update is zero any more.
fn trained(config: &LoraConfig) -> Decoder {
    let mut model = base(&shape()).with_adapters(config, 3).expect("it fits");
    model.for_each_linear(&mut |_, linear| {
        if let Some(adapter) = &mut linear.adapter {
            let noise = Distribution::Normal(0.0, 0.3);
            adapter.up = adapter.up.clone().map(|up| up.random_like(noise));
        }
    });
    model
}

#[test]
fn fresh_adapters_change_nothing() {
    let base = base(&shape());
    let adapted = base
        .clone()
        .with_adapters(&LoraConfig::new(4), 3)
        .expect("it fits");
    assert_eq!(adapted.adapters().len(), 2 * 7);
    assert_eq!(logits(&adapted), logits(&base));
}

#[test]
fn a_merged_model_computes_what_the_adapted_one_does() {
    let base = base(&shape());
    for config in [
        LoraConfig::new(4).with_targets(["q_proj", "down_proj"]),
        LoraConfig {
            rank_stabilized: true,
            ..LoraConfig::new(2)
        },
    ] {
        let adapted = trained(&config);
        let with_adapters = logits(&adapted);
        assert!(largest_difference(&with_adapters, &logits(&base)) > 1e-2);
        let merged = adapted.merged();
        assert!(merged.adapters().is_empty());
        assert!(largest_difference(&with_adapters, &logits(&merged)) < 2e-5);
        let unmerged = adapted.unmerged(&merged);
        assert!(largest_difference(&logits(&unmerged), &logits(&base)) < 2e-5);
        assert_eq!(logits(&adapted.without_adapters()), logits(&base));
    }
}

#[test]
fn only_adapters_get_gradients() {
    let device = Device::flex().autodiff();
    let model = Decoder::init(&shape(), 5, &device)
        .with_adapters(&LoraConfig::new(2).with_targets(["v_proj"]), 3)
        .expect("it fits");
    let gradients = model.hidden_states(&batch(&device)).sum().backward();

    struct Count<'a> {
        gradients: &'a burn::tensor::Gradients,
        with: usize,
        without: usize,
    }
    impl ModuleVisitor for Count<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            match param.val().grad(self.gradients) {
                Some(_) => self.with += 1,
                None => self.without += 1,
            }
        }
    }
    let mut count = Count {
        gradients: &gradients,
        with: 0,
        without: 0,
    };
    model.visit(&mut count);
    assert_eq!(count.with, 2 * 2, "up and down in two layers");
    assert_eq!(count.without, 2 * 9 + 2, "the base");
}

#[test]
fn experts_can_be_adapted() {
    let mut config = shape();
    config.architecture = Architecture::Mixtral;
    config.mixture = Some(MixtureOfExperts {
        experts: 4,
        experts_per_token: 2,
        auxiliary_loss_coefficient: 0.0,
    });
    let targets = LoraConfig::new(2).with_targets(["w1", "w2", "w3"]);
    let adapted = base(&config).with_adapters(&targets, 3).expect("it fits");
    assert_eq!(adapted.adapters().len(), 2 * 4 * 3);
}

#[test]
fn adapters_come_back_from_their_folder() {
    let config = LoraConfig::new(4)
        .with_alpha(6.0)
        .with_targets(["k_proj", "up_proj"]);
    let adapted = trained(&config);
    let folder = tempfile::tempdir().expect("a folder");
    let folder = AdapterFolder::new(folder.path().join("adapter"));
    folder
        .save(&adapted, &config, "base/model")
        .expect("it is written");
    let (loaded, again) = folder
        .load(base(&shape()), &Device::flex())
        .expect("it is read");
    assert_eq!(again, config);
    assert_eq!(logits(&loaded), logits(&adapted));
}

#[test]
fn the_head_of_a_reward_model_travels_with_its_adapters() {
    let device = Device::flex();
    let config = LoraConfig::new(2);
    let mut adapted = RewardModel::from_decoder(base(&shape()))
        .with_adapters(&config, 3)
        .expect("it fits");
    adapted.set_head(Tensor::random(
        [1, 16],
        Distribution::Normal(0.0, 1.0),
        &device,
    ));
    let folder = tempfile::tempdir().expect("a folder");
    let folder = AdapterFolder::new(folder.path());
    folder
        .save(&adapted, &config, "base/model")
        .expect("it is written");
    let (loaded, _) = folder
        .load(RewardModel::from_decoder(base(&shape())), &device)
        .expect("it is read");
    let rewards = |model: &RewardModel| -> Vec<f32> {
        let tokens = int_tensor(&[4, 5], &device);
        model
            .rewards(&batch(&device), tokens)
            .into_data()
            .iter()
            .collect()
    };
    assert_eq!(rewards(&loaded), rewards(&adapted));
    assert!(rewards(&loaded)[0] != 0.0);
}

#[test]
fn folders_that_do_not_fit_are_refused_with_the_reason() {
    let config = LoraConfig::new(4).with_targets(["k_proj"]);
    let adapted = trained(&config);
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = AdapterFolder::new(temporary.path());
    let problem = |error: Error| error.to_string();
    let load = |model: Decoder| folder.load(model, &Device::flex()).map(|_| ());

    assert!(
        matches!(load(base(&shape())), Err(Error::Io { .. })),
        "no folder yet"
    );
    folder
        .save(&adapted, &config, "base")
        .expect("it is written");

    let mut wider = shape();
    wider.hidden_size = 32;
    let error = load(base(&wider))
        .map_err(problem)
        .expect_err("another width");
    assert!(error.contains("model.layers.0.self_attn.k_proj"), "{error}");

    let mut shallow = shape();
    shallow.layers = 1;
    let error = load(base(&shallow))
        .map_err(problem)
        .expect_err("one layer too many");
    assert!(error.contains("belong to no layer"), "{error}");

    let path = temporary.path().join("adapter_config.json");
    let text = std::fs::read_to_string(&path).expect("it was written");
    std::fs::write(&path, text.replace("\"LORA\"", "\"IA3\"")).expect("it can be changed");
    let error = load(base(&shape())).map_err(problem).expect_err("not LoRA");
    assert!(error.contains("peft_type"), "{error}");

    let unknown = base(&shape()).with_adapters(&LoraConfig::new(4).with_targets(["qproj"]), 1);
    let error = unknown
        .map(|_| ())
        .map_err(problem)
        .expect_err("no such layer");
    assert!(
        error.contains("`qproj`") && error.contains("q_proj"),
        "{error}"
    );
}
