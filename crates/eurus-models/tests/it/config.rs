//! Fields of `config.json` as checkpoints in the wild have them.

use eurus_models::RopeScaling;
use eurus_models::{DecoderConfig, Error};
use serde_json::{Value, json};

fn read(rope_scaling: Value) -> eurus_models::Result<DecoderConfig> {
    let fields = json!({
        "model_type": "llama",
        "vocab_size": 32,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "rope_scaling": rope_scaling,
    });
    match fields {
        Value::Object(fields) => DecoderConfig::from_json(fields),
        _ => unreachable!("an object was written"),
    }
}

#[test]
fn rope_scaling_is_read_under_its_old_name_its_new_name_and_both() {
    for rope_scaling in [
        json!({"type": "linear", "factor": 2.0}),
        json!({"rope_type": "linear", "factor": 2.0}),
        json!({"type": "linear", "rope_type": "linear", "factor": 2.0}),
    ] {
        let config = read(rope_scaling).expect("a supported scaling");
        assert_eq!(config.rope_scaling, RopeScaling::Linear { factor: 2.0 });
    }
}

#[test]
fn rope_scaling_with_two_different_types_is_refused() {
    let refused = read(json!({"type": "linear", "rope_type": "llama3", "factor": 2.0}));
    assert!(matches!(
        refused,
        Err(Error::Config { field: "rope_scaling.rope_type", value, .. }) if value == "llama3"
    ));
}
