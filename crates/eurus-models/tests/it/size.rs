//! Sizes read off a shape are those of the model made from it.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use eurus_models::lora::{Adapted, LoraConfig};

use eurus_models::{
    Architecture, Biases, Decoder, DecoderConfig, MixtureOfExperts, ModulePath, RewardModel,
};

/// Shapes that differ in every part that has parameters.
fn shapes() -> Vec<(&'static str, DecoderConfig)> {
    let tied = DecoderConfig::llama(48, 16, 2, 4);
    let untied = DecoderConfig {
        tie_word_embeddings: false,
        ..tied.clone()
    };
    let grouped = DecoderConfig {
        kv_heads: 2,
        head_dim: 6,
        ..untied.clone()
    };
    let mixtral = DecoderConfig {
        architecture: Architecture::Mixtral,
        mixture: Some(MixtureOfExperts {
            experts: 4,
            experts_per_token: 2,
            auxiliary_loss_coefficient: 0.02,
        }),
        ..grouped.clone()
    };
    let qwen2 = DecoderConfig {
        architecture: Architecture::Qwen2,
        biases: Biases {
            queries_keys_values: true,
            ..Biases::default()
        },
        ..grouped.clone()
    };
    let qwen3 = DecoderConfig {
        architecture: Architecture::Qwen3,
        head_norms: true,
        ..grouped.clone()
    };
    let biased = DecoderConfig {
        biases: Biases {
            queries_keys_values: true,
            attention_output: true,
            mlp: true,
        },
        ..tied.clone()
    };
    vec![
        ("llama, tied", tied),
        ("llama, untied", untied),
        ("llama, grouped heads of another size", grouped),
        ("mixtral", mixtral),
        ("qwen2, biases of queries, keys and values", qwen2),
        ("qwen3, norms of heads", qwen3),
        ("llama, every bias", biased),
    ]
}

fn init(config: &DecoderConfig) -> Decoder {
    Decoder::init(config, 7, &Device::flex())
}

#[test]
fn the_parameters_of_a_shape_are_those_of_its_decoder() {
    for (name, config) in shapes() {
        assert_eq!(config.parameters(), init(&config).num_params(), "{name}");
    }
}

#[test]
fn a_reward_model_has_the_body_and_a_head() {
    for (name, config) in shapes() {
        let model = RewardModel::from_decoder(init(&config));
        let expected = config.body_parameters() + config.hidden_size;
        assert_eq!(expected, model.num_params(), "{name}");
    }
}

#[test]
fn the_parameters_of_adapters_are_those_put_on_the_decoder() {
    let all = LoraConfig::new(3);
    let attention = LoraConfig::new(2).with_targets(["q_proj", "v_proj"]);
    for (name, config) in shapes() {
        for adapters in [&all, &attention] {
            let base = init(&config);
            let before = base.num_params();
            let adapted = base.with_adapters(adapters, 1).expect("layers to adapt");
            let added = adapted.num_params() - before;
            assert_eq!(config.adapter_parameters(adapters), added, "{name}");
        }
    }
}

#[test]
fn a_token_meets_the_experts_that_it_goes_through() {
    let mixtral = shapes().swap_remove(3).1;
    let expert = 3 * mixtral.hidden_size * mixtral.intermediate_size;
    let router = 4 * mixtral.hidden_size;
    let dense = DecoderConfig {
        mixture: None,
        ..mixtral.clone()
    };
    let more = mixtral.layers * (expert + router);
    let expected = dense.layer_weights_per_token() + more;
    assert_eq!(mixtral.layer_weights_per_token(), expected);
}

/// Every parameter with one dimension: its name and values.
#[derive(Default)]
struct Vectors {
    path: ModulePath,
    found: Vec<(String, Vec<f32>)>,
}

impl ModuleVisitor for Vectors {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if D == 1 {
            let values = param.val().into_data().iter::<f32>().collect();
            self.found.push((self.path.name(), values));
        }
    }
}

#[test]
fn fresh_norms_scale_by_one_and_fresh_biases_add_nothing() {
    for (name, config) in shapes() {
        let mut vectors = Vectors::default();
        Decoder::init(&config, 3, &Device::flex()).visit(&mut vectors);
        assert!(!vectors.found.is_empty(), "{name}");
        for (parameter, values) in vectors.found {
            let expected = f32::from(u8::from(!parameter.ends_with("bias")));
            assert!(
                values.iter().all(|&it| it == expected),
                "{name}: {parameter}"
            );
        }
    }
}
