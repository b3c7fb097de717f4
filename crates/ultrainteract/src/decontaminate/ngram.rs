//! Exact n-grams of words.
//!
//! A text is lowercased and cut into words, runs of letters and digits; everything else separates.
//! Its n-grams are all runs of n words; a text with fewer words is one gram as a whole. Two texts
//! overlap if they share a gram. So a two-word test question marks a training text only if that
//! is the same two words and nothing else.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::for_each_word;
use crate::{Error, Result};

/// A gram that a text shares with the test set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// Position of the test text among those given; the first that has the gram.
    pub test_index: usize,
    /// The shared words, normalized, with single spaces.
    pub ngram: String,
}

/// The n-grams of a test set.
///
/// ```
/// use ultrainteract::decontaminate::Decontaminator;
///
/// let test = ["Tom has 3 red apples and buys 4 more apples. How many?"];
/// let index = Decontaminator::new(test, Decontaminator::DEFAULT_N)?;
/// let overlap = index.find("Yesterday TOM has 3 red apples, and buys 4 -- pears").unwrap();
/// assert_eq!(overlap.test_index, 0);
/// assert_eq!(overlap.ngram, "tom has 3 red apples and buys 4");
/// assert!(index.find("Tom has 5 red apples and buys 4 more apples").is_none());
/// # Ok::<(), ultrainteract::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Decontaminator {
    n: usize,
    vocabulary: HashMap<String, u32>,
    first_test_with: HashMap<Box<[u32]>, usize>,
}

impl Decontaminator {
    /// The length that the paper uses.
    pub const DEFAULT_N: usize = 8;

    /// Indexes the test texts.
    ///
    /// # Errors
    ///
    /// `n` is zero.
    pub fn new<S: AsRef<str>>(test_texts: impl IntoIterator<Item = S>, n: usize) -> Result<Self> {
        if n == 0 {
            return Err(Error::Setting {
                name: "n",
                found: 0,
                expected: "at least 1".to_string(),
            });
        }
        let mut vocabulary: HashMap<String, u32> = HashMap::new();
        let mut first_test_with = HashMap::new();
        for (test_index, text) in test_texts.into_iter().enumerate() {
            let mut ids = Vec::new();
            for_each_word(text.as_ref(), |word| {
                let next = vocabulary.len() as u32;
                ids.push(match vocabulary.get(word) {
                    Some(&id) => id,
                    None => *vocabulary.entry(word.to_string()).or_insert(next),
                });
            });
            for gram in grams(&ids, n) {
                if !first_test_with.contains_key(gram) {
                    first_test_with.insert(gram.into(), test_index);
                }
            }
        }
        Ok(Self {
            n,
            vocabulary,
            first_test_with,
        })
    }

    /// The first gram of the text that a test text has too.
    pub fn find(&self, text: &str) -> Option<Overlap> {
        let mut ids = Vec::new();
        // A word that no test text has gets a number that no gram has.
        for_each_word(text, |word| {
            ids.push(self.vocabulary.get(word).copied().unwrap_or(u32::MAX));
        });
        let found = grams(&ids, self.n).enumerate().find_map(|(start, gram)| {
            // Most grams have a word that no test text has; that is cheaper to see than to look up.
            let known = !gram.contains(&u32::MAX);
            let test = known.then(|| self.first_test_with.get(gram)).flatten();
            test.map(|&test_index| (test_index, start..start + gram.len()))
        });
        found.map(|(test_index, range)| Overlap {
            test_index,
            ngram: words(text)[range].join(" "),
        })
    }

    /// Words in a gram.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Number of different grams in the test set.
    pub fn len(&self) -> usize {
        self.first_test_with.len()
    }

    /// Whether no test text has a word.
    pub fn is_empty(&self) -> bool {
        self.first_test_with.is_empty()
    }
}

/// The normalized words of a text: lowercase runs of letters and digits.
///
/// ```
/// use ultrainteract::decontaminate::words;
/// assert_eq!(words("It's $3.50,\n  OK?"), ["it", "s", "3", "50", "ok"]);
/// ```
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for_each_word(text, |word| words.push(word.to_string()));
    words
}

fn grams(ids: &[u32], n: usize) -> std::slice::Windows<'_, u32> {
    // `windows` wants a positive length; an empty text has no window of length one.
    ids.windows(n.min(ids.len()).max(1))
}
