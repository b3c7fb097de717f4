//! Training a small tokenizer, for models that start from nothing.

use std::path::Path;

use serde_json::json;
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, DecoderWrapper, PreTokenizerWrapper, Tokenizer};

use crate::built_in::{CHATML_TURN_END, CHATML_TURN_START};
use crate::{BuiltInTemplate, Error, Result, TokenizerFiles};

/// A trained byte-level BPE tokenizer.
#[derive(Debug, Clone)]
pub struct TrainedBpe {
    tokenizer: Tokenizer,
}

/// Trains a byte-level BPE on texts.
///
/// Digits are split one by one, so a number is spelled as it is computed. Every byte has a token, so any text
/// can be encoded; merges are made for pairs that occur at least twice. Special tokens get the first ids, in
/// the order given. The vocabulary may stay smaller than asked when the texts have too few repeated pairs. The
/// result depends on nothing but the arguments.
///
/// ```
/// # fn main() -> token_forest::Result<()> {
/// let bpe = token_forest::train_bpe(["a banana, a banana"], 262, &["<|im_end|>"])?;
/// assert_eq!(bpe.vocab_size(), 262); // 256 bytes, one special token, five merges
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// When the vocabulary is too small for the bytes and the special tokens, or a special token is empty or
/// listed twice.
pub fn train_bpe<S: AsRef<str>>(
    texts: impl IntoIterator<Item = S>,
    vocab_size: usize,
    special_tokens: &[&str],
) -> Result<TrainedBpe> {
    let failed = |reason: String| Error::Train { reason };
    let alphabet = ByteLevel::alphabet();
    let least = alphabet.len() + special_tokens.len();
    if vocab_size < least {
        return Err(failed(format!(
            "a vocabulary of {vocab_size} is smaller than the {least} tokens for all bytes and the special tokens; ask for more"
        )));
    }
    for (index, token) in special_tokens.iter().enumerate() {
        if token.is_empty() || special_tokens[..index].contains(token) {
            return Err(failed(format!(
                "special token {index} ({token:?}) is empty or listed twice; remove it"
            )));
        }
    }

    // No space before the text: nodes are tokenized alone, and each would begin with one.
    let bytes = ByteLevel::new(false, true, true);
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer
        .with_pre_tokenizer(Some(Sequence::new(vec![
            PreTokenizerWrapper::Digits(Digits::new(true)),
            PreTokenizerWrapper::ByteLevel(bytes),
        ])))
        .with_decoder(Some(DecoderWrapper::ByteLevel(bytes)));
    let mut trainer: TrainerWrapper = BpeTrainerBuilder::new()
        .vocab_size(vocab_size)
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(alphabet.into_iter().collect())
        .special_tokens(
            special_tokens
                .iter()
                .map(|&token| AddedToken::from(token, true))
                .collect(),
        )
        .build()
        .into();
    let texts: Vec<String> = texts
        .into_iter()
        .map(|text| text.as_ref().to_string())
        .collect();
    tokenizer
        .train(&mut trainer, texts.iter())
        .map_err(|e| failed(e.to_string()))?;
    Ok(TrainedBpe { tokenizer })
}

/// Writes a trained tokenizer as a Hugging Face folder that Python's `transformers` loads too.
///
/// The chat template is ChatML without a default system message; a turn ends with `<|im_end|>`, which is also
/// the padding token.
///
/// # Errors
///
/// When the tokenizer was trained without `<|im_start|>` and `<|im_end|>`, or a file cannot be written.
pub fn write_tokenizer_folder(folder: impl AsRef<Path>, bpe: &TrainedBpe) -> Result<()> {
    bpe.files()?.write(folder.as_ref())
}

impl TrainedBpe {
    /// Number of tokens, special ones included.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The files of [`write_tokenizer_folder`], in memory.
    ///
    /// # Errors
    ///
    /// When the tokenizer was trained without `<|im_start|>` and `<|im_end|>`.
    pub fn files(&self) -> Result<TokenizerFiles> {
        for token in [CHATML_TURN_START, CHATML_TURN_END] {
            if self.tokenizer.token_to_id(token).is_none() {
                return Err(Error::Train {
                    reason: format!(
                        "the chat template needs `{token}`; list it in the special tokens of `train_bpe`"
                    ),
                });
            }
        }
        let tokenizer = self.tokenizer.to_string(true).map_err(|e| Error::Train {
            reason: e.to_string(),
        })?;
        let config = json!({
            "add_prefix_space": false,
            "chat_template": BuiltInTemplate::ChatMl.source(),
            // True would take spaces before punctuation out of decoded text.
            "clean_up_tokenization_spaces": false,
            "eos_token": CHATML_TURN_END,
            "pad_token": CHATML_TURN_END,
            "tokenizer_class": "PreTrainedTokenizerFast",
        });
        let special_tokens = json!({ "eos_token": CHATML_TURN_END, "pad_token": CHATML_TURN_END });
        Ok(TokenizerFiles::from_parts(
            "a trained tokenizer",
            [
                ("tokenizer.json", tokenizer),
                ("tokenizer_config.json", format!("{config:#}\n")),
                ("special_tokens_map.json", format!("{special_tokens:#}\n")),
            ],
        ))
    }
}
