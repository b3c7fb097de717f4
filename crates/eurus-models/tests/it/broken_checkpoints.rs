//! A checkpoint that is not whole is refused, and the message names file and tensor.

use std::path::Path;

use crate::common::{files, join, load, split, write};
use eurus_models::{Checkpoint, Error};
use serde_json::{Value, json};
use tempfile::TempDir;

const Q_PROJ: &str = "model.layers.0.self_attn.q_proj.weight";

fn single() -> TempDir {
    checkpoint(|checkpoint| checkpoint)
}

fn sharded() -> TempDir {
    checkpoint(|checkpoint| checkpoint.with_max_shard_bytes(4096))
}

fn checkpoint(change: impl Fn(Checkpoint) -> Checkpoint) -> TempDir {
    let place = tempfile::tempdir().expect("a temporary folder");
    write(&change(Checkpoint::new(place.path().join("model")))).expect("written");
    place
}

fn change_header(path: &Path, change: impl Fn(&mut Value)) {
    let (mut header, numbers) = split(&std::fs::read(path).expect("a file"));
    change(&mut header);
    std::fs::write(path, join(&header.to_string(), &numbers)).expect("written");
}

fn change_index(folder: &Path, change: impl Fn(&mut Value)) {
    let path = folder.join("model.safetensors.index.json");
    let mut index: Value =
        serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
    change(&mut index);
    std::fs::write(path, index.to_string()).expect("written");
}

/// Changes a checkpoint and returns the error, whose message must hold all `words`.
fn refused(place: TempDir, change: impl Fn(&Path), words: &[&str]) -> Error {
    let folder = place.path().join("model");
    change(&folder);
    let Err(error) = load(&folder) else {
        panic!("loaded; expected an error with {words:?}");
    };
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
    error
}

#[test]
fn weights_that_are_nan_or_infinite_are_refused() {
    for (bits, word) in [
        (f32::NAN.to_bits(), "NaN"),
        (f32::INFINITY.to_bits(), "inf"),
        (f32::NEG_INFINITY.to_bits(), "-inf"),
    ] {
        let error = refused(
            single(),
            |folder| {
                let path = folder.join("model.safetensors");
                let (header, mut numbers) = split(&std::fs::read(&path).expect("a file"));
                // Row 2, column 5 of a matrix of 16 columns.
                let start = header[Q_PROJ]["data_offsets"][0]
                    .as_u64()
                    .expect("a number");
                let at = start as usize + 4 * (2 * 16 + 5);
                numbers[at..at + 4].copy_from_slice(&bits.to_le_bytes());
                std::fs::write(path, join(&header.to_string(), &numbers)).expect("written");
            },
            &["model.safetensors", Q_PROJ, word, "[2, 5]"],
        );
        assert!(matches!(error, Error::NotFinite { .. }));
    }
}

#[test]
fn a_cut_file_names_the_first_tensor_that_is_not_whole() {
    let error = refused(
        single(),
        |folder| {
            let path = folder.join("model.safetensors");
            let file = std::fs::read(&path).expect("a file");
            std::fs::write(&path, &file[..file.len() - 10]).expect("written");
        },
        &["model.safetensors", "lm_head.weight"],
    );
    assert!(matches!(
        error,
        Error::Safetensors {
            tensor: Some(_),
            ..
        }
    ));
    refused(
        single(),
        |folder| std::fs::write(folder.join("model.safetensors"), b"abc").expect("written"),
        &["model.safetensors", "3 bytes"],
    );
    refused(
        single(),
        |folder| std::fs::write(folder.join("model.safetensors"), b"").expect("written"),
        &["model.safetensors", "0 bytes"],
    );
}

#[test]
fn bytes_after_the_last_tensor_are_refused() {
    refused(
        single(),
        |folder| {
            let path = folder.join("model.safetensors");
            let mut file = std::fs::read(&path).expect("a file");
            file.extend([0; 5]);
            std::fs::write(&path, file).expect("written");
        },
        &["model.safetensors", "5 bytes follow"],
    );
}

#[test]
fn a_shape_that_is_not_the_configurations_is_refused() {
    let k_proj = "model.layers.1.self_attn.k_proj.weight";
    let error = refused(
        single(),
        |folder| {
            change_header(&folder.join("model.safetensors"), |header| {
                header[k_proj]["shape"] = json!([16, 8]);
            });
        },
        &["model.safetensors", k_proj, "[16, 8]", "[8, 16]"],
    );
    assert!(matches!(error, Error::TensorShape { .. }));
}

#[test]
fn other_types_are_refused_by_name() {
    for dtype in ["I32", "U32"] {
        let error = refused(
            single(),
            |folder| {
                change_header(&folder.join("model.safetensors"), |header| {
                    header[Q_PROJ]["dtype"] = json!(dtype);
                });
            },
            &["model.safetensors", Q_PROJ, dtype],
        );
        assert!(matches!(error, Error::TensorType { .. }));
    }
    // A type that the format does not have, and one that takes another number of bytes.
    for dtype in ["Q4_K", "F16", "F8_E4M3"] {
        refused(
            single(),
            |folder| {
                change_header(&folder.join("model.safetensors"), |header| {
                    header[Q_PROJ]["dtype"] = json!(dtype);
                });
            },
            &["model.safetensors", Q_PROJ],
        );
    }
}

#[test]
fn quantized_checkpoints_are_refused_by_their_configuration() {
    refused(
        single(),
        |folder| {
            let path = folder.join("config.json");
            let mut config: Value =
                serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
            config["quantization_config"] = json!({"quant_method": "gptq", "bits": 4});
            std::fs::write(path, config.to_string()).expect("written");
        },
        &["quantization_config"],
    );
}

#[test]
fn tensors_that_are_missing_or_left_over_are_named() {
    let path = |folder: &Path| folder.join("model.safetensors");
    refused(
        single(),
        |folder| {
            change_header(&path(folder), |header| {
                let header = header.as_object_mut().expect("a map");
                let tensor = header.remove(Q_PROJ).expect("there");
                header.insert("model.layers.0.self_attn.qq_proj.weight".into(), tensor);
            });
        },
        &[Q_PROJ],
    );
    refused(
        single(),
        |folder| {
            let file = path(folder);
            let (mut header, mut numbers) = split(&std::fs::read(&file).expect("a file"));
            let end = numbers.len();
            header["model.layers.0.self_attn.extra.weight"] =
                json!({"dtype": "F32", "shape": [1], "data_offsets": [end, end + 4]});
            numbers.extend([0; 4]);
            std::fs::write(file, join(&header.to_string(), &numbers)).expect("written");
        },
        &["model.layers.0.self_attn.extra.weight"],
    );
}

#[test]
fn a_missing_shard_is_named_with_a_tensor_of_it() {
    let error = refused(
        sharded(),
        |folder| {
            let names = files(folder).expect("files");
            let first = names
                .keys()
                .find(|name| name.starts_with("model-00001"))
                .expect("a shard");
            std::fs::remove_file(folder.join(first)).expect("removed");
        },
        &[
            "model.safetensors.index.json",
            "model-00001-of-",
            "model.embed_tokens.weight",
        ],
    );
    assert!(matches!(error, Error::MissingShard { .. }));
}

#[test]
fn an_index_cannot_reach_out_of_its_folder() {
    for name in [
        "../outside.safetensors",
        "/etc/hostname",
        "a/../../outside.safetensors",
        "./model-00001-of-00002.safetensors",
        "sub/model.safetensors",
        "..",
        "",
    ] {
        let error = refused(
            sharded(),
            |folder| {
                let outside = folder.with_file_name("outside.safetensors");
                std::fs::write(outside, join("{}", &[])).expect("written");
                change_index(folder, |index| index["weight_map"][Q_PROJ] = json!(name));
            },
            &["model.safetensors.index.json", Q_PROJ],
        );
        assert!(
            matches!(error, Error::ShardOutside { .. }),
            "{name}: {error}"
        );
    }
}

#[test]
fn an_index_that_its_shards_contradict_is_refused() {
    let norm = "model.norm.weight";
    let wrong_shard = refused(
        sharded(),
        |folder| {
            change_index(folder, |index| {
                index["weight_map"][norm] =
                    index["weight_map"]["model.embed_tokens.weight"].clone();
            });
        },
        &["model.safetensors.index.json", norm, "does not have it"],
    );
    assert!(matches!(wrong_shard, Error::IndexMismatch { .. }));
    refused(
        sharded(),
        |folder| {
            change_index(folder, |index| {
                index["weight_map"]
                    .as_object_mut()
                    .expect("a map")
                    .remove(norm);
            });
        },
        &["model.safetensors.index.json", norm, "does not list it"],
    );
    refused(
        sharded(),
        |folder| {
            // The first shard gets the tensor that another one has.
            let names = files(folder).expect("files");
            let first = names
                .keys()
                .find(|name| name.starts_with("model-00001"))
                .expect("a shard");
            let (mut header, mut numbers) = split(&names[first]);
            let end = numbers.len();
            header[norm] = json!({"dtype": "F32", "shape": [16], "data_offsets": [end, end + 64]});
            numbers.extend([0; 64]);
            std::fs::write(folder.join(first), join(&header.to_string(), &numbers))
                .expect("written");
        },
        &[
            "model.safetensors.index.json",
            norm,
            "another shard has it too",
        ],
    );
}

#[test]
fn a_configuration_with_absurd_sizes_is_refused_before_anything_is_made() {
    let absurd = 1u64 << 60;
    for field in [
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "head_dim",
    ] {
        refused(
            single(),
            |folder| {
                let path = folder.join("config.json");
                let mut config: Value =
                    serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
                config[field] = json!(absurd);
                if field == "num_attention_heads" {
                    config["num_key_value_heads"] = json!(absurd);
                }
                std::fs::write(path, config.to_string()).expect("written");
            },
            &[],
        );
    }
}

#[test]
fn a_folder_without_weights_says_what_is_looked_for() {
    refused(
        single(),
        |folder| std::fs::remove_file(folder.join("model.safetensors")).expect("removed"),
        &["no model.safetensors"],
    );
    refused(
        single(),
        |folder| std::fs::remove_file(folder.join("config.json")).expect("removed"),
        &["no config.json"],
    );
}
