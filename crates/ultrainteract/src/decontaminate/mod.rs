//! Finds test problems in training text: by exact n-gram, by exact substring, by likeness.
//!
//! | rule | finds | in the paper |
//! | --- | --- | --- |
//! | [`Decontaminator`] | eight words in a row that a test text has too | all test sets but LeetCode |
//! | [`Substrings`] | a whole test text inside the training text | LeetCode |
//! | [`NearDuplicates`] | texts most of whose five-word runs are the same (MinHash) | not used |
//!
//! [`TestSet`] holds the rules together and says of each text which test text it meets and why.
//!
//! Give the bare problems, on both sides. A prompt that every problem shares ("Solve the following
//! math problem step-by-step. ...") is an n-gram as good as any, and marks everything.

mod minhash;
mod ngram;
mod substring;
mod test_set;

pub use minhash::{NearDuplicate, NearDuplicates};
pub use ngram::{Decontaminator, Overlap, words};
pub use substring::{Substring, Substrings};
pub use test_set::{Contamination, Rule, Rules, TestItem, TestSet, read_test_items};

/// Calls `each` with the normalized words of a text: lowercase runs of letters and digits.
fn for_each_word(text: &str, mut each: impl FnMut(&str)) {
    let mut lowered = String::new();
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        if word.is_empty() {
            continue;
        }
        if word
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        {
            each(word);
        } else {
            lowered.clear();
            lowered.extend(word.chars().flat_map(char::to_lowercase));
            each(&lowered);
        }
    }
}
