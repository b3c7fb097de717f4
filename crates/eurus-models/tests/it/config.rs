//! Fields of `config.json` as checkpoints in the wild have them: each is used or refused by name.

use eurus_models::rope::Frequencies;
use eurus_models::{Architecture, DecoderConfig, Error, RopeScaling, Yarn};
use serde_json::{Value, json};

/// A Llama with heads of 8 features and a context of 2048, with some fields replaced or added.
fn read(changes: &Value) -> eurus_models::Result<DecoderConfig> {
    let fields = json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": 32,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
    });
    let (Value::Object(mut fields), Value::Object(changes)) = (fields, changes) else {
        unreachable!("objects were written")
    };
    fields.extend(changes.clone());
    DecoderConfig::from_json(fields)
}

fn read_scaling(rope_scaling: &Value) -> RopeScaling {
    let config = read(&json!({"rope_scaling": rope_scaling}));
    config.expect("a supported scaling").rope_scaling
}

/// The field and the message with which a config is refused.
fn refused(changes: &Value) -> (String, String) {
    let Err(error) = read(changes) else {
        panic!("{changes} was read");
    };
    match &error {
        Error::Config { field, .. } => (field.clone(), error.to_string()),
        _ => panic!("{changes}: {error}"),
    }
}

#[track_caller]
fn assert_refused(changes: &Value, field: &str, parts: &[&str]) {
    let (found, message) = refused(changes);
    assert_eq!(found, field, "{message}");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn rope_scaling_is_read_under_its_old_name_its_new_name_and_both() {
    for rope_scaling in [
        json!({"type": "linear", "factor": 2.0}),
        json!({"rope_type": "linear", "factor": 2.0}),
        json!({"type": "linear", "rope_type": "linear", "factor": 2.0}),
    ] {
        let scaling = read_scaling(&rope_scaling);
        assert_eq!(scaling, RopeScaling::Linear { factor: 2.0 });
    }
}

#[test]
fn rope_scaling_with_two_different_types_is_refused() {
    assert_refused(
        &json!({"rope_scaling": {"type": "linear", "rope_type": "llama3", "factor": 2.0}}),
        "rope_scaling.rope_type",
        &["is llama3", "rope_scaling.type is linear"],
    );
}

#[test]
fn what_is_said_twice_may_be_the_same() {
    for (changes, theta, scaling) in [
        (json!({"rope_scaling": {}}), 1e4, RopeScaling::None),
        (json!({"rope_theta": 1e6}), 1e6, RopeScaling::None),
        (
            json!({"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
            1e6,
            RopeScaling::None,
        ),
        (
            json!({"rope_parameters": {"rope_type": "linear", "factor": 2, "rope_theta": 1e4}}),
            1e4,
            RopeScaling::Linear { factor: 2.0 },
        ),
        (
            json!({
                "rope_theta": 1000000,
                "rope_scaling": {"type": "linear", "factor": 2},
                "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e6},
            }),
            1e6,
            RopeScaling::Linear { factor: 2.0 },
        ),
        (
            json!({"rope_scaling": {}, "rope_parameters": {"rope_type": "linear", "factor": 2}}),
            1e4,
            RopeScaling::Linear { factor: 2.0 },
        ),
        (
            json!({"partial_rotary_factor": 1, "rope_parameters": {"partial_rotary_factor": 1.0}}),
            1e4,
            RopeScaling::None,
        ),
    ] {
        let config = read(&changes).expect("nothing contradicts");
        assert_eq!(
            (config.rope_theta, config.rope_scaling),
            (theta, scaling),
            "{changes}"
        );
    }
}

#[test]
fn rope_settings_that_contradict_each_other_are_refused_with_both() {
    assert_refused(
        &json!({"rope_theta": 1e4, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
        "rope_parameters.rope_theta",
        &[
            "is 1000000",
            "but rope_theta is 10000",
            "remove the wrong one",
        ],
    );
    assert_refused(
        &json!({
            "rope_scaling": {"type": "linear", "factor": 2.0},
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
        }),
        "rope_scaling",
        &[
            "linear",
            "but rope_parameters is",
            "default",
            "remove the wrong one",
        ],
    );
    // `transformers` would read the first alone, and so take another base than the second says.
    assert_refused(
        &json!({
            "rope_scaling": {"type": "linear", "factor": 2.0},
            "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e6},
        }),
        "rope_scaling",
        &["but rope_parameters is"],
    );
    let yarn = json!({"type": "yarn", "factor": 4, "original_max_position_embeddings": 512});
    assert_refused(
        &json!({"original_max_position_embeddings": 1024, "rope_scaling": yarn}),
        "original_max_position_embeddings",
        &[
            "is 1024",
            "but rope_scaling.original_max_position_embeddings is 512",
        ],
    );
    assert_refused(
        &json!({"rope_scaling": {
            "type": "dynamic", "factor": 2, "original_max_position_embeddings": 512,
        }}),
        "rope_scaling.original_max_position_embeddings",
        &["is 512", "begins at max_position_embeddings = 2048"],
    );
}

#[test]
fn rope_settings_that_cannot_be_used_are_refused_by_name() {
    for (scaling, field, part) in [
        (
            json!({"factor": 2}),
            "factor",
            "which rope type default does not use",
        ),
        (
            json!({"type": "linear", "factor": 2, "beta_fast": 16}),
            "beta_fast",
            "linear",
        ),
        (
            json!({"type": "yarn", "factor": 2, "short_mscale": 1.2}),
            "short_mscale",
            "yarn",
        ),
        (
            json!({"type": "su", "factor": 2}),
            "type",
            "supported are default, linear",
        ),
        (json!({"type": "linear"}), "factor", "missing"),
        (
            json!({"type": "dynamic", "factor": 0}),
            "factor",
            "must be positive",
        ),
        (
            json!({"type": "dynamic", "factor": "2"}),
            "factor",
            "must be a number",
        ),
        (
            json!({"type": "yarn", "factor": 2, "truncate": 1}),
            "truncate",
            "true or false",
        ),
        (
            json!({"partial_rotary_factor": 0.5}),
            "partial_rotary_factor",
            "supported is 1",
        ),
        (
            json!({"type": "longrope", "short_factor": [1, 1, 1, 1], "long_factor": [2, 2]}),
            "long_factor",
            "head_dim / 2 = 4 positive numbers",
        ),
        (
            json!({"type": "longrope", "short_factor": [1, 1, 1, 0]}),
            "short_factor",
            "head_dim / 2 = 4 positive numbers",
        ),
    ] {
        for name in ["rope_scaling", "rope_parameters"] {
            assert_refused(&json!({name: scaling}), &format!("{name}.{field}"), &[part]);
        }
    }
    assert_refused(
        &json!({"rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        }}),
        "rope_parameters",
        &["per kind of layer (full_attention, sliding_attention)"],
    );
    assert_refused(
        &json!({"rope_scaling": "linear"}),
        "rope_scaling",
        &["an object"],
    );
}

#[test]
fn the_original_length_is_taken_from_beside_the_settings_from_inside_or_from_the_context() {
    let original = |changes: Value| match read(&changes).expect("a supported scaling").rope_scaling
    {
        RopeScaling::Yarn(yarn) => (yarn.original_positions, yarn.factor),
        other => panic!("{other:?}"),
    };
    let yarn = json!({"type": "yarn", "factor": 4});
    let null_factor = json!({"type": "yarn", "factor": null});
    let inside = json!({"type": "yarn", "factor": 4, "original_max_position_embeddings": 512});
    assert_eq!(original(json!({"rope_scaling": yarn})), (2048.0, 4.0));
    assert_eq!(original(json!({"rope_scaling": inside})), (512.0, 4.0));
    let beside = json!({"original_max_position_embeddings": 256, "rope_scaling": null_factor});
    assert_eq!(
        original(beside),
        (256.0, 8.0),
        "the factor is that of the contexts"
    );
}

#[test]
fn yarns_attention_factor_is_given_or_derived() {
    let factor = |extra: Value| {
        let mut scaling = json!({"rope_type": "yarn", "factor": 4.0});
        let (Value::Object(all), Value::Object(extra)) = (&mut scaling, extra) else {
            unreachable!("objects were written")
        };
        all.extend(extra);
        read_scaling(&scaling).attention_factor()
    };
    let m = |by: f64| 1.0 + 0.1 * by * 4.0_f64.ln();
    assert_eq!(factor(json!({})), m(1.0));
    assert_eq!(
        factor(json!({"attention_factor": 0.83, "mscale": 2, "mscale_all_dim": 1})),
        0.83
    );
    assert_eq!(
        factor(json!({"mscale": 1.4, "mscale_all_dim": 0.5})),
        m(1.4) / m(0.5)
    );
    assert_eq!(
        factor(json!({"mscale": 1.4})),
        m(1.0),
        "one of the two alone says nothing"
    );
    assert_eq!(factor(json!({"mscale": 1.4, "mscale_all_dim": 0})), m(1.0));
}

#[test]
fn every_scaling_is_written_as_it_is_read() {
    for scaling in [
        RopeScaling::None,
        RopeScaling::Linear { factor: 2.0 },
        RopeScaling::Dynamic { factor: 3.0 },
        RopeScaling::Llama3 {
            factor: 8.0,
            low: 1.0,
            high: 4.0,
            original_positions: 512.0,
        },
        RopeScaling::Yarn(Yarn {
            factor: 4.0,
            beta_fast: 16.0,
            beta_slow: 2.0,
            truncate: false,
            original_positions: 512.0,
            attention_factor: 1.25,
        }),
        RopeScaling::LongRope {
            short: vec![1.0, 1.1, 1.2, 1.3],
            long: vec![1.0, 2.0, 3.0, 4.5],
            original_positions: 512.0,
            attention_factor: 1.1,
        },
    ] {
        let mut config = DecoderConfig::llama(32, 16, 2, 2);
        config.rope_scaling = scaling;
        let read = DecoderConfig::from_json(config.to_json()).expect("what was written");
        assert_eq!(read.rope_scaling, config.rope_scaling);
        let again = DecoderConfig::from_json(read.to_json()).expect("what was written again");
        assert_eq!(again, read);
    }
}

#[test]
fn only_dynamic_and_longrope_have_a_set_for_every_length() {
    let sets = |scaling: Value| {
        let config = read(&json!({"rope_scaling": scaling, "max_position_embeddings": 20}));
        let frequencies = Frequencies::new(&config.expect("a supported scaling"));
        [1, 20, 21, 22].map(|tokens| {
            let shared = frequencies.are_shared([1, tokens]);
            let same = frequencies.of_length(tokens) == frequencies.of_length(1);
            assert_eq!(shared, same, "{scaling} at {tokens}");
            same
        })
    };
    assert_eq!(sets(json!({"type": "yarn", "factor": 4})), [true; 4]);
    assert_eq!(sets(json!({"type": "linear", "factor": 4})), [true; 4]);
    let beyond = [true, true, false, false];
    assert_eq!(sets(json!({"type": "dynamic", "factor": 4})), beyond);
    let longrope = json!({
        "type": "longrope", "short_factor": [1, 1, 1, 1], "long_factor": [1, 2, 3, 4],
    });
    assert_eq!(sets(longrope), beyond);
}

#[test]
fn a_model_with_code_of_its_own_is_refused() {
    let own = json!({"AutoModelForCausalLM": "modeling_own.OwnForCausalLM"});
    assert_refused(
        &json!({"auto_map": own}),
        "auto_map",
        &[
            "modeling_own.OwnForCausalLM",
            "code of its own",
            "LlamaForCausalLM",
        ],
    );
    let tokenizer = json!({"AutoTokenizer": ["tokenization_own.OwnTokenizer", null]});
    read(&json!({"auto_map": tokenizer})).expect("a tokenizer's code is no matter of the weights");
    let reward_model = json!({"AutoModel": "modeling_eurus_rm.EurusRewardModel"});
    read(&json!({"auto_map": reward_model})).expect("its code computes what is computed here");
    read(&json!({"auto_map": {}})).expect("nothing of its own");
}

#[test]
fn fields_that_change_what_a_model_computes_are_refused_unless_they_are_neutral() {
    for (field, harmful, neutral) in [
        ("scale_emb", json!(12.0), json!(1)),
        ("scale_depth", json!(1.4), json!(null)),
        ("dim_model_base", json!(256), json!(16)),
        ("logit_scale", json!(0.0625), json!(1.0)),
        ("embedding_multiplier", json!(12.0), json!(1.0)),
        ("residual_multiplier", json!(0.22), json!(1.0)),
        (
            "attention_multiplier",
            json!(0.0078125),
            json!(8.0_f64.powf(-0.5)),
        ),
        ("logits_scaling", json!(8.0), json!(1.0)),
        ("query_pre_attn_scalar", json!(224), json!(8)),
        ("attn_logit_softcapping", json!(50.0), json!(null)),
        ("final_logit_softcapping", json!(30.0), json!(null)),
        ("clip_qkv", json!(8.0), json!(null)),
        ("use_qk_norm", json!(true), json!(false)),
        ("qkv_bias", json!(true), json!(false)),
        ("use_bias", json!(true), json!(false)),
        ("no_rope_layers", json!([1, 0]), json!([1, 1])),
        ("no_rope_layer_interval", json!(4), json!(0)),
        ("attn_temperature_tuning", json!(4), json!(false)),
        ("attention_chunk_size", json!(8192), json!(null)),
        ("partial_rotary_factor", json!(0.5), json!(1.0)),
        ("rotary_pct", json!(0.25), json!(1.0)),
        ("rotary_dim", json!(4), json!(8)),
        ("rope_local_base_freq", json!(1e4), json!(null)),
        ("norm_topk_prob", json!(false), json!(true)),
        ("layer_norm_eps", json!(1e-6), json!(1e-5)),
        ("hidden_activation", json!("gelu"), json!("silu")),
        ("position_embedding_type", json!("absolute"), json!("rope")),
        ("use_parallel_residual", json!(true), json!(false)),
        ("sliding_window", json!(512), json!(null)),
        (
            "layer_types",
            json!(["full_attention", "sliding_attention"]),
            json!(["full_attention", "full_attention"]),
        ),
        ("made_up_scaling", json!(3), json!(null)),
    ] {
        assert_refused(&json!({field: harmful}), field, &["remove it"]);
        let config = read(&json!({field: neutral}));
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.source[field], neutral, "it is carried along");
    }
}

#[test]
fn fields_that_belong_to_a_family_are_neutral_there() {
    for (family, field) in [("qwen2", "qkv_bias"), ("qwen3", "use_qk_norm")] {
        let changes = json!({
            "model_type": family, "num_key_value_heads": 2, "head_dim": 8, field: true,
        });
        let config = read(&changes).unwrap_or_else(|error| panic!("{family}: {error}"));
        assert_eq!(config.architecture.model_type(), family);
    }
}

#[test]
fn fields_of_common_files_that_change_nothing_pass() {
    read(&json!({
        "_name_or_path": "someone/model",
        "transformers_version": "4.46.0",
        "torch_dtype": "bfloat16",
        "use_cache": true,
        "pretraining_tp": 1,
        "_attn_implementation_autoset": true,
        "attn_implementation": "sdpa",
        "output_attentions": false,
        "attention_softmax_in_fp32": true,
        "initializer_range": 0.02,
        "init_scale": 0.5,
        "router_z_loss_coef": 0.1,
        "num_logits_to_keep": 1,
        "unsloth_version": "2025.3",
        "id2label": {"0": "LABEL_0"},
        "task_specific_params": null,
        "temperature": 1.0,
    }))
    .expect("nothing in it changes the result");
}

#[test]
fn a_window_that_mistral_has_and_another_field_denies_is_refused() {
    let mistral = |changes: Value| {
        let mut all = json!({
            "model_type": "mistral", "num_key_value_heads": 2, "sliding_window": 512,
        });
        let (Value::Object(all_fields), Value::Object(changes)) = (&mut all, changes) else {
            unreachable!("objects were written")
        };
        all_fields.extend(changes);
        all
    };
    let config = read(&mistral(
        json!({"layer_types": ["sliding_attention", "sliding_attention"]}),
    ));
    let config = config.expect("both say the same");
    assert_eq!(config.architecture, Architecture::Mistral);
    assert_eq!(config.window_of(0), Some(512));
    assert_refused(
        &mistral(json!({"use_sliding_window": false})),
        "use_sliding_window",
        &["mistral uses its sliding_window always"],
    );
    assert_refused(
        &mistral(json!({"layer_types": ["full_attention", "sliding_attention"]})),
        "layer_types",
        &["every layer of mistral is sliding_attention"],
    );
}

#[test]
fn the_context_is_what_the_scaling_makes_of_it() {
    let context = |scaling: Value| {
        let config = read(&json!({"rope_scaling": scaling}));
        config.expect("a supported scaling").context_length()
    };
    assert_eq!(context(json!(null)), 2048);
    assert_eq!(context(json!({"type": "linear", "factor": 2})), 4096);
    assert_eq!(context(json!({"type": "dynamic", "factor": 1.5})), 3072);
    // As Qwen2.5 is stretched: `max_position_embeddings` stays the original length.
    assert_eq!(context(json!({"type": "yarn", "factor": 4})), 8192);
    let original = json!({"type": "yarn", "factor": 4, "original_max_position_embeddings": 512});
    assert_eq!(context(original), 2048);
}
