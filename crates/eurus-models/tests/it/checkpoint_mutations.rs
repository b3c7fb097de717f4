//! Hundreds of checkpoints, each broken in a way of its own: every one of them loads to the very weights that were
//! written, or is refused with an error. None panics, and none makes the loader allocate what the file does not hold.
//!
//! `EURUS_MUTATIONS` sets how many there are; `--nocapture` prints how they ended.

#![allow(clippy::print_stdout, reason = "the counts are the result")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::ALLOCATOR;
use crate::common::{Weights, files, join, load, model, split, weights as weights_of, write};
use burn::tensor::Device;
use eurus_models::lora::{Adapted, AdapterFolder, LoraConfig};
use eurus_models::{Checkpoint, WeightType};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use test_support::{count, in_own_process};

/// More than loading the tiny model takes, and far less than what a broken header or configuration may claim.
const MEMORY_MIB: f32 = 16.0;

type Files = BTreeMap<String, Vec<u8>>;

/// Breaks the files of a checkpoint in one way and says how.
fn mutate(files: &mut Files, config: &str, rng: &mut ChaCha8Rng) -> String {
    match rng.random_range(0..14) {
        0 => flip(files, rng, config),
        1 if files.contains_key(INDEX) => flip(files, rng, INDEX),
        2 | 3 => {
            let name = weights(files, rng);
            // Numbers are as good as any others; what describes them is not.
            flip(files, rng, &name)
        }
        4 => {
            let name = any(files, rng);
            let file = files.get_mut(&name).expect("there");
            file.truncate(rng.random_range(0..file.len()));
            format!("{name} cut to {} bytes", file.len())
        }
        5 => {
            let name = any(files, rng);
            files.remove(&name);
            format!("{name} removed")
        }
        6 => change_tensor(files, rng, "shape reversed", |tensor, _| {
            tensor["shape"].as_array_mut().expect("a list").reverse();
        }),
        7 => change_tensor(files, rng, "another type", |tensor, rng| {
            // Nothing tells one float of 16 bits from another; all other changes can be seen.
            let types = [
                "BF16", "F64", "I32", "I16", "U8", "F8_E4M3", "F4", "BOOL", "C64", "Q4_0",
            ];
            tensor["dtype"] = json!(types[rng.random_range(0..types.len())]);
        }),
        8 => change_tensor(files, rng, "huge", |tensor, rng| {
            let huge = [1u64 << 40, 1 << 62, u64::MAX, (1 << 63) + 1][rng.random_range(0..4)];
            match rng.random_range(0..3) {
                0 => tensor["shape"] = json!([huge]),
                1 => tensor["shape"] = json!([huge, huge]),
                _ => tensor["data_offsets"][1] = json!(huge),
            }
        }),
        9 => {
            let name = weights(files, rng);
            let claim = [1u64 << 40, u64::MAX, 100_000_000, 99_999_999][rng.random_range(0..4)];
            files.get_mut(&name).expect("there")[..8].copy_from_slice(&claim.to_le_bytes());
            format!("{name} claims a header of {claim} bytes")
        }
        10 => not_finite(files, rng),
        11 => duplicate(files, rng),
        12 => change_json(files, rng, config),
        _ if files.contains_key(INDEX) => change_json(files, rng, INDEX),
        _ => change_json(files, rng, config),
    }
}

const INDEX: &str = "model.safetensors.index.json";

fn any(files: &Files, rng: &mut ChaCha8Rng) -> String {
    let place = rng.random_range(0..files.len());
    files.keys().nth(place).expect("there").clone()
}

fn weights(files: &Files, rng: &mut ChaCha8Rng) -> String {
    let names: Vec<&String> = files
        .keys()
        .filter(|n| n.ends_with(".safetensors"))
        .collect();
    names[rng.random_range(0..names.len())].clone()
}

/// Changes up to three bytes. Of weights, only the header is touched.
fn flip(files: &mut Files, rng: &mut ChaCha8Rng, name: &str) -> String {
    let file = files.get_mut(name).expect("there");
    let end = if name.ends_with(".safetensors") {
        8 + u64::from_le_bytes(file[..8].try_into().expect("eight bytes")) as usize
    } else {
        file.len()
    };
    let places: Vec<usize> = (0..rng.random_range(1..4))
        .map(|_| {
            let place = rng.random_range(0..end);
            file[place] ^= 1 << rng.random_range(0..8);
            place
        })
        .collect();
    format!("{name} changed at {places:?}")
}

fn change_tensor(
    files: &mut Files,
    rng: &mut ChaCha8Rng,
    what: &str,
    change: impl Fn(&mut Value, &mut ChaCha8Rng),
) -> String {
    let name = weights(files, rng);
    let (mut header, numbers) = split(&files[&name]);
    let tensors = header.as_object_mut().expect("a map");
    tensors.remove("__metadata__");
    let place = rng.random_range(0..tensors.len());
    let (tensor, entry) = tensors.iter_mut().nth(place).expect("there");
    change(entry, rng);
    let told = format!("{name}: {tensor}: {what}: {entry}");
    files.insert(name, join(&header.to_string(), &numbers));
    told
}

fn not_finite(files: &mut Files, rng: &mut ChaCha8Rng) -> String {
    let name = weights(files, rng);
    let (header, mut numbers) = split(&files[&name]);
    let half = header
        .as_object()
        .expect("a map")
        .values()
        .any(|tensor| tensor["dtype"] == "BF16");
    let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][rng.random_range(0..3)].to_le_bytes();
    let bad = if half { &bad[2..] } else { &bad[..] };
    let at = bad.len() * rng.random_range(0..numbers.len() / bad.len());
    numbers[at..at + bad.len()].copy_from_slice(bad);
    files.insert(name.clone(), join(&header.to_string(), &numbers));
    format!("{name}: not finite at byte {at}")
}

/// Gives a key of a JSON object twice, the second time with the value of another.
fn duplicate(files: &mut Files, rng: &mut ChaCha8Rng) -> String {
    let name = weights(files, rng);
    let (header, numbers) = split(&files[&name]);
    let tensors = header.as_object().expect("a map");
    let pick = |rng: &mut ChaCha8Rng| tensors.iter().nth(rng.random_range(0..tensors.len()));
    let ((key, _), (_, value)) = (pick(rng).expect("there"), pick(rng).expect("there"));
    let mut text = header.to_string();
    text.pop();
    let text = format!("{text},{}:{value}}}", json!(key));
    let told = format!("{name}: {key} twice");
    files.insert(name, join(&text, &numbers));
    told
}

/// Puts another value of any kind in the place of one.
fn change_json(files: &mut Files, rng: &mut ChaCha8Rng, name: &str) -> String {
    let mut root: Value = serde_json::from_slice(&files[name]).expect("JSON");
    let field = if name == INDEX {
        &mut root["weight_map"]
    } else {
        &mut root
    };
    let fields = field.as_object_mut().expect("a map");
    let place = rng.random_range(0..fields.len());
    let (key, value) = fields.iter_mut().nth(place).expect("there");
    let others = [
        json!(null),
        json!(0),
        json!(1),
        json!(3),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(1u64 << 40),
        json!(true),
        json!("../../etc/passwd"),
        json!([]),
        json!({"a": [1, 2, 3]}),
        json!("x".repeat(1000)),
    ];
    *value = others[rng.random_range(0..others.len())].clone();
    let told = format!("{name}: {key} = {value}");
    files.insert(name.to_owned(), root.to_string().into_bytes());
    told
}

fn put(folder: &Path, files: &Files) {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir(folder).expect("a folder");
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).expect("written");
    }
}

#[test]
fn a_broken_checkpoint_is_refused_or_loads_what_was_written() {
    in_own_process(|| {
        let place = tempfile::tempdir().expect("a temporary folder");
        let layouts = [
            (WeightType::F32, u64::MAX),
            (WeightType::F32, 4096),
            (WeightType::Bf16, 2048),
        ];
        let written = layouts
            .iter()
            .enumerate()
            .map(|(number, &(stored, bytes))| {
                let folder = place.path().join(format!("original-{number}"));
                let checkpoint = Checkpoint::new(&folder)
                    .with_weight_type(stored)
                    .with_max_shard_bytes(bytes);
                write(&checkpoint).expect("written");
                folder
            });
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let others = ["llama_biases", "mixtral_window", "qwen2_window", "qwen3"];
        let originals: Vec<(Files, Weights)> = written
            .chain(others.map(|name| fixtures.join(name)))
            .map(|folder| {
                let mut files = files(&folder).expect("files");
                files.remove("expected.json");
                (files, load(&folder).expect("loaded"))
            })
            .collect();

        let mutations = count("EURUS_MUTATIONS", 200) as u64;
        let folder = place.path().join("mutated");
        let (mut harmless, mut refused) = (0, BTreeMap::<String, usize>::new());
        let mut most = 0.0f32;
        for seed in 0..mutations {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (original, weights) = &originals[rng.next_u32() as usize % originals.len()];
            let mut files = original.clone();
            let told = mutate(&mut files, "config.json", &mut rng);
            put(&folder, &files);
            drop(files);

            ALLOCATOR.reset_peak_usage();
            let before = ALLOCATOR.current_usage_as_mb();
            let result = catch_unwind(AssertUnwindSafe(|| load(&folder)));
            most = most.max(ALLOCATOR.peak_usage_as_mb() - before);
            assert!(most < MEMORY_MIB, "seed {seed}: {told}: {most} MiB");
            match result {
                Err(_) => panic!("seed {seed}: {told}: loading panicked"),
                Ok(Ok(loaded)) => {
                    assert!(
                        loaded == *weights,
                        "seed {seed}: {told}: loaded something else"
                    );
                    harmless += 1;
                }
                Ok(Err(error)) => {
                    let message = error.to_string();
                    assert!(!message.is_empty(), "seed {seed}: {told}");
                    let debug = format!("{error:?}");
                    let kind = debug.split([' ', '(']).next().unwrap_or_default();
                    *refused.entry(kind.to_owned()).or_default() += 1;
                }
            }
        }
        println!(
            "{mutations} broken checkpoints: {harmless} load what was written, {} are refused, 0 panics, at most {most:.1} MiB",
            refused.values().sum::<usize>()
        );
        for (kind, count) in refused {
            println!("  {kind}: {count}");
        }
    });
}

#[test]
fn a_broken_adapter_folder_is_refused_or_loads_what_was_written() {
    in_own_process(|| {
        let place = tempfile::tempdir().expect("a temporary folder");
        let device = Device::flex();
        let adapters = LoraConfig::new(2);
        let adapted = model().with_adapters(&adapters, 3).expect("it fits");
        let original = place.path().join("original");
        let folder = AdapterFolder::new(&original);
        folder.save(&adapted, &adapters, "base").expect("written");
        let original = files(&original).expect("files");
        let written = weights_of(&adapted);

        let mutations = count("EURUS_MUTATIONS", 100) as u64;
        let folder = place.path().join("mutated");
        let (mut harmless, mut refused) = (0, 0);
        let mut most = 0.0f32;
        for seed in 0..mutations {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut files = original.clone();
            let told = mutate(&mut files, "adapter_config.json", &mut rng);
            put(&folder, &files);
            drop(files);
            let base = model();

            ALLOCATOR.reset_peak_usage();
            let before = ALLOCATOR.current_usage_as_mb();
            let load = || AdapterFolder::new(&folder).load(base, &device);
            let result = catch_unwind(AssertUnwindSafe(load));
            most = most.max(ALLOCATOR.peak_usage_as_mb() - before);
            assert!(most < MEMORY_MIB, "seed {seed}: {told}: {most} MiB");
            match result {
                Err(_) => panic!("seed {seed}: {told}: loading panicked"),
                Ok(Ok((loaded, _))) => {
                    assert!(
                        weights_of(&loaded) == written,
                        "seed {seed}: {told}: loaded something else"
                    );
                    harmless += 1;
                }
                Ok(Err(error)) => {
                    assert!(!error.to_string().is_empty(), "seed {seed}: {told}");
                    refused += 1;
                }
            }
        }
        println!(
            "{mutations} broken adapter folders: {harmless} load what was written, {refused} are refused, 0 panics, at most {most:.1} MiB"
        );
        assert!(refused * 2 > mutations);
    });
}
