//! Words, as the tokenizer of NLTK 3.8 finds them in English: sentences first, then the rules of the Penn Treebank, which
//! put spaces around what is a word of its own.

use std::sync::LazyLock;

use fancy_regex::Regex;

use super::python::{self, WORD, pattern};
use super::sentences::sentences;
use crate::error::{Error, Result};

/// The words of an English text, punctuation among them.
///
/// Straight double quotes come out as two backticks or two apostrophes.
///
/// # Errors
///
/// When a rule needs more steps than the regular expressions allow themselves.
///
/// ```
/// use eurus_eval::graders::ifeval::words;
///
/// assert_eq!(words("We can't pay $3.88, (sorry)!")?.join("|"), "We|ca|n't|pay|$|3.88|,|(|sorry|)|!");
/// # Ok::<(), eurus_eval::Error>(())
/// ```
pub fn words(text: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    for sentence in sentences(text) {
        let mut text = replaced(sentence.to_owned(), &BEFORE_ENDING_QUOTES)?;
        text = replaced(format!(" {text} "), &ENDING_QUOTES_AND_CONTRACTIONS)?;
        words.extend(python::split(&text).map(str::to_owned));
    }
    Ok(words)
}

/// The number of runs of letters, numbers and underscores.
pub fn word_count(text: &str) -> usize {
    static WORDS: LazyLock<regex::Regex> = LazyLock::new(|| pattern(&format!("{WORD}+")));
    WORDS.find_iter(text).count()
}

/// A pattern and what takes its place.
type Rule = (Regex, &'static str);

/// In this order. `B` stands for a word boundary of Python.
static BEFORE_ENDING_QUOTES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules(&[
        // Opening quotes.
        ("([«“‘„]|[`]+)", " $1 "),
        (r#"\A""#, "``"),
        ("(``)", " $1 "),
        (r#"([ (\[{<])("|'{2})"#, "$1 `` "),
        // An apostrophe before a single character that is no clitic.
        ("(?i)(')(?![mtsdn])(W)B", "$1 $2"),
        // Punctuation, and the period that ends the sentence.
        (r#"([^.])(\.)([\])}>"'»”’ ]*)\s*\z"#, "$1 $2 $3 "),
        (r"([:,])([^\p{Nd}])", " $1 $2"),
        (r"([:,])(?=\n?\z)", " $1 "),
        (r"\.{2,}", " $0 "),
        ("[;@#$%&]", " $0 "),
        (r#"([^.])(\.)([\])}>"']*)\s*\z"#, "$1 $2$3 "),
        ("[?!]", " $0 "),
        ("([^'])' ", "$1 ' "),
        ("[*]", " $0 "),
        (r"[\]\[(){}<>]", " $0 "),
        ("--", " -- "),
    ])
});

static ENDING_QUOTES_AND_CONTRACTIONS: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules(&[
        ("([»”’])", " $1 "),
        ("''", " '' "),
        ("\"", " '' "),
        ("([^' ])('[sS]|'[mM]|'[dD]|') ", "$1 $2 "),
        ("([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", "$1 $2 "),
        ("(?i)B(can)(not)B", " $1 $2 "),
        ("(?i)B(d)('ye)B", " $1 $2 "),
        ("(?i)B(gim)(me)B", " $1 $2 "),
        ("(?i)B(gon)(na)B", " $1 $2 "),
        ("(?i)B(got)(ta)B", " $1 $2 "),
        ("(?i)B(lem)(me)B", " $1 $2 "),
        ("(?i)B(more)('n)B", " $1 $2 "),
        (r"(?i)B(wan)(na)(?=\s)", " $1 $2 "),
        ("(?i) ('t)(is)B", " $1 $2 "),
        ("(?i) ('t)(was)B", " $1 $2 "),
    ])
});

fn rules(table: &[(&str, &'static str)]) -> Vec<Rule> {
    let boundary = boundary();
    let rule = |&(expression, replacement): &(&str, &'static str)| {
        let expression = expression
            .replace('W', WORD)
            .replace('B', &boundary)
            .replace(r"\s", python::SPACE);
        let regex = Regex::new(&expression).expect("a rule of this file is well formed");
        (regex, replacement)
    };
    table.iter().map(rule).collect()
}

/// What `\b` of Python's `re` matches, as part of a regular expression.
pub(super) fn boundary() -> String {
    format!("(?:(?<={WORD})(?!{WORD})|(?<!{WORD})(?={WORD}))")
}

fn replaced(mut text: String, rules: &[Rule]) -> Result<String> {
    for (regex, replacement) in rules {
        let result = regex.try_replacen(&text, 0, *replacement);
        let replaced = result.map_err(|source| Error::Pattern {
            pattern: regex.as_str().to_owned(),
            source: Box::new(source),
        })?;
        text = replaced.into_owned();
    }
    Ok(text)
}
