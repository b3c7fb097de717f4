//! The same weights under the names that other tools give them.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use eurus_models::{
    Architecture, Checkpoint, Decoder, DecoderConfig, Error, MixtureOfExperts, RewardHead,
    RewardModel,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{config, join, load, split, weights, write};

const FILE: &str = "model.safetensors";

fn place() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Gives every tensor of a folder another name; one without a name is left out.
fn rename(folder: &Path, name: impl Fn(&str) -> Option<String>) {
    let path = folder.join(FILE);
    let (header, numbers) = split(&std::fs::read(&path).expect("a file"));
    let mut renamed = BTreeMap::new();
    let mut data = Vec::new();
    for (old, tensor) in header.as_object().expect("a map") {
        let Some(new) = name(old) else { continue };
        if old == "__metadata__" {
            continue;
        }
        let at = |place: usize| tensor["data_offsets"][place].as_u64().expect("an offset") as usize;
        let start = data.len();
        data.extend(&numbers[at(0)..at(1)]);
        let tensor = json!({
            "dtype": tensor["dtype"], "shape": tensor["shape"],
            "data_offsets": [start, data.len()],
        });
        assert!(renamed.insert(new, tensor).is_none(), "{old}");
    }
    let header = serde_json::to_string(&renamed).expect("a header");
    std::fs::write(path, join(&header, &data)).expect("written");
}

fn set_field(folder: &Path, field: &str, value: Value) {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).expect("a file");
    let mut fields: Value = serde_json::from_str(&text).expect("JSON");
    fields[field] = value;
    std::fs::write(path, fields.to_string()).expect("written");
}

fn message<T>(result: Result<T, Error>) -> String {
    result
        .err()
        .map_or_else(|| panic!("it was not refused"), |error| error.to_string())
}

#[test]
fn weights_are_found_under_every_spelling_of_their_names() {
    type Spelling = fn(&str) -> String;
    let spellings: [(&str, Spelling); 7] = [
        ("a body alone", |name| {
            name.strip_prefix("model.").unwrap_or(name).to_owned()
        }),
        ("torch.compile", |name| format!("_orig_mod.{name}")),
        ("data parallel", |name| format!("module.{name}")),
        ("FSDP", |name| {
            let inner = name.replace(".self_attn.", "._fsdp_wrapped_module.self_attn.");
            format!("_fsdp_wrapped_module.{inner}")
        }),
        ("PEFT, merged", |name| format!("base_model.model.{name}")),
        ("a part of a larger model", |name| {
            format!("language_model.{name}")
        }),
        ("the same in transformers 5", |name| {
            name.replacen("model.", "model.language_model.", 1)
        }),
    ];
    for (written_by, spell) in spellings {
        let place = place();
        let expected = write(&Checkpoint::new(place.path())).expect("written");
        rename(place.path(), |name| Some(spell(name)));
        let loaded = load(place.path()).unwrap_or_else(|error| panic!("{written_by}: {error}"));
        assert!(loaded == expected, "{written_by}");
        let checked = Checkpoint::new(place.path()).check_decoder();
        assert!(checked.is_ok(), "{written_by}");
    }
}

#[test]
fn names_of_two_spellings_at_once_are_refused_by_both() {
    let place = place();
    write(&Checkpoint::new(place.path())).expect("written");
    // The norm's numbers stand for a second embedding: names are looked at first, not sizes.
    rename(place.path(), |name| {
        let second = name == "model.norm.weight";
        Some(match second {
            true => "module.model.embed_tokens.weight".to_owned(),
            false => name.to_owned(),
        })
    });
    let message = message(load(place.path()));
    for words in [
        "`model.embed_tokens.weight`",
        "`module.model.embed_tokens.weight`",
    ] {
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn fused_experts_are_read_as_experts() {
    let place = place();
    let shape = DecoderConfig {
        architecture: Architecture::Mixtral,
        mixture: Some(MixtureOfExperts {
            experts: 3,
            experts_per_token: 2,
            auxiliary_loss_coefficient: 0.0,
        }),
        ..config()
    };
    let model = Decoder::init(&shape, 11, &Device::flex());
    let checkpoint = Checkpoint::new(place.path());
    checkpoint.write_decoder(&model, &shape).expect("written");

    let path = place.path().join(FILE);
    let (header, numbers) = split(&std::fs::read(&path).expect("a file"));
    let bytes = |name: &str| {
        let at = |place: usize| header[name]["data_offsets"][place].as_u64().expect("there");
        numbers[at(0) as usize..at(1) as usize].to_vec()
    };
    let (mut fused, mut data) = (BTreeMap::new(), Vec::new());
    let mut put = |name: String, shape: Value, numbers: Vec<u8>| {
        let start = data.len();
        data.extend(numbers);
        let tensor = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        fused.insert(name, tensor);
    };
    for (name, tensor) in header.as_object().expect("a map") {
        if name != "__metadata__" && !name.contains(".experts.") {
            let new = name.replace("block_sparse_moe.gate", "mlp.gate");
            put(new, tensor["shape"].clone(), bytes(name));
        }
    }
    let (d, inner) = (shape.hidden_size, shape.intermediate_size);
    for layer in 0..shape.layers {
        let of = |matrices: &[&str]| -> Vec<u8> {
            let name = |expert: usize, matrix: &str| {
                format!("model.layers.{layer}.block_sparse_moe.experts.{expert}.{matrix}.weight")
            };
            let each = (0..3).flat_map(|expert| matrices.iter().map(move |m| (expert, *m)));
            each.flat_map(|(expert, matrix)| bytes(&name(expert, matrix)))
                .collect()
        };
        let experts = format!("model.layers.{layer}.mlp.experts");
        put(
            format!("{experts}.gate_up_proj"),
            json!([3, 2 * inner, d]),
            of(&["w1", "w3"]),
        );
        put(
            format!("{experts}.down_proj"),
            json!([3, d, inner]),
            of(&["w2"]),
        );
    }
    let header = serde_json::to_string(&fused).expect("a header");
    std::fs::write(&path, join(&header, &data)).expect("written");
    assert!(load(place.path()).expect("it loads") == weights(&model));
}

#[test]
fn a_tied_body_saved_alone_is_written_as_a_language_model() {
    let (place, again) = (place(), place());
    let shape = DecoderConfig {
        tie_word_embeddings: true,
        ..config()
    };
    let model = Decoder::init(&shape, 11, &Device::flex());
    Checkpoint::new(place.path())
        .write_decoder(&model, &shape)
        .expect("written");
    rename(place.path(), |name| Some(name.replacen("model.", "", 1)));
    set_field(place.path(), "architectures", json!(["LlamaModel"]));
    let (model, read) = Checkpoint::new(place.path())
        .decoder(&Device::flex())
        .expect("read");
    Checkpoint::new(again.path())
        .write_decoder(&model, &read)
        .expect("written");
    let text = std::fs::read_to_string(again.path().join("config.json")).expect("a file");
    assert!(text.contains("LlamaForCausalLM"), "{text}");
    let (header, _) = split(&std::fs::read(again.path().join(FILE)).expect("a file"));
    assert!(header.get("model.embed_tokens.weight").is_some());
}

#[test]
fn a_model_without_its_output_projection_is_a_body_for_rewards_alone() {
    let place = place();
    write(&Checkpoint::new(place.path())).expect("written");
    rename(place.path(), |name| {
        (name != "lm_head.weight").then(|| name.to_owned())
    });
    let checkpoint = Checkpoint::new(place.path());
    for refused in [
        message(load(place.path())),
        message(checkpoint.check_decoder()),
    ] {
        for words in [
            "no `lm_head.weight`",
            "`tie_word_embeddings` to true",
            "reward model",
        ] {
            assert!(refused.contains(words), "{refused}");
        }
    }
    let (_, head) = checkpoint.check_reward_start().expect("the body suffices");
    assert_eq!(head, None);
    let (model, _) = checkpoint
        .reward_start(&Device::flex())
        .expect("the body suffices");
    let head: Vec<f32> = model
        .head
        .projection()
        .weight
        .val()
        .into_data()
        .iter()
        .collect();
    assert_eq!(head, vec![0.0; 16]);
}

#[test]
fn a_reward_model_goes_on_from_its_head_and_is_no_policy() {
    for head in [RewardHead::Regression, RewardHead::Score] {
        let place = place();
        let model = RewardModel::from_decoder(Decoder::init(&config(), 11, &Device::flex()));
        let mut model = model.with_head(head);
        let weight = model
            .head
            .projection()
            .weight
            .clone()
            .map(|weight| weight.ones_like() * 0.5);
        model.head.projection_mut().weight = weight;
        let checkpoint = Checkpoint::new(place.path());
        checkpoint
            .write_reward_model(&model, &config())
            .expect("written");

        assert_eq!(
            checkpoint.check_reward_start().expect("it is whole").1,
            Some(head)
        );
        let (again, _) = checkpoint.reward_start(&Device::flex()).expect("it loads");
        assert!(weights(&again) == weights(&model));
        // The tensors tell, whatever the class is called.
        set_field(place.path(), "architectures", json!(["EurusRewardModel"]));
        let (again, read) = checkpoint.reward_model(&Device::flex()).expect("it loads");
        assert!(weights(&again) == weights(&model));
        if head == RewardHead::Regression {
            checkpoint
                .write_reward_model(&again, &read)
                .expect("written");
            let text = std::fs::read_to_string(place.path().join("config.json")).expect("a file");
            assert!(text.contains("EurusRewardModel"), "{text}");
        }

        let refused = message(load(place.path()));
        let tensor = format!("reward model (`{}.weight`)", head.name());
        assert!(
            refused.contains(&tensor) && refused.contains("language model"),
            "{refused}"
        );
    }
}

#[test]
fn a_policy_with_a_value_head_is_refused_by_its_name() {
    let place = place();
    write(&Checkpoint::new(place.path())).expect("written");
    rename(place.path(), |name| {
        let value_head = name == "lm_head.weight";
        Some(if value_head {
            "v_head.summary.weight".into()
        } else {
            name.to_owned()
        })
    });
    let checkpoint = Checkpoint::new(place.path());
    for refused in [
        message(load(place.path())),
        message(checkpoint.check_reward_start()),
    ] {
        for words in ["`v_head.summary.weight`", "value head", "save_pretrained"] {
            assert!(refused.contains(words), "{refused}");
        }
    }
}

#[test]
fn folders_of_other_formats_say_what_is_there_and_how_to_convert_it() {
    let cases: [(&[&str], &[&str]); 7] = [
        (
            &["config.json", "pytorch_model.bin"],
            &[
                "no model.safetensors",
                "pytorch_model.bin",
                "from_pretrained('",
            ],
        ),
        (
            &[
                "config.json",
                "pytorch_model-00001-of-00002.bin",
                "pytorch_model.bin.index.json",
            ],
            &[
                "no model.safetensors",
                "pytorch_model-00001-of-00002.bin",
                "save_pretrained('",
            ],
        ),
        (
            &["consolidated.safetensors", "params.json", "tekken.json"],
            &[
                "no config.json",
                "consolidated.safetensors",
                "convert_mistral_weights_to_hf",
            ],
        ),
        (
            &["consolidated.00.pth", "params.json"],
            &[
                "no config.json",
                "consolidated.00.pth",
                "convert_llama_weights_to_hf",
            ],
        ),
        (
            &["config.json", "model-00001-of-00002.safetensors"],
            &["without the index", "model.safetensors.index.json"],
        ),
        (
            &["model.Q4_K_M.gguf"],
            &["no config.json", "model.Q4_K_M.gguf", "llama.cpp"],
        ),
        (
            &["adapter_config.json"],
            &["no config.json", "adapter of PEFT"],
        ),
    ];
    for (files, words) in cases {
        let (place, whole) = (place(), place());
        write(&Checkpoint::new(whole.path())).expect("written");
        for name in files {
            let text = match *name {
                "config.json" => std::fs::read(whole.path().join(name)).expect("a file"),
                _ => b"{}".to_vec(),
            };
            std::fs::write(place.path().join(name), text).expect("written");
        }
        let refused = Checkpoint::new(place.path()).decoder(&Device::flex());
        assert!(
            matches!(refused, Err(Error::OtherFormat { .. })),
            "{files:?}"
        );
        let refused = message(refused);
        for word in words {
            assert!(refused.contains(word), "`{word}` is not in: {refused}");
        }
    }
}
