//! Test texts under all rules, and what they mark.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Decontaminator, NearDuplicates, Substrings};
use crate::formats::{Record, WHOLE_ROW, parse_json, read_jsonl};
use crate::input;
use crate::{Error, Result};

/// A test problem and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestItem {
    /// `row 3 of humaneval.jsonl`.
    pub location: String,
    /// The problem.
    pub text: String,
}

/// Which rules apply.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Words of an exact n-gram; none switches the rule off.
    pub ngram: Option<usize>,
    /// Characters that a test text must have to be looked for as a whole; none switches the rule
    /// off.
    pub substring: Option<usize>,
    /// Similarity from which on a text is a near duplicate; none switches the rule off.
    pub near_duplicate: Option<f64>,
}

impl Default for Rules {
    /// The paper's: 8-grams and substrings.
    fn default() -> Self {
        Self {
            ngram: Some(Decontaminator::DEFAULT_N),
            substring: Some(Substrings::DEFAULT_MIN_CHARS),
            near_duplicate: None,
        }
    }
}

/// The rule that marked a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// A whole test text stands in it.
    Substring,
    /// It shares an n-gram with a test text.
    Ngram,
    /// It is much like a test text.
    NearDuplicate,
}

/// Why a text should not be trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contamination {
    /// The rule.
    pub rule: Rule,
    /// Where the test problem stands.
    pub test: String,
    /// The text that the record and the test problem share.
    pub shared: String,
    /// How similar they are, for near duplicates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f64>,
}

/// Test problems, indexed under some rules.
///
/// ```
/// use ultrainteract::decontaminate::{Rule, Rules, TestItem, TestSet};
///
/// let items = vec![TestItem {
///     location: "row 1 of test.jsonl".into(),
///     text: "Tom has 3 red apples and buys 4 more apples. How many?".into(),
/// }];
/// let tests = TestSet::new(items, Rules::default())?;
/// let found = tests.find("So Tom has 3 red apples and buys 4 pears.").unwrap();
/// assert_eq!(found.rule, Rule::Ngram);
/// assert_eq!(found.shared, "tom has 3 red apples and buys 4");
/// # Ok::<(), ultrainteract::Error>(())
/// ```
#[derive(Debug)]
pub struct TestSet {
    items: Vec<TestItem>,
    ngrams: Option<Decontaminator>,
    substrings: Option<Substrings>,
    near_duplicates: Option<NearDuplicates>,
}

impl TestSet {
    /// Indexes test problems.
    ///
    /// # Errors
    ///
    /// A rule's setting is out of range.
    pub fn new(items: Vec<TestItem>, rules: Rules) -> Result<Self> {
        let texts = || items.iter().map(|item| &item.text);
        let ngrams = rules.ngram.map(|n| Decontaminator::new(texts(), n));
        let substrings = rules.substring.map(|chars| Substrings::new(texts(), chars));
        let near = rules
            .near_duplicate
            .map(|least| NearDuplicates::new(texts(), least));
        Ok(Self {
            ngrams: ngrams.transpose()?,
            substrings: substrings.transpose()?,
            near_duplicates: near.transpose()?,
            items,
        })
    }

    /// Number of test problems.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no test problem.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Why the text is contaminated, by the first rule that says so: substring, n-gram, likeness.
    pub fn find(&self, text: &str) -> Option<Contamination> {
        let test = |index: usize| self.items[index].location.clone();
        if let Some(found) = self.substrings.as_ref().and_then(|index| index.find(text)) {
            return Some(Contamination {
                rule: Rule::Substring,
                test: test(found.test_index),
                shared: found.text,
                similarity: None,
            });
        }
        if let Some(found) = self.ngrams.as_ref().and_then(|index| index.find(text)) {
            return Some(Contamination {
                rule: Rule::Ngram,
                test: test(found.test_index),
                shared: found.ngram,
                similarity: None,
            });
        }
        let found = self.near_duplicates.as_ref()?.find(text)?;
        Some(Contamination {
            rule: Rule::NearDuplicate,
            test: test(found.test_index),
            shared: self.items[found.test_index].text.clone(),
            similarity: Some(found.similarity),
        })
    }
}

/// The fields that a test problem may stand in, the first that is there.
const FIELDS: [&str; 9] = [
    "instruction",
    "question",
    "problem",
    "prompt",
    "Problem",
    "Question",
    "input",
    "text",
    "query",
];

/// Test problems of files: JSONL, a JSON array or Parquet with the problem in `field` (without one,
/// in the first of `instruction`, `question`, `problem`, `prompt`, `Problem`, `Question`, `input`,
/// `text`, `query`), or a `.txt` file with a problem on each line.
///
/// # Errors
///
/// A file cannot be read, or a record has no such field or something else than a text in it.
pub fn read_test_items(files: &[std::path::PathBuf], field: Option<&str>) -> Result<Vec<TestItem>> {
    let mut items = Vec::new();
    for file in files {
        if is_plain_text(file) {
            let mut lines = read_jsonl::<PlainLine>(file)?;
            while let Some(line) = lines.next() {
                items.push(TestItem {
                    text: line?.0,
                    location: lines.location().to_string(),
                });
            }
            continue;
        }
        let field = field.map(str::to_string);
        let parse = move |record: &[u8]| problem(record, field.as_deref());
        for record in input::read(vec![file.clone()], parse) {
            let record = record.map_err(|rejected| rejected.error)?;
            items.push(TestItem {
                location: record.location.to_string(),
                text: record.value,
            });
        }
    }
    Ok(items)
}

/// A line of a `.txt` file, which is a problem whatever it looks like.
struct PlainLine(String);

impl Record for PlainLine {
    fn from_json(line: &[u8]) -> Result<Self> {
        match std::str::from_utf8(line) {
            Ok(text) => Ok(Self(text.to_string())),
            Err(error) => Err(Error::NotUtf8 {
                field: WHOLE_ROW.to_string(),
                column: error.valid_up_to() + 1,
            }),
        }
    }
}

fn is_plain_text(file: &Path) -> bool {
    file.to_string_lossy()
        .trim_end_matches(".gz")
        .trim_end_matches(".zst")
        .ends_with(".txt")
}

fn problem(record: &[u8], field: Option<&str>) -> Result<String> {
    let value: Value = parse_json(record)?;
    let name = match field {
        Some(name) => name,
        None => FIELDS
            .into_iter()
            .find(|name| value.get(name).is_some())
            .ok_or_else(|| {
                let known = FIELDS.join(", ");
                let message = format!("has none of the fields {known}; say which it is");
                Error::malformed(WHOLE_ROW, message)
            })?,
    };
    match value.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Error::malformed(name, "is no text")),
        None => Err(Error::missing(name)),
    }
}
