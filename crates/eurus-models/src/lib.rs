//! Llama-architecture decoders over packed token forests: checkpoints in and out, reward heads, generation.
//!
//! For anyone who trains, scores or samples language models on data that branches, and for anyone who wants a Hugging
//! Face checkpoint of the Llama, Mistral, Mixtral or Qwen architecture in [burn](https://burn.dev). A batch is a
//! [`PackedForest`](token_forest::PackedForest): every node of every tree stands in it once, attends to its own path
//! alone, and there is no padding and no mask.
//!
//! # Quick start
//!
//! A prompt with two answers goes through the model as six tokens, not as two rows:
//!
//! ```
//! use burn::tensor::Device;
//! use eurus_models::{Decoder, DecoderConfig, ForestBatch, ForestBody, ForestModel};
//! use token_forest::{PackedForest, TokenTree};
//!
//! # fn main() -> eurus_models::Result<()> {
//! let device = Device::flex();
//! let config = DecoderConfig::llama(64, 32, 2, 4); // vocabulary, width, layers, heads
//! let model = Decoder::init(&config, 7, &device); // or Checkpoint::new("path/to/model").decoder(&device)?
//!
//! let mut tree = TokenTree::new(vec![1, 2, 3], false);
//! tree.push(0, vec![4, 5], true);
//! let second = tree.push(0, vec![6], true);
//! let packed = PackedForest::from_trees([&tree])?;
//! let hidden = model.hidden_states(&ForestBatch::new(packed, &device));
//! assert_eq!(hidden.dims(), [6, 32]);
//!
//! // The second answer does not see the first one: its state is the one it has alone.
//! let alone = TokenTree::new(tree.path_tokens(second), false);
//! let alone = ForestBatch::new(PackedForest::from_trees([&alone])?, &device);
//! let alone = model.hidden_states(&alone).narrow(0, 3, 1);
//! let difference = (hidden.narrow(0, 5, 1) - alone).abs().max();
//! assert!(difference.into_scalar::<f32>() < 1e-5);
//! # Ok(())
//! # }
//! ```
//!
//! # What is read
//!
//! A folder with `config.json` and `model.safetensors` (or shards with an index), `model_type` `llama`, `mistral`,
//! `mixtral`, `qwen2` or `qwen3`, weights in float32, float16 or bfloat16; they are widened to float32. Grouped key/value
//! heads, tied embeddings, biases, sliding windows, mixtures of experts and `rope_scaling` of the types `default`, `linear`,
//! `llama3`, `yarn`, `dynamic` and `longrope` are supported. A field that would change the result and is not supported is an error, never ignored.
//!
//! # Features
//!
//! The CPU backend (flex) is always there, with fused, multi-threaded operations. The other backends run the same
//! operations made of burn's stock ones.
//!
//! | feature | adds |
//! | --- | --- |
//! | `gguf` | llama.cpp's files: `GgufFile` |
//! | `hub` | models of the Hugging Face hub: module `hub` |
//! | `avx512` | matrix products with AVX-512, on processors that have it |
//! | `cuda` | burn's CUDA backend |
//! | `wgpu` | burn's wgpu backend |
//! | `tch` | burn's LibTorch backend, which burn has deprecated; needs `LIBTORCH` set at build time |
//!
//! # Modules
//!
//! | item | what |
//! | --- | --- |
//! | [`DecoderConfig`] | the shape of a model, read from and written to `config.json` |
//! | [`Decoder`], [`layers`] | the language model; its module paths are the tensor names of the files |
//! | [`RewardModel`] | the same body with a head that reads one number |
//! | [`lora`] | low-rank adapters: put on, merged, taken off, in and out of PEFT's folders |
//! | [`Checkpoint`], [`WeightType`] | Hugging Face folders, read with one copy in memory, written whole or not at all |
//! | [`ForestBatch`] | a packed forest on a device |
//! | [`ForestBody`], [`ForestModel`], [`ForestRewardModel`], [`ForestBlocks`] | what trainers know of a model; implement them for your own |
//! | [`RowModel`], [`FromRows`], [`PaddedRows`] | a model over padded rows `[rows, time]` as one over forests |
//! | [`contract`] | whether a model of your own keeps the rules of forests |
//! | [`generate`] | sampling with a key/value cache, each prompt computed once for all its samples |
//! | [`LocalChatModel`], [`TextStream`] | a decoder with its tokenizer as a [`ChatModel`](chat_model::ChatModel), and its text as it comes |
//! | [`ops`] | tree attention and the other operations, with their backward passes |
//! | [`rope`] | rotary frequencies and tables |
//! | [`Error`] | what can go wrong, and what to do about it |

mod batch;
mod chat;
mod checkpoint;
mod config;
pub mod contract;
mod decoder;
mod error;
pub mod generate;
#[cfg(feature = "hub")]
pub mod hub;
pub mod lora;
mod model;
mod module_path;
pub mod ops;
mod reward;
pub mod rope;
mod rows;
mod untrained;

pub use batch::{ForestBatch, int_tensor};
pub use chat::{LocalChatModel, TextStream};
#[cfg(feature = "gguf")]
pub use checkpoint::GgufFile;
pub use checkpoint::{Checkpoint, EosTokenIds, MAX_SHARD_BYTES, WeightType};
pub use config::{Architecture, Biases, DecoderConfig, MixtureOfExperts, RopeScaling, Yarn};
pub use decoder::Decoder;
pub use error::{Error, Result};
pub use model::{ForestBlocks, ForestBody, ForestModel, ForestRewardModel};
pub use module_path::ModulePath;
pub use reward::{RewardHead, RewardModel, RewardProjection};
pub use rows::{FromRows, PaddedRows, RowModel};
pub use untrained::{Untrained, untrained_tokens};

/// The parts that a decoder is made of.
pub mod layers {
    pub use crate::decoder::{
        Body, BodyOutput, Embedding, Expert, FeedForward, Layer, LayerKeysValues, Mlp, Norm,
        Projection, Routing, SelfAttention, SparseMlp, load_balancing_loss,
    };
}

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
