//! Sizes read off a shape are those of the model made from it.

use burn::module::Module;
use burn::tensor::Device;
use eurus_models::lora::{Adapted, LoraConfig};
use eurus_models::{Architecture, Biases, MixtureOfExperts};
use eurus_models::{Decoder, DecoderConfig, RewardModel};

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
