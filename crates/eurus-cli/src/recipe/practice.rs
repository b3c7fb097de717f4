//! `eurus recipe practice`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use eurus::burn::tensor::Device;
use eurus::forest::{TrainedBpe, train_bpe, write_tokenizer_folder};
use eurus::models::{Checkpoint, Decoder, DecoderConfig};
use eurus::recipes::practice::{Amounts, MODEL, Practice};

use crate::interrupt;
use crate::job::print;
use crate::options::at_least_one;
use crate::output::existing_ancestor;
use crate::usage::UsageError;

pub const EXAMPLES: &str = "\
In the folder are data, benchmarks and model: word problems in the formats of the paper's data sets, held-out ones as its benchmarks \
have them, and a Llama with fresh weights and a tokenizer trained on those texts. Some of the solutions to imitate leave out the \
answer that is asked for, which preferences hold against them. The same options give the same files.

Examples:
  eurus recipe practice --out practice
  eurus recipe practice --problems 50 --held-out 5 --hidden-size 32 --heads 2 --out practice
  eurus sft --model practice/model --data 'practice/data/ultrainteract-sft/*' --learning-rate 3e-3 --out runs/sft";

/// Standard deviation of fresh weights. A small and narrow model learns nothing in minutes from weights as small as those of a
/// large one.
const INITIALIZER_RANGE: f64 = 0.1;

/// The special tokens of the chat templates that a made model may be given.
const SPECIAL: [&str; 5] = ["<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>"];

#[derive(Debug, Args)]
pub struct MakePractice {
    /// Folder for the files; written whole or not at all
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Problems to learn from
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = at_least_one)]
    problems: usize,

    /// Problems to be measured on
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = at_least_one)]
    held_out: usize,

    /// Seed of the problems and of the model's weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Tokens of the tokenizer, at most
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = at_least_one)]
    vocabulary: usize,

    /// Width of the model
    #[arg(long, value_name = "N", default_value_t = 96, value_parser = at_least_one)]
    hidden_size: usize,

    /// Layers of the model
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = at_least_one)]
    layers: usize,

    /// Attention heads of the model
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = at_least_one)]
    heads: usize,

    /// The longest text that the model is made for, in tokens
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = at_least_one)]
    context: usize,
}

impl MakePractice {
    pub fn run(&self) -> Result<()> {
        self.check()?;
        let practice = Practice::make(Amounts {
            problems: self.problems,
            held_out: self.held_out,
            seed: self.seed,
        })?;
        let model = self.model(&practice)?;
        let parameters = model.config.parameters();
        let made = || format!("{}: cannot write beside it (--out)", self.out.display());
        // All at once, which an interrupt waits for.
        interrupt::written(&self.out, || {
            let parent = existing_ancestor(&self.out);
            let hidden = tempfile::Builder::new()
                .prefix(".eurus-")
                .tempdir_in(&parent)
                .with_context(made)?;
            practice.write(hidden.path())?;
            model.write(&hidden.path().join(MODEL))?;
            if let Some(folder) = self.out.parent() {
                std::fs::create_dir_all(folder).with_context(made)?;
            }
            std::fs::rename(hidden.path(), &self.out).with_context(made)?;
            // There is nothing under its hidden name any more.
            let _ = hidden.keep();
            Ok(())
        })?;
        print(&format!(
            "{}: {} problems to learn from, {} to be measured on, and a model of {parameters} parameters",
            self.out.display(),
            self.problems,
            self.held_out
        ));
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.out.exists() {
            bail!(
                "{}: is there (--out); name another folder",
                self.out.display()
            );
        }
        if !self.hidden_size.is_multiple_of(2 * self.heads) {
            let problem = format!(
                "--hidden-size {} must be an even number for each of --heads {}",
                self.hidden_size, self.heads
            );
            return Err(UsageError::new(problem).into());
        }
        Ok(())
    }

    /// A model with fresh weights, and a tokenizer of the practice's texts.
    fn model(&self, practice: &Practice) -> Result<FreshModel> {
        let bpe = train_bpe(practice.texts(), self.vocabulary, &SPECIAL).context("--vocabulary")?;
        let config = DecoderConfig {
            max_position_embeddings: self.context,
            initializer_range: INITIALIZER_RANGE,
            ..DecoderConfig::llama(bpe.vocab_size(), self.hidden_size, self.layers, self.heads)
        };
        let decoder = Decoder::init(&config, self.seed, &Device::flex());
        Ok(FreshModel {
            decoder,
            config,
            bpe,
        })
    }
}

struct FreshModel {
    decoder: Decoder,
    config: DecoderConfig,
    bpe: TrainedBpe,
}

impl FreshModel {
    fn write(&self, folder: &Path) -> Result<()> {
        Checkpoint::new(folder).write_decoder(&self.decoder, &self.config)?;
        write_tokenizer_folder(folder, &self.bpe)?;
        Ok(())
    }
}
