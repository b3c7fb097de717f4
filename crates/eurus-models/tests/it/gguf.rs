//! GGUF files: what is in them is dequantized, put in Hugging Face's order and loaded; broken ones are refused.
//!
//! `EURUS_GGUF_DIR` names a folder of files with the folder that transformers makes of each beside it
//! (`fixtures/make_gguf.py`); their weights are compared bit for bit.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the results are to be seen"
)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::ALLOCATOR;
use crate::common::{Weights, weights};
use burn::tensor::Device;
use eurus_models::{Checkpoint, DecoderConfig, Error, GgufFile, Result, RopeScaling};
use half::f16;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use test_support::{folders, in_own_process};

const F32: u32 = 0;
const Q8_0: u32 = 8;
const BLOCK: usize = 32;

/// A GGUF file under construction: metadata, and tensors with their sizes innermost first.
#[derive(Default, Clone)]
struct Gguf {
    metadata: Vec<(String, u32, Vec<u8>)>,
    tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)>,
}

impl Gguf {
    fn string(&mut self, key: &str, value: &str) {
        let mut bytes = (value.len() as u64).to_le_bytes().to_vec();
        bytes.extend(value.as_bytes());
        self.metadata.push((key.into(), 8, bytes));
    }

    fn number(&mut self, key: &str, value: u32) {
        self.metadata
            .push((key.into(), 4, value.to_le_bytes().into()));
    }

    fn float(&mut self, key: &str, value: f32) {
        self.metadata
            .push((key.into(), 6, value.to_le_bytes().into()));
    }

    fn bytes(&self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(3u32.to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend((self.metadata.len() as u64).to_le_bytes());
        let put = |file: &mut Vec<u8>, text: &str| {
            file.extend((text.len() as u64).to_le_bytes());
            file.extend(text.as_bytes());
        };
        for (key, kind, value) in &self.metadata {
            put(&mut file, key);
            file.extend(kind.to_le_bytes());
            file.extend(value);
        }
        let mut offset = 0u64;
        for (name, sizes, kind, data) in &self.tensors {
            put(&mut file, name);
            file.extend((sizes.len() as u32).to_le_bytes());
            sizes
                .iter()
                .for_each(|size| file.extend(size.to_le_bytes()));
            file.extend(kind.to_le_bytes());
            file.extend(offset.to_le_bytes());
            offset += (data.len() as u64).next_multiple_of(32);
        }
        for (_, _, _, data) in &self.tensors {
            file.resize(file.len().next_multiple_of(32), 0);
            file.extend(data);
        }
        file.resize(file.len().next_multiple_of(32), 0);
        file
    }
}

/// Blocks of 32 numbers: a float16 scale and 32 signed bytes. Also the numbers that they stand for.
fn q8_0(values: &[f32]) -> (Vec<u8>, Vec<f32>) {
    let (mut bytes, mut numbers) = (Vec::new(), Vec::new());
    for block in values.chunks(BLOCK) {
        let largest = block
            .iter()
            .fold(0.0f32, |most, value| most.max(value.abs()));
        let scale = f16::from_f32(largest / 127.0);
        bytes.extend(scale.to_le_bytes());
        for value in block {
            let step = (value / scale.to_f32()).round().clamp(-127.0, 127.0) as i8;
            bytes.push(step as u8);
            numbers.push(f32::from(step) * scale.to_f32());
        }
    }
    (bytes, numbers)
}

/// Row `2 j + half` of a head is row `half * head_dim / 2 + j` of the original.
fn interleave(values: &[f32], rows: usize, heads: usize) -> Vec<f32> {
    let (columns, head_dim) = (values.len() / rows, rows / heads);
    (0..rows)
        .flat_map(|row| {
            let (head, within) = (row / head_dim, row % head_dim);
            let from = head * head_dim + (within % 2) * head_dim / 2 + within / 2;
            values[from * columns..(from + 1) * columns].to_vec()
        })
        .collect()
}

/// A Llama of two layers whose matrices are quantized, and the weights that it stands for.
fn tiny() -> (Gguf, Weights) {
    let (vocab, d, inner, heads, kv_heads) = (40, 32, 64, 4, 2);
    let mut file = Gguf::default();
    file.string("general.architecture", "llama");
    file.string("general.name", "tiny");
    for (key, value) in [
        ("block_count", 2),
        ("context_length", 64),
        ("embedding_length", d as u32),
        ("feed_forward_length", inner as u32),
        ("attention.head_count", heads as u32),
        ("attention.head_count_kv", kv_heads as u32),
        ("rope.dimension_count", 8),
    ] {
        file.number(&format!("llama.{key}"), value);
    }
    file.float("llama.attention.layer_norm_rms_epsilon", 1e-5);
    file.float("llama.rope.freq_base", 5e5);

    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut weights = Weights::new();
    let mut add = |gguf: String, own: String, rows: usize, columns: usize, heads: Option<usize>| {
        let values: Vec<f32> = (0..rows * columns)
            .map(|_| rng.random_range(-1.0..1.0))
            .collect();
        let (kind, data, numbers, sizes, shape) = if rows == 1 {
            let data = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            (F32, data, values, vec![columns as u64], vec![columns])
        } else {
            let (_, numbers) = q8_0(&values);
            let rows_there = match heads {
                Some(heads) => interleave(&values, rows, heads),
                None => values,
            };
            let sizes = vec![columns as u64, rows as u64];
            (
                Q8_0,
                q8_0(&rows_there).0,
                numbers,
                sizes,
                vec![rows, columns],
            )
        };
        file.tensors.push((gguf, sizes, kind, data));
        let bits = numbers.into_iter().map(f32::to_bits).collect();
        weights.insert(own, (shape, bits));
    };
    add(
        "token_embd.weight".into(),
        "model.embed_tokens.weight".into(),
        vocab,
        d,
        None,
    );
    add(
        "output_norm.weight".into(),
        "model.norm.weight".into(),
        1,
        d,
        None,
    );
    for layer in 0..2 {
        let mut part = |gguf: &str, own: &str, rows, columns, heads| {
            add(
                format!("blk.{layer}.{gguf}.weight"),
                format!("model.layers.{layer}.{own}.weight"),
                rows,
                columns,
                heads,
            );
        };
        part("attn_q", "self_attn.q_proj", d, d, Some(heads));
        part("attn_k", "self_attn.k_proj", d / 2, d, Some(kv_heads));
        part("attn_v", "self_attn.v_proj", d / 2, d, None);
        part("attn_output", "self_attn.o_proj", d, d, None);
        part("attn_norm", "input_layernorm", 1, d, None);
        part("ffn_norm", "post_attention_layernorm", 1, d, None);
        part("ffn_gate", "mlp.gate_proj", inner, d, None);
        part("ffn_up", "mlp.up_proj", inner, d, None);
        part("ffn_down", "mlp.down_proj", d, inner, None);
    }
    (file, weights)
}

fn load(path: &Path) -> Result<(Weights, DecoderConfig)> {
    let mut file = GgufFile::open(path)?;
    let model = file.decoder(&Device::flex())?;
    Ok((weights(&model), file.config()?))
}

fn load_bytes(bytes: &[u8]) -> Result<(Weights, DecoderConfig)> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("written");
    load(file.path())
}

fn refused(file: &Gguf, words: &[&str]) -> Error {
    let Err(error) = load_bytes(&file.bytes()) else {
        panic!("loaded; expected an error with {words:?}");
    };
    for word in words {
        assert!(
            error.to_string().contains(word),
            "`{word}` is not in: {error}"
        );
    }
    error
}

#[test]
fn a_quantized_llama_is_dequantized_and_put_in_order() -> Result<()> {
    let (file, expected) = tiny();
    let (loaded, config) = load_bytes(&file.bytes())?;
    assert_eq!(loaded, expected);
    assert!(config.tie_word_embeddings);
    assert_eq!(
        (config.vocab_size, config.head_dim, config.kv_heads),
        (40, 8, 2)
    );
    assert_eq!((config.rope_theta, config.rms_norm_epsilon), (5e5, 1e-5));

    // What was converted is a checkpoint like any other.
    let place = tempfile::tempdir().expect("a temporary folder");
    let path = place.path().join("tiny.gguf");
    std::fs::write(&path, file.bytes()).expect("written");
    let model = GgufFile::open(&path)?.decoder(&Device::flex())?;
    let folder = Checkpoint::new(place.path().join("model"));
    folder.write_decoder(&model, &config)?;
    assert_eq!(weights(&folder.decoder(&Device::flex())?.0), expected);
    Ok(())
}

#[test]
fn experts_that_lie_one_behind_the_other_are_taken_apart() -> Result<()> {
    let (mut file, mut expected) = tiny();
    let (experts, d, inner) = (3, 32, 64);
    file.number("llama.expert_count", experts as u32);
    file.number("llama.expert_used_count", 2);
    file.tensors.retain(|(name, ..)| {
        !["ffn_gate", "ffn_up", "ffn_down"]
            .iter()
            .any(|part| name.contains(part))
    });
    expected.retain(|name, _| !name.contains(".mlp."));
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for layer in 0..2 {
        let moe = format!("model.layers.{layer}.block_sparse_moe");
        let mut numbers = |count: usize| -> Vec<f32> {
            (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
        };
        let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect();
        let gate = numbers(experts * d);
        let bytes = gate.iter().flat_map(|x| x.to_le_bytes()).collect();
        let name = format!("blk.{layer}.ffn_gate_inp.weight");
        file.tensors
            .push((name, vec![d as u64, experts as u64], F32, bytes));
        expected.insert(
            format!("{moe}.gate.weight"),
            (vec![experts, d], bits(&gate)),
        );
        for (part, own, rows, columns) in [
            ("ffn_gate_exps", "w1", inner, d),
            ("ffn_down_exps", "w2", d, inner),
            ("ffn_up_exps", "w3", inner, d),
        ] {
            let (bytes, values) = q8_0(&numbers(experts * rows * columns));
            let sizes = [columns, rows, experts].map(|size| size as u64).to_vec();
            file.tensors
                .push((format!("blk.{layer}.{part}.weight"), sizes, Q8_0, bytes));
            for (expert, values) in values.chunks(rows * columns).enumerate() {
                let name = format!("{moe}.experts.{expert}.{own}.weight");
                expected.insert(name, (vec![rows, columns], bits(values)));
            }
        }
    }
    let (loaded, config) = load_bytes(&file.bytes())?;
    assert_eq!(loaded, expected);
    let mixture = config.mixture.expect("a mixture");
    assert_eq!((mixture.experts, mixture.experts_per_token), (3, 2));
    assert_eq!(config.sliding_window, None);
    Ok(())
}

#[test]
fn yarn_is_that_of_transformers_with_its_defaults() -> Result<(), Box<dyn std::error::Error>> {
    let (mut file, _) = tiny();
    file.string("llama.rope.scaling.type", "yarn");
    file.float("llama.rope.scaling.factor", 4.0);
    file.number("llama.rope.scaling.original_context_length", 16);
    let (_, config) = load_bytes(&file.bytes())?;
    let RopeScaling::Yarn(yarn) = config.rope_scaling else {
        panic!("{:?}", config.rope_scaling);
    };
    assert_eq!((yarn.factor, yarn.original_positions), (4.0, 16.0));
    assert_eq!(
        (yarn.beta_fast, yarn.beta_slow, yarn.truncate),
        (32.0, 1.0, true)
    );
    assert_eq!(yarn.attention_factor, 1.0 + 0.1 * 4.0_f64.ln());
    Ok(())
}

#[test]
fn what_would_change_the_result_is_refused() {
    let with = |change: &dyn Fn(&mut Gguf)| {
        let (mut file, _) = tiny();
        change(&mut file);
        file
    };
    refused(
        &with(&|file| file.number("llama.logit_scale", 2)),
        &["llama.logit_scale"],
    );
    for (kind, told) in [
        ("yarn", "is yarn, and there is no rope.scaling.factor"),
        (
            "longrope",
            "is longrope, which is not supported; none, linear and yarn are",
        ),
    ] {
        refused(
            &with(&|file| file.string("llama.rope.scaling.type", kind)),
            &["rope.scaling.type", told],
        );
    }
    refused(
        &with(&|file| {
            file.string("llama.rope.scaling.type", "yarn");
            file.float("llama.rope.scaling.factor", 4.0);
            file.float("llama.rope.scaling.yarn_beta_fast", 16.0);
        }),
        &["llama.rope.scaling.yarn_beta_fast"],
    );
    refused(
        &with(&|file| file.metadata[0].2[8..].copy_from_slice(b"gemma")),
        &["gemma"],
    );
    refused(
        &with(&|file| {
            file.metadata
                .retain(|(key, _, _)| key != "llama.block_count")
        }),
        &["llama.block_count", "missing"],
    );
    refused(
        &with(&|file| {
            file.tensors
                .retain(|(name, ..)| name != "blk.1.ffn_up.weight")
        }),
        &["model.layers.1.mlp.up_proj.weight"],
    );
    refused(
        &with(&|file| file.tensors[1].0 = "output_norm_2.weight".into()),
        &["model.norm.weight"],
    );
    let factors = [1.0f32, 2.0, 3.0, 4.0]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    refused(
        &with(&|file| {
            let factors: &Vec<u8> = &factors;
            file.tensors
                .push(("rope_freqs.weight".into(), vec![4], F32, factors.clone()));
        }),
        &["rope_freqs.weight"],
    );
    let nan = f32::NAN.to_le_bytes();
    let error = refused(
        &with(&|file| file.tensors[1].3[4..8].copy_from_slice(&nan)),
        &["model.norm.weight", "NaN", "[1]"],
    );
    assert!(matches!(error, Error::NotFinite { .. }));
}

#[test]
fn broken_files_are_refused_and_take_no_memory() {
    in_own_process(|| {
        let (file, _) = tiny();
        let whole = file.bytes();
        let numbers: usize = file
            .tensors
            .iter()
            .map(|t| t.3.len().next_multiple_of(32))
            .sum();
        let header = whole.len() - numbers;
        let (mut loaded, mut refused) = (0, 0);
        for seed in 0..400 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut bytes = whole.clone();
            if seed % 4 == 0 {
                bytes.truncate(rng.random_range(0..bytes.len()));
            } else {
                for _ in 0..rng.random_range(1..4) {
                    let place = rng.random_range(0..header);
                    match rng.random_range(0..3) {
                        0 => bytes[place] = 0xff,
                        1 => bytes[place] = 0,
                        _ => bytes[place] ^= 1 << rng.random_range(0..8),
                    }
                }
            }
            ALLOCATOR.reset_peak_usage();
            let before = ALLOCATOR.current_usage_as_mb();
            let result = catch_unwind(AssertUnwindSafe(|| load_bytes(&bytes)));
            let taken = ALLOCATOR.peak_usage_as_mb() - before;
            assert!(taken < 64.0, "seed {seed}: {taken} MiB");
            match result {
                Err(_) => panic!("seed {seed}: loading panicked"),
                Ok(Ok(_)) => loaded += 1,
                Ok(Err(error)) => {
                    assert!(!error.to_string().is_empty());
                    refused += 1;
                }
            }
        }
        println!("400 broken GGUF files: {refused} refused, {loaded} loaded, 0 panics");
        assert!(refused > 200, "{refused}");
    });
}

#[test]
fn files_agree_with_transformers() -> Result<()> {
    let what = "GGUF files of tests/fixtures/make_gguf.py";
    let Some(folder) = folders::named_by("EURUS_GGUF_DIR", what) else {
        return Ok(());
    };
    let mut compared = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "gguf") {
            continue;
        }
        let (loaded, config) = load(&path)?;
        let (expected, theirs) =
            Checkpoint::new(path.with_extension("")).decoder(&Device::flex())?;
        let expected = weights(&expected);
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        assert_eq!(loaded.len(), expected.len(), "{name}");
        let mut numbers = 0;
        for (tensor, (shape, bits)) in &expected {
            let (our_shape, ours) = &loaded[tensor];
            assert_eq!(our_shape, shape, "{name}: {tensor}");
            let differ = bits.iter().zip(ours).filter(|(a, b)| a != b).count();
            assert_eq!(
                differ,
                0,
                "{name}: {tensor}: {differ} of {} numbers differ",
                bits.len()
            );
            numbers += bits.len();
        }
        let shape = |c: &DecoderConfig| {
            (
                c.heads,
                c.kv_heads,
                c.head_dim,
                c.layers,
                c.rms_norm_epsilon as f32,
                c.rope_theta,
                c.rope_scaling.clone(),
                c.tie_word_embeddings,
            )
        };
        assert_eq!(shape(&config), shape(&theirs), "{name}");
        compared.insert(name, numbers);
    }
    for (name, numbers) in compared {
        println!("{name}: {numbers} numbers equal, bit for bit");
    }
    Ok(())
}
