//! Whole test texts inside training texts.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A test text that stands in a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Substring {
    /// Position of the test text among those given.
    pub test_index: usize,
    /// The shared text, lowercased and with single spaces.
    pub text: String,
}

/// Test texts to be found inside others. Case and the kind and amount of white space do not matter,
/// everything else does.
///
/// ```
/// use ultrainteract::decontaminate::Substrings;
///
/// let index = Substrings::new(["Reverse a linked list.", "Sort!"], 10)?;
/// let found = index.find("Task: reverse a\n  linked LIST. Use Python.").unwrap();
/// assert_eq!((found.test_index, &found.text[..]), (0, "reverse a linked list."));
/// assert!(index.find("Reverse a linked list; then stop").is_none());
/// assert!(index.find("Sort!").is_none(), "too short to mean anything");
/// assert_eq!(index.skipped(), 1);
/// # Ok::<(), ultrainteract::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Substrings {
    automaton: AhoCorasick,
    /// Position among the texts given, by position in the automaton.
    test_indices: Vec<usize>,
    skipped: usize,
}

impl Substrings {
    /// The shortest test text that is looked for unless told otherwise, in characters.
    pub const DEFAULT_MIN_CHARS: usize = 32;

    /// Indexes the test texts with at least `min_chars` characters.
    ///
    /// # Errors
    ///
    /// `min_chars` is zero, or the texts have more than 2^31 bytes together.
    pub fn new<S: AsRef<str>>(
        test_texts: impl IntoIterator<Item = S>,
        min_chars: usize,
    ) -> Result<Self> {
        let setting = |found, expected: &str| Error::Setting {
            name: "min_chars",
            found,
            expected: expected.to_string(),
        };
        if min_chars == 0 {
            return Err(setting(0, "at least 1"));
        }
        let (mut patterns, mut test_indices, mut skipped) = (Vec::new(), Vec::new(), 0);
        for (index, text) in test_texts.into_iter().enumerate() {
            let text = normalise(text.as_ref());
            if text.chars().count() < min_chars {
                skipped += 1;
            } else {
                patterns.push(text);
                test_indices.push(index);
            }
        }
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&patterns)
            .map_err(|_| setting(min_chars, "larger: the test texts are too many to index"))?;
        Ok(Self {
            automaton,
            test_indices,
            skipped,
        })
    }

    /// The test text that ends first in this one.
    pub fn find(&self, text: &str) -> Option<Substring> {
        let text = normalise(text);
        let found = self.automaton.find(&text)?;
        Some(Substring {
            test_index: self.test_indices[found.pattern().as_usize()],
            text: text[found.range()].to_string(),
        })
    }

    /// Number of test texts that were too short.
    pub fn skipped(&self) -> usize {
        self.skipped
    }
}

fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().flat_map(char::to_lowercase));
    }
    out
}
