//! What is written is read again.

use crate::common::{Weights, config, files, load, model, split, weights, write};
use burn::tensor::Device;
use eurus_models::lora::{Adapted, LoraConfig};
use eurus_models::{Checkpoint, Error, Result, RewardModel, WeightType};
use half::{bf16, f16};
use serde_json::Value;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn float32_comes_back_bit_for_bit() -> Result<()> {
    let place = folder();
    let target = place.path().join("model");
    let written = write(&Checkpoint::new(&target))?;
    assert_eq!(written.len(), 2 * 9 + 3);
    assert_eq!(load(&target)?, written);
    Ok(())
}

#[test]
fn shards_hold_what_one_file_holds() -> Result<()> {
    let place = folder();
    let (single, sharded) = (place.path().join("single"), place.path().join("sharded"));
    let written = write(&Checkpoint::new(&single))?;
    write(&Checkpoint::new(&sharded).with_max_shard_bytes(4096))?;
    assert_eq!(load(&sharded)?, written);

    let files = files(&sharded).expect("files");
    assert!(!files.contains_key("model.safetensors"));
    let index: Value =
        serde_json::from_slice(&files["model.safetensors.index.json"]).expect("JSON");
    let map = index["weight_map"].as_object().expect("a map");
    assert_eq!(map.len(), written.len());
    let bytes: usize = written.values().map(|(_, values)| 4 * values.len()).sum();
    assert_eq!(index["metadata"]["total_size"], bytes);

    let shards: Vec<&String> = files
        .keys()
        .filter(|name| name.ends_with(".safetensors"))
        .collect();
    assert!(shards.len() > 3, "{shards:?}");
    for (number, name) in shards.iter().enumerate() {
        let expected = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
        assert_eq!(**name, expected);
        let (header, numbers) = split(&files[*name]);
        let tensors = header.as_object().expect("a map").len() - 1;
        assert!(
            numbers.len() <= 4096 || tensors == 1,
            "{name}: {}",
            numbers.len()
        );
    }
    Ok(())
}

#[test]
fn half_precision_is_rounded_once_and_stays() -> Result<()> {
    let place = folder();
    let round = |weights: &Weights, stored: WeightType| -> Weights {
        let round = |bits: &u32| {
            let value = f32::from_bits(*bits);
            let rounded = match stored {
                WeightType::Bf16 => bf16::from_f32(value).to_f32(),
                WeightType::F16 => f16::from_f32(value).to_f32(),
                WeightType::F32 => value,
            };
            rounded.to_bits()
        };
        weights
            .iter()
            .map(|(name, (shape, bits))| {
                (
                    name.clone(),
                    (shape.clone(), bits.iter().map(round).collect()),
                )
            })
            .collect()
    };
    for (stored, name) in [
        (WeightType::Bf16, "bfloat16"),
        (WeightType::F16, "float16"),
        (WeightType::F32, "float32"),
    ] {
        let (first, second) = (place.path().join(name), place.path().join("again"));
        let checkpoint = |folder| Checkpoint::new(folder).with_weight_type(stored);
        let written = write(&checkpoint(&first).with_max_shard_bytes(3000))?;
        let (loaded, config) = Checkpoint::new(&first).decoder(&Device::flex())?;
        assert_eq!(weights(&loaded), round(&written, stored));
        assert_eq!(config.source["torch_dtype"], name);

        checkpoint(&second).write_decoder(&loaded, &config)?;
        assert_eq!(load(&second)?, weights(&loaded));
    }
    Ok(())
}

#[test]
fn both_names_of_the_type_are_kept_true() -> Result<()> {
    let place = folder();
    let mut config = config();
    config.source = config.to_json();
    config.source.insert("dtype".into(), "float32".into());
    Checkpoint::new(place.path().join("model"))
        .with_weight_type(WeightType::Bf16)
        .write_decoder(&model(), &config)?;
    let text = std::fs::read(place.path().join("model/config.json")).expect("a file");
    let written: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(written["dtype"], "bfloat16");
    assert_eq!(written["torch_dtype"], "bfloat16");
    Ok(())
}

#[test]
fn a_reward_model_comes_back_bit_for_bit() -> Result<()> {
    let place = folder();
    let model = RewardModel::from_decoder(model());
    let checkpoint = Checkpoint::new(place.path().join("model")).with_max_shard_bytes(5000);
    checkpoint.write_reward_model(&model, &config())?;
    let (loaded, _) = checkpoint.reward_model(&Device::flex())?;
    assert_eq!(weights(&loaded), weights(&model));
    Ok(())
}

#[test]
fn a_classifier_stays_a_classifier() -> Result<()> {
    let place = folder();
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/llama_classifier"
    );
    let (model, config) = Checkpoint::new(fixture).reward_model(&Device::flex())?;
    let checkpoint = Checkpoint::new(place.path().join("model"));
    checkpoint.write_reward_model(&model, &config)?;
    let (loaded, config) = checkpoint.reward_model(&Device::flex())?;
    assert_eq!(weights(&loaded), weights(&model));
    assert!(weights(&loaded).contains_key("score.weight"));
    assert_eq!(
        config.source["architectures"][0],
        "LlamaForSequenceClassification"
    );
    assert_eq!(config.source["num_labels"], 1);
    Ok(())
}

#[test]
fn an_adapter_is_not_written_into_a_checkpoint() -> Result<()> {
    let place = folder();
    let adapted = model().with_adapters(&LoraConfig::new(2).with_targets(["q_proj"]), 1)?;
    let checkpoint = Checkpoint::new(place.path().join("model"));
    let result = checkpoint.write_decoder(&adapted, &config());
    assert!(matches!(result, Err(Error::Adapter { .. })));
    assert!(!checkpoint.folder().exists());
    checkpoint.write_decoder(&adapted.merged(), &config())?;
    load(checkpoint.folder())?;
    Ok(())
}

#[test]
fn a_weight_that_float16_cannot_hold_leaves_the_old_folder_as_it_was() -> Result<()> {
    let place = folder();
    let target = place.path().join("model");
    let written = write(&Checkpoint::new(&target))?;

    let mut model = model();
    model.model.norm.weight = model.model.norm.weight.map(|weight| weight * 70_000.0);
    let result = Checkpoint::new(&target)
        .with_weight_type(WeightType::F16)
        .write_decoder(&model, &config());
    let Err(error) = result else {
        panic!("70000 was written as float16");
    };
    let message = error.to_string();
    assert!(matches!(error, Error::NotFinite { .. }), "{message}");
    assert!(message.contains("model.norm.weight"), "{message}");
    assert!(message.contains("model.safetensors"), "{message}");
    assert_eq!(load(&target)?, written);
    let left = std::fs::read_dir(place.path()).expect("a folder").count();
    assert_eq!(left, 1, "something temporary is left");
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_written_folder_is_as_readable_as_any() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let place = folder();
    let (target, usual) = (place.path().join("model"), place.path().join("usual"));
    write(&Checkpoint::new(&target))?;
    std::fs::create_dir(&usual).expect("a folder");
    std::fs::write(usual.join("file"), "").expect("a file");
    let mode = |path: &std::path::Path| {
        std::fs::metadata(path).expect("there").permissions().mode() & 0o777
    };
    assert_eq!(mode(&target), mode(&usual));
    assert_eq!(
        mode(&target.join("model.safetensors")),
        mode(&usual.join("file"))
    );
    assert_eq!(mode(&target.join("config.json")), mode(&usual.join("file")));
    Ok(())
}
