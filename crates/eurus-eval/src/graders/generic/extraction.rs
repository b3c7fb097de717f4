//! The part of an answer that is graded.

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The part of an answer that is graded, found by one rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Extraction {
    /// All of it, without white space around it.
    #[default]
    Whole,
    /// The first line that is not blank.
    FirstLine,
    /// The last line that is not blank.
    LastLine,
    /// What follows the last occurrence of a text, whatever its case, to the end of the line, without a full stop.
    After {
        /// The text, such as `the answer is`.
        marker: String,
    },
    /// The last match of a regular expression: its first group, or all of it where it has none.
    Regex {
        /// The expression, in the syntax of the crate `regex`.
        pattern: String,
    },
    /// The last number, with sign, decimals and thousands separated by commas.
    LastNumber,
    /// What states an answer in words or in `\boxed{}`, by the rules with which trees are built.
    Stated,
    /// The last fenced block, or all of it where there is none.
    Code,
}

impl Extraction {
    /// Refuses an expression that is none.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Regex { pattern } => Regex::new(pattern)
                .map(|_| ())
                .map_err(|error| format!("`extraction.pattern` is no regular expression: {error}")),
            Self::After { marker } if marker.is_empty() => {
                Err("`extraction.marker` is empty; give the text that stands before answers".into())
            }
            _ => Ok(()),
        }
    }

    /// The part, if there is one.
    ///
    /// ```
    /// use eurus_eval::graders::generic::Extraction;
    ///
    /// let answer = "2 pens at 1,250.50 each.\nThe answer is 2,501.";
    /// let after = Extraction::After { marker: "the answer is".to_owned() };
    /// assert_eq!(after.apply(answer).as_deref(), Some("2,501"));
    /// assert_eq!(Extraction::LastNumber.apply(answer).as_deref(), Some("2,501"));
    /// assert_eq!(Extraction::LastNumber.apply("none"), None);
    /// ```
    pub fn apply(&self, answer: &str) -> Option<String> {
        let found = match self {
            Self::Whole => answer.trim().to_owned(),
            Self::FirstLine => lines(answer).next()?.to_owned(),
            Self::LastLine => lines(answer).next_back()?.to_owned(),
            Self::After { marker } => after(answer, marker)?.to_owned(),
            Self::Regex { pattern } => {
                let regex = Regex::new(pattern).ok()?;
                let found = regex.captures_iter(answer).last()?;
                let group = found.get(1).or_else(|| found.get(0))?;
                group.as_str().trim().to_owned()
            }
            Self::LastNumber => last_number(answer)?,
            Self::Stated => answer_equality::extract(answer)?,
            Self::Code => code(answer).to_owned(),
        };
        (!found.is_empty()).then_some(found)
    }
}

fn lines(answer: &str) -> impl DoubleEndedIterator<Item = &str> {
    let lines = answer.lines().map(str::trim);
    lines.filter(|line| !line.is_empty())
}

fn after<'a>(answer: &'a str, marker: &str) -> Option<&'a str> {
    let pattern = format!("(?i){}", regex::escape(marker));
    let at = Regex::new(&pattern).ok()?.find_iter(answer).last()?.end();
    let rest = answer[at..].trim_start_matches([' ', ':', '\n', '\t']);
    let line = rest.lines().next()?.trim();
    Some(line.strip_suffix('.').unwrap_or(line).trim_end())
}

fn last_number(answer: &str) -> Option<String> {
    let number = Regex::new(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?").ok()?;
    let last = number.find_iter(answer).last()?;
    Some(last.as_str().to_owned())
}

/// The last fenced block, without the name of its language.
fn code(answer: &str) -> &str {
    let fences: Vec<usize> = answer.match_indices("```").map(|(at, _)| at).collect();
    let (open, close) = match fences[..] {
        [] => return answer.trim(),
        // The last one was not closed: all that follows it.
        [.., open] if fences.len() % 2 == 1 => (open, answer.len()),
        [.., open, close] => (open, close),
        [open] => (open, answer.len()),
    };
    let block = &answer[open + 3..close];
    block.split_once('\n').map_or(block, |(_, code)| code)
}
