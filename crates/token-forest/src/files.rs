//! The files of a tokenizer folder, kept in memory.

mod missing;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{BuiltInTemplate, Error, Result};

/// The files that make a tokenizer: what a Hugging Face folder holds besides the model.
///
/// They are kept byte for byte, so that a checkpoint can be saved with the tokenizer it was loaded with.
///
/// ```no_run
/// use std::path::Path;
/// use token_forest::TokenizerFiles;
///
/// # fn main() -> token_forest::Result<()> {
/// let files = TokenizerFiles::read(Path::new("model"))?;
/// files.write(Path::new("fine-tuned"))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerFiles {
    /// Where they come from, for errors.
    origin: String,
    /// Contents by file name.
    contents: BTreeMap<String, Vec<u8>>,
    /// Where the chat template comes from, when it was given here.
    given_template: Option<String>,
}

/// What to do without one of the files that must be there.
const NOT_THERE: &str = "a tokenizer is a Hugging Face folder with tokenizer.json and \
                         tokenizer_config.json; copy both from the model or write them with \
                         `write_tokenizer_folder`";

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
const TEMPLATE: &str = "chat_template.jinja";

/// All files that may belong to a tokenizer; the first two must be there.
const NAMES: [&str; 8] = [
    TOKENIZER,
    CONFIG,
    SPECIAL_TOKENS,
    TEMPLATE,
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
];

impl TokenizerFiles {
    /// Names and contents of all files, one after another: equal for equal tokenizers with equal chat templates, whatever
    /// folder they come from.
    pub fn fingerprint(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, contents) in &self.contents {
            // With their lengths, so that no byte can move from one part to the next.
            for part in [name.as_bytes(), contents] {
                bytes.extend((part.len() as u64).to_le_bytes());
                bytes.extend(part);
            }
        }
        bytes
    }

    /// Reads the tokenizer files of a folder.
    ///
    /// # Errors
    ///
    /// When the folder, `tokenizer.json` or `tokenizer_config.json` is missing or a file cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut contents = BTreeMap::new();
        for name in NAMES {
            let path = folder.join(name);
            match fs::read(&path) {
                Ok(bytes) => {
                    contents.insert(name.to_string(), bytes);
                }
                Err(reason)
                    if reason.kind() == std::io::ErrorKind::NotFound
                        && ![TOKENIZER, CONFIG].contains(&name) => {}
                Err(reason) => {
                    let is_missing = reason.kind() == std::io::ErrorKind::NotFound;
                    let explained = is_missing.then(|| missing::explained(folder, name));
                    return Err(explained.flatten().unwrap_or(Error::File {
                        action: "read",
                        path,
                        reason,
                        advice: NOT_THERE,
                    }));
                }
            }
        }
        Ok(Self {
            origin: folder.display().to_string(),
            contents,
            given_template: None,
        })
    }

    /// Writes all files into a folder, which is made if it is missing.
    ///
    /// Each file is written under a temporary name and then renamed, so none is ever half there.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let advice = "check that the folder can be written and the disk is not full";
        fs::create_dir_all(folder).map_err(|reason| Error::File {
            action: "create",
            path: folder.to_path_buf(),
            reason,
            advice,
        })?;
        for (name, bytes) in &self.contents {
            let path = folder.join(name);
            let partial = folder.join(format!(".{name}.{}.partial", std::process::id()));
            let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, &path));
            if let Err(reason) = written {
                // The write failed already; a leftover that cannot be removed either adds nothing to say.
                let _ = fs::remove_file(&partial);
                return Err(Error::File {
                    action: "write",
                    path,
                    reason,
                    advice,
                });
            }
        }
        Ok(())
    }

    /// Returns the files with another chat template, for models that come without one. `name` says where the template
    /// comes from, for errors.
    ///
    /// The template becomes part of the files, in `chat_template.jinja` and in `tokenizer_config.json`, so whoever
    /// loads what [`TokenizerFiles::write`] wrote renders conversations the same way.
    ///
    /// # Errors
    ///
    /// When `tokenizer_config.json` is no JSON object.
    pub fn with_template(mut self, name: impl Into<String>, source: &str) -> Result<Self> {
        self.set_field(CONFIG, "chat_template", source)?;
        self.contents
            .insert(TEMPLATE.to_string(), source.as_bytes().to_vec());
        self.given_template = Some(name.into());
        Ok(self)
    }

    /// Returns the files with one of the chat templates that come with this crate.
    ///
    /// Where the template ends a turn with a token of its own ([`BuiltInTemplate::turn_end`]), that token becomes
    /// the EOS token; [`ChatTokenizer::from_files`](crate::ChatTokenizer::from_files) checks that the vocabulary
    /// has it.
    ///
    /// # Errors
    ///
    /// As [`TokenizerFiles::with_template`].
    pub fn with_built_in_template(self, template: BuiltInTemplate) -> Result<Self> {
        let name = format!("`{}` (built in)", template.name());
        let mut files = self.with_template(name, template.source())?;
        if let Some(token) = template.turn_end() {
            for name in [CONFIG, SPECIAL_TOKENS] {
                files.set_field(name, "eos_token", token)?;
            }
        }
        Ok(files)
    }

    /// Sets a field of a JSON file; a file that is not there stays away.
    fn set_field(&mut self, name: &str, field: &str, value: &str) -> Result<()> {
        let Some(mut json) = self.json(name)? else {
            return Ok(());
        };
        let Some(fields) = json.as_object_mut() else {
            return Err(Error::Malformed {
                file: self.path_of(name),
                reason: "it is no JSON object".to_string(),
                advice: "fetch it again",
            });
        };
        fields.insert(field.to_string(), Value::from(value));
        self.contents
            .insert(name.to_string(), format!("{json:#}\n").into_bytes());
        Ok(())
    }

    /// Files made here, not read.
    pub(crate) fn from_parts<const N: usize>(origin: &str, parts: [(&str, String); N]) -> Self {
        Self {
            origin: origin.to_string(),
            contents: parts
                .map(|(name, text)| (name.to_string(), text.into_bytes()))
                .into(),
            given_template: None,
        }
    }

    /// Whether the chat template was given, and did not come with the files.
    pub(crate) fn has_given_template(&self) -> bool {
        self.given_template.is_some()
    }

    /// Where the files come from.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The tokenizer itself, without truncation or padding: some folders carry both, and either would change
    /// sequences silently.
    pub(crate) fn tokenizer(&self) -> Result<tokenizers::Tokenizer> {
        let bytes = self.contents.get(TOKENIZER).map_or(&[][..], Vec::as_slice);
        let malformed = |reason: String| Error::Malformed {
            file: self.path_of(TOKENIZER),
            reason,
            advice: "fetch it again, or save it with the fast tokenizer of a current `transformers`",
        };
        let mut tokenizer =
            tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| malformed(e.to_string()))?;
        tokenizer
            .with_truncation(None)
            .map_err(|e| malformed(e.to_string()))?;
        tokenizer.with_padding(None);
        Ok(tokenizer)
    }

    /// The special tokens by their variable: `eos_token`, `bos_token`, ...
    pub(crate) fn special_tokens(&self) -> Result<BTreeMap<String, String>> {
        let mut tokens = BTreeMap::new();
        // Later files win: the configuration has the last word.
        for name in [SPECIAL_TOKENS, CONFIG] {
            let Some(Value::Object(fields)) = self.json(name)? else {
                continue;
            };
            for (variable, value) in fields {
                let content = value.get("content").unwrap_or(&value);
                if let (true, Some(token)) = (variable.ends_with("_token"), content.as_str()) {
                    tokens.insert(variable, token.to_string());
                }
            }
        }
        Ok(tokens)
    }

    /// The chat template and where it stands. A file of its own has precedence; of several named templates
    /// the one called `default` is taken.
    pub(crate) fn chat_template(&self) -> Result<(String, String)> {
        if let Some(bytes) = self.contents.get(TEMPLATE) {
            let file = match &self.given_template {
                Some(name) => name.clone(),
                None => self.path_of(TEMPLATE),
            };
            return match String::from_utf8(bytes.clone()) {
                Ok(source) => Ok((file, source)),
                Err(e) => Err(Error::Malformed {
                    file,
                    reason: e.to_string(),
                    advice: "save it as UTF-8",
                }),
            };
        }
        let config = self.json(CONFIG)?;
        let file = self.path_of(CONFIG);
        match config.as_ref().and_then(|config| config.get("chat_template")) {
            None | Some(Value::Null) => Err(Error::NoChatTemplate {
                folder: self.origin.clone(),
            }),
            Some(Value::String(source)) => Ok((file, source.clone())),
            Some(Value::Array(named)) => named
                .iter()
                .find(|entry| entry["name"] == "default")
                .and_then(|entry| entry["template"].as_str())
                .map(|source| (format!("{file} (default)"), source.to_string()))
                .ok_or_else(|| Error::Malformed {
                    file,
                    reason: "`chat_template` is a list without an entry `{\"name\": \"default\", \"template\": ..}`"
                        .to_string(),
                    advice: "name the template to use `default`",
                }),
            Some(_) => Err(Error::Malformed {
                file,
                reason: "`chat_template` is neither a string nor a list of named templates".to_string(),
                advice: "put the template there as a string",
            }),
        }
    }

    fn json(&self, name: &str) -> Result<Option<Value>> {
        let Some(bytes) = self.contents.get(name) else {
            return Ok(None);
        };
        serde_json::from_slice(bytes)
            .map(Some)
            .map_err(|e| Error::Malformed {
                file: self.path_of(name),
                reason: e.to_string(),
                advice: "fetch it again",
            })
    }

    fn path_of(&self, name: &str) -> String {
        Path::new(&self.origin).join(name).display().to_string()
    }
}
