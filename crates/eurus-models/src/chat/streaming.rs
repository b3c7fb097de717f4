//! The text of an answer while its tokens come.

use token_forest::ChatTokenizer;

/// What has been handed over of a text, of which more tokens come.
///
/// A character may have several tokens, and a stop text several as well: what may still become one is held back.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use eurus_models::TextStream;
/// use token_forest::{ChatTokenizer, train_bpe};
///
/// let bpe = train_bpe(["one two"], 280, &["<|im_start|>", "<|im_end|>"])?;
/// let tokenizer = ChatTokenizer::from_files(bpe.files()?)?;
/// let tokens = tokenizer.encode_raw_prompt("one two")?;
/// let mut stream = TextStream::default();
/// let mut pieces = String::new();
/// for end in 1..=tokens.len() {
///     pieces += &stream.push(&tokens[..end], &tokenizer, &["o".repeat(3)]);
/// }
/// // The last `o` may be the beginning of the stop text.
/// assert_eq!(pieces, "one tw");
/// assert_eq!(stream.finish("one two"), "o");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct TextStream {
    /// Tokens from here on are decoded, since what a token is spelled as can depend on the one before.
    context: usize,
    /// Tokens whose text has been read.
    read: usize,
    /// Read and not handed over.
    held: String,
    /// Bytes that were handed over.
    given: usize,
}

impl TextStream {
    /// The text that can be handed over with the newest of these tokens.
    pub fn push(&mut self, tokens: &[u32], tokenizer: &ChatTokenizer, stop: &[String]) -> String {
        let decode = |tokens: &[u32]| tokenizer.decode(tokens).unwrap_or_default();
        let before = decode(&tokens[self.context..self.read]);
        let text = decode(&tokens[self.context..]);
        // Half a character is shown as one that stands for what cannot be read.
        if text.ends_with(char::REPLACEMENT_CHARACTER) {
            return String::new();
        }
        let Some(new) = text.strip_prefix(&before) else {
            return String::new();
        };
        self.held.push_str(new);
        self.context = self.read;
        self.read = tokens.len();
        let end = self.held.len() - begun(&self.held, stop);
        let rest = self.held.split_off(end);
        let given = std::mem::replace(&mut self.held, rest);
        self.given += given.len();
        given
    }

    /// What is left of the whole text when it has ended.
    pub fn finish<'a>(&self, whole: &'a str) -> &'a str {
        whole.get(self.given..).unwrap_or_default()
    }
}

/// Bytes at the end of a text with which a stop text may begin.
fn begun(text: &str, stop: &[String]) -> usize {
    let of_stop = |stop: &String| {
        let lengths = (1..stop.len()).rev();
        let mut begun = lengths.filter(|&len| stop.is_char_boundary(len));
        begun.find(|&len| text.ends_with(&stop[..len])).unwrap_or(0)
    };
    // A whole one, too: nothing is handed over from where it begins.
    let whole = stop
        .iter()
        .filter(|stop| !stop.is_empty())
        .filter_map(|stop| Some(text.len() - text.find(stop.as_str())?));
    let begun = stop.iter().map(of_stop);
    whole.chain(begun).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use token_forest::train_bpe;

    use super::*;

    fn tokenizer() -> ChatTokenizer {
        let texts = ["Step 1: we add.", "Stop here.", "größer ≥ 🙂 größer"];
        let bpe = train_bpe(texts, 300, &["<|im_start|>", "<|im_end|>"]).expect("bpe");
        ChatTokenizer::from_files(bpe.files().expect("files")).expect("a tokenizer")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_pieces_of_a_text_are_the_text_up_to_its_stop(
            words in prop::collection::vec("Step 1|: |St|op| her|e\\.|gr|öß|er|≥ |🙂|\\n", 0..12),
            with_stop in any::<bool>(),
        ) {
            let tokenizer = tokenizer();
            let text = words.concat();
            let stop: Vec<String> = match with_stop {
                true => vec!["Stop".into(), "er≥".into(), String::new()],
                false => Vec::new(),
            };
            let ends = stop.iter().filter(|it| !it.is_empty()).filter_map(|it| text.find(it.as_str()));
            let whole = &text[..ends.min().unwrap_or(text.len())];
            let tokens = tokenizer.encode_raw_prompt(&text).expect("tokens");
            prop_assert_eq!(tokenizer.decode(&tokens).expect("text"), text.clone());
            let mut stream = TextStream::default();
            let mut pieces = String::new();
            for end in 1..=tokens.len() {
                pieces += &stream.push(&tokens[..end], &tokenizer, &stop);
                prop_assert!(whole.starts_with(&pieces), "{pieces:?} of {whole:?}");
                if stop.is_empty() {
                    prop_assert!(!pieces.contains(char::REPLACEMENT_CHARACTER));
                }
            }
            if stop.is_empty() {
                prop_assert_eq!(&pieces, whole, "nothing is held back without need");
            }
            pieces += stream.finish(whole);
            prop_assert_eq!(pieces, whole);
        }
    }
}
