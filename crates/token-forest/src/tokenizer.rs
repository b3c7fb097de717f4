//! The tokenizer and chat template of a model.

use std::path::Path;

use tokenizers::Tokenizer;

use crate::{BuiltInTemplate, ChatTemplate, Error, Message, Result, StandIn, TokenizerFiles};

/// A tokenizer with its chat template: conversations in, token trees out.
///
/// Special tokens come from the template alone; the tokenizer adds none of its own.
///
/// ```
/// use token_forest::{Message, ChatTokenizer, train_bpe};
///
/// # fn main() -> token_forest::Result<()> {
/// let bpe = train_bpe(["What is 2 + 2? It is 4."], 300, &["<|im_start|>", "<|im_end|>"])?;
/// let tokenizer = ChatTokenizer::from_files(bpe.files()?)?;
/// let prompt = tokenizer.encode_prompt(&[Message::user("What is 2 + 2?")])?;
/// let action = tokenizer.encode_action("It is 4.")?;
/// assert_eq!(action.last(), Some(&tokenizer.eos_id()));
/// assert_eq!(tokenizer.decode(&action)?, "It is 4.");
/// assert_eq!(tokenizer.decode(&prompt)?, "user\nWhat is 2 + 2?\nassistant\n");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ChatTokenizer {
    tokenizer: Tokenizer,
    template: ChatTemplate,
    files: TokenizerFiles,
    eos: String,
    eos_id: u32,
    declared_eos: String,
    stand_in: Option<StandIn>,
    special: Vec<String>,
    /// A special token to stand before a piece that is not the start of a text; see [`Self::encode_after`].
    lead: Option<(String, u32)>,
    vocab_size: usize,
}

impl ChatTokenizer {
    /// Reads a Hugging Face folder: `tokenizer.json`, `tokenizer_config.json` and, where they exist,
    /// `chat_template.jinja` and `special_tokens_map.json`.
    ///
    /// # Errors
    ///
    /// When a file is missing or malformed, there is no chat template or no end-of-turn token, or the template
    /// does not close an assistant turn with that token.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self> {
        Self::from_files(TokenizerFiles::read(folder.as_ref())?)
    }

    /// Builds the tokenizer from files in memory.
    ///
    /// Where the files' own template rewrites history and a [`BuiltInTemplate`] renders prompts and conversations of one
    /// turn as it does, that one [stands in](Self::stand_in) for it. A template that was
    /// [given](TokenizerFiles::with_template) is taken as it is.
    ///
    /// # Errors
    ///
    /// As [`ChatTokenizer::from_folder`].
    pub fn from_files(files: TokenizerFiles) -> Result<Self> {
        let mut chat = Self::with_own_template(files)?;
        if !chat.files.has_given_template() {
            chat.stand_in = StandIn::found(&chat);
        }
        chat.ready()
    }

    /// Builds the tokenizer with a template that comes along.
    ///
    /// Where it renders prompts and conversations of one turn as the files' own does, it [stands in](Self::stand_in) for
    /// that one and the files stay as they are; otherwise it becomes part of them.
    ///
    /// # Errors
    ///
    /// As [`ChatTokenizer::from_files`] and [`TokenizerFiles::with_built_in_template`].
    pub fn from_files_with(files: TokenizerFiles, template: BuiltInTemplate) -> Result<Self> {
        if let Ok(mut chat) = Self::with_own_template(files.clone()) {
            chat.stand_in = StandIn::chosen(&chat, template);
            if chat.stand_in.is_some() {
                return chat.ready();
            }
        }
        Self::with_own_template(files.with_built_in_template(template)?)?.ready()
    }

    /// Puts the template that stands in into its place, and looks whether turns end.
    fn ready(mut self) -> Result<Self> {
        if let Some(stand_in) = &self.stand_in {
            self.template = stand_in.template(&self.template)?;
        }
        // A template that never ends a turn must fail here, not after hours of training.
        self.encode_action("probe")?;
        Ok(self)
    }

    fn with_own_template(files: TokenizerFiles) -> Result<Self> {
        let tokenizer = files.tokenizer()?;
        let special_tokens = files.special_tokens()?;
        let (name, source) = files.chat_template()?;
        let Some(declared_eos) = special_tokens.get("eos_token").cloned() else {
            return Err(Error::Malformed {
                file: files.origin().to_string(),
                reason: "no `eos_token` in tokenizer_config.json or special_tokens_map.json"
                    .to_string(),
                advice: "set it to the token that ends an assistant turn",
            });
        };
        let declared_id =
            single_id(&tokenizer, &declared_eos).ok_or_else(|| Error::EosNotInVocabulary {
                token: declared_eos.clone(),
                folder: files.origin().to_string(),
            })?;
        let template = ChatTemplate::new(name, &source, special_tokens)?;
        let (eos, eos_id) = turn_end(&tokenizer, &template, &declared_eos)
            .unwrap_or_else(|| (declared_eos.clone(), declared_id));
        // Ids may have gaps, so the number of tokens would be too small.
        let highest_id = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
        let special = special_spellings(&tokenizer);
        Ok(Self {
            lead: lead_token(&tokenizer, eos_id),
            vocab_size: highest_id as usize + 1,
            template,
            tokenizer,
            files,
            eos,
            eos_id,
            declared_eos,
            stand_in: None,
            special,
        })
    }

    /// Sets the time that the template may write into prompts; see [`ChatTemplate::with_time`].
    #[must_use]
    pub fn with_time(mut self, unix_seconds: i64) -> Self {
        self.template = self.template.with_time(unix_seconds);
        self
    }

    /// Writes the files that the tokenizer was made from into a folder, byte for byte.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or a file cannot be written.
    pub fn write_folder(&self, folder: impl AsRef<Path>) -> Result<()> {
        self.files.write(folder.as_ref())
    }

    /// The files that the tokenizer was made from.
    #[must_use]
    pub fn files(&self) -> &TokenizerFiles {
        &self.files
    }

    /// The template that comes along and is used in place of the files' own, if one is. The files keep their own.
    #[must_use]
    pub fn stand_in(&self) -> Option<&StandIn> {
        self.stand_in.as_ref()
    }

    /// The chat template.
    #[must_use]
    pub fn template(&self) -> &ChatTemplate {
        &self.template
    }

    /// The token that ends an assistant turn, as text: the folder's `eos_token`, or the special token that the template
    /// writes right after an answer where it does not write the `eos_token`. Base models often have a ChatML template and
    /// an `eos_token` that ends documents.
    #[must_use]
    pub fn eos(&self) -> &str {
        &self.eos
    }

    /// The folder's `eos_token`, which need not be [the token that ends a turn](Self::eos).
    #[must_use]
    pub fn declared_eos(&self) -> &str {
        &self.declared_eos
    }

    /// The token that ends an assistant turn.
    #[must_use]
    pub fn eos_id(&self) -> u32 {
        self.eos_id
    }

    /// One more than the highest token id: the rows that an embedding needs.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Whether a token of this spelling is special.
    pub(crate) fn is_special(&self, token: &str) -> bool {
        self.special
            .binary_search_by(|it| it.as_str().cmp(token))
            .is_ok()
    }

    /// The first special token, in alphabetical order, whose spelling stands in a text.
    pub(crate) fn special_token_in(&self, text: &str) -> Option<&str> {
        // Most texts have none, and some vocabularies hundreds that begin alike.
        let mut beginning = "";
        let mut begins = false;
        let mut all = self.special.iter().map(String::as_str);
        all.find(|token| {
            let first = &token[..token
                .char_indices()
                .nth(2)
                .map_or(token.len(), |(at, _)| at)];
            if first != beginning {
                (beginning, begins) = (first, text.contains(first));
            }
            begins && text.contains(token)
        })
    }

    /// The text of a token, as the vocabulary spells it; `None` when no token has this id.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// The tokens of an action as an answer to a user message, through the end-of-turn token.
    ///
    /// These are the tokens that a tree node with this text gets, unless the template renders later turns
    /// unlike the first.
    ///
    /// # Errors
    ///
    /// When the text contains the end-of-turn token or the template refuses it.
    pub fn encode_action(&self, text: &str) -> Result<Vec<u32>> {
        let mut messages = vec![Message::user("probe")];
        let prompt = self.text_through("", &messages)?;
        messages.push(Message::assistant(text));
        let whole = self.text_through(&prompt, &messages)?;
        self.encode_after(&prompt, &whole)
    }

    /// The tokens of a plain text, without any chat template; special tokens in it are recognized, none is added.
    ///
    /// # Errors
    ///
    /// When the tokenizer cannot encode the text.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>> {
        ids(&self.tokenizer, text, false)
    }

    /// The tokens of a text that a model reads from its start, without any chat template: with the special tokens that the
    /// tokenizer adds itself, such as one that begins every text.
    ///
    /// # Errors
    ///
    /// When the tokenizer cannot encode the text.
    pub fn encode_raw_prompt(&self, text: &str) -> Result<Vec<u32>> {
        ids(&self.tokenizer, text, true)
    }

    /// The tokens of a text that goes on from another one, [such as a prompt](Self::prompt_text): those that it adds there.
    ///
    /// # Errors
    ///
    /// When the tokenizer cannot encode the text.
    pub fn encode_continuation(&self, before: &str, text: &str) -> Result<Vec<u32>> {
        self.encode_after(before, &format!("{before}{text}"))
    }

    /// The text of tokens, without special tokens.
    ///
    /// # Errors
    ///
    /// When the tokenizer cannot decode them.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.decode_with(ids, true)
    }

    /// The text of tokens, with special tokens written out.
    ///
    /// # Errors
    ///
    /// When the tokenizer cannot decode them.
    pub fn decode_with_special_tokens(&self, ids: &[u32]) -> Result<String> {
        self.decode_with(ids, false)
    }

    fn decode_with(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        self.tokenizer
            .decode(ids, skip_special_tokens)
            .map_err(|e| Error::Tokenize {
                action: "decode",
                input: format!("{:?}", &ids[..ids.len().min(16)]),
                reason: e.to_string(),
            })
    }

    /// The tokens of what `whole` adds to `before`.
    ///
    /// They are those that the text gets after the last characters of `before`, as in one text. Where the tokenizer
    /// joins characters across the border, they are those after a character that it does not join. Either way they
    /// depend on the path alone, and spell the text: on its own, a piece could begin with the mark that some
    /// tokenizers put at the start of a text.
    pub(crate) fn encode_after(&self, before: &str, whole: &str) -> Result<Vec<u32>> {
        let piece = &whole[before.len()..];
        if before.is_empty() {
            return self.encode_text(piece);
        }
        for context in [last_chars(before, CONTEXT_CHARS), "x", ".", "\n"] {
            let mut tokens = self.encode_led(&format!("{context}{piece}"))?;
            let tokens_before = self.encode_led(context)?;
            if tokens.starts_with(&tokens_before) {
                return Ok(tokens.split_off(tokens_before.len()));
            }
        }
        self.encode_led(piece)
    }

    /// The tokens of a text that is not at the start: after a special token, which is cut off again.
    fn encode_led(&self, text: &str) -> Result<Vec<u32>> {
        if let Some((lead, id)) = &self.lead {
            let mut tokens = self.encode_text(&format!("{lead}{text}"))?;
            if tokens.first() == Some(id) {
                tokens.remove(0);
                return Ok(tokens);
            }
        }
        self.encode_text(text)
    }
}

/// How much of the text before a piece is looked at: more than tokenizers look back for a word's beginning.
const CONTEXT_CHARS: usize = 48;

fn last_chars(text: &str, count: usize) -> &str {
    let start = text.char_indices().rev().nth(count.saturating_sub(1));
    start.map_or(text, |(start, _)| &text[start..])
}

fn ids(tokenizer: &Tokenizer, text: &str, add_special_tokens: bool) -> Result<Vec<u32>> {
    tokenizer
        .encode_fast(text, add_special_tokens)
        .map(|encoding| encoding.get_ids().to_vec())
        .map_err(|e| Error::Tokenize {
            action: "encode",
            input: text.chars().take(80).collect(),
            reason: e.to_string(),
        })
}

/// The id of a text that is one token of the vocabulary, and becomes this token in a text too.
fn single_id(tokenizer: &Tokenizer, token: &str) -> Option<u32> {
    let id = tokenizer.token_to_id(token)?;
    ids(tokenizer, token, false)
        .is_ok_and(|ids| ids == [id])
        .then_some(id)
}

/// The special tokens as they are spelled, those that begin alike together.
fn special_spellings(tokenizer: &Tokenizer) -> Vec<String> {
    let tokens = tokenizer.get_added_tokens_decoder().into_values();
    let mut special: Vec<String> = tokens
        .filter(|token| token.special && !token.content.is_empty())
        .map(|token| token.content)
        .collect();
    special.sort();
    special
}

/// The special token that a template writes right after an answer; `None` where the EOS token comes too, or nothing does.
fn turn_end(tokenizer: &Tokenizer, template: &ChatTemplate, eos: &str) -> Option<(String, u32)> {
    const ANSWER: &str = "an answer";
    let messages = [Message::user("a question"), Message::assistant(ANSWER)];
    let text = template.render(&messages, false).ok()?;
    let after = &text[text.rfind(ANSWER)? + ANSWER.len()..];
    if after.contains(eos) {
        return None;
    }
    let special = tokenizer.get_added_tokens_decoder().into_values();
    special
        .filter(|token| token.special && after.trim_start().starts_with(&token.content))
        // One may begin with another.
        .max_by_key(|token| token.content.len())
        .and_then(|token| Some((token.content.clone(), single_id(tokenizer, &token.content)?)))
}

/// The end-of-turn token, or the first special token, that leaves the whitespace after it alone.
fn lead_token(tokenizer: &Tokenizer, eos_id: u32) -> Option<(String, u32)> {
    let mut candidates: Vec<(bool, u32, String)> = tokenizer
        .get_added_tokens_decoder()
        .into_iter()
        .filter(|(_, token)| token.special && !token.rstrip && !token.single_word)
        .map(|(id, token)| (id != eos_id, id, token.content))
        .collect();
    // Sorted, since the tokens come out of a hash map: the choice must be the same in every run.
    candidates.sort();
    candidates
        .into_iter()
        .next()
        .map(|(_, id, content)| (content, id))
}
