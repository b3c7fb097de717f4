//! MathQA: options in one string, and at most five problems to a formula.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::row::{Draft, Reason, Row, ending_with};
use crate::problem::Gold;

/// The most problems of one annotated formula that the paper kept (appendix A.1).
pub(super) const MOST_OF_A_FORMULA: usize = 5;

/// A row as an open question: the answer is the text of the right option, and the options are not shown.
pub(super) fn draft(row: &Row) -> Result<Draft, Reason> {
    let answer = right_option(row)?;
    Ok(Draft {
        id: None,
        instruction: row.text("Problem")?.trim().to_owned(),
        solutions: ending_with(
            rationale(row.optional("Rationale")?.unwrap_or_default()),
            &answer,
        ),
        gold: Gold::Answer(answer),
    })
}

/// Rationales come in the quotes of a string in Python.
fn rationale(text: &str) -> &str {
    let text = text.trim();
    ['"', '\'']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(text)
        .trim()
}

fn right_option(row: &Row) -> Result<String, Reason> {
    let options = options(row.text("options")?);
    let correct = row.text("correct")?.trim().to_lowercase();
    let (_, text) = options
        .iter()
        .find(|(letter, _)| letter.to_string() == correct)
        .ok_or_else(|| format!("field `correct` is `{correct}`, which is none of the options"))?;
    if text.is_empty() {
        return Err(format!("option `{correct}` is empty"));
    }
    if is_no_answer(text) {
        return Err(format!(
            "the right option is `{text}`, which cannot be an answer without the options"
        ));
    }
    Ok(text.clone())
}

/// Whether an option says something about the others.
fn is_no_answer(option: &str) -> bool {
    let words: Vec<String> = option
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let words = words.join(" ");
    let about_others = ["none of", "all of", "both of", "any of"];
    matches!(&*words, "none" | "all")
        || about_others
            .iter()
            .any(|beginning| words.starts_with(beginning))
}

/// The options of `a ) 38 , b ) 27.675 , c ) 1,200`, or of a list of `a ) 38` written as Python does. Values can hold commas, so
/// an option begins where a comma, its letter in turn and a bracket follow each other.
fn options(text: &str) -> Vec<(char, String)> {
    let text = text.trim();
    let listed = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let text = listed.unwrap_or(text);
    let mut starts: Vec<(usize, usize, char)> = Vec::new();
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let expected = b'a' + starts.len() as u8;
        if *byte != expected || !expected.is_ascii_lowercase() {
            continue;
        }
        let before = text[..at].trim_end_matches([' ', '\'', '"']);
        let is_first = starts.is_empty() && before.is_empty();
        let after = text[at + 1..].trim_start_matches(' ');
        if (is_first || before.ends_with(',')) && after.starts_with(')') {
            let end = text.len() - after.len() + 1;
            starts.push((at, end, char::from(*byte)));
        }
    }
    let ends = starts.iter().skip(1).map(|(at, ..)| *at);
    let ends: Vec<usize> = ends.chain([text.len()]).collect();
    starts
        .iter()
        .zip(ends)
        .enumerate()
        .map(|(index, ((_, start, letter), end))| {
            let mut value = text[*start..end].trim();
            if listed.is_some() {
                value = value.trim_matches(['\'', '"', ' ']);
            }
            if index + 1 < starts.len() {
                value = value.trim_end().strip_suffix(',').unwrap_or(value);
            }
            if listed.is_some() {
                value = value.trim().trim_matches(['\'', '"']);
            }
            (*letter, value.trim().to_owned())
        })
        .collect()
}

/// Which rows to keep of those that can be judged.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// Rows of each formula: position of the row and the row's category.
    formulas: HashMap<u64, Vec<(u64, u32)>>,
    categories: HashMap<String, u32>,
    /// Rows of each category.
    counts: Vec<usize>,
}

impl Selection {
    /// Notes a row by its position among all rows. One without a formula is always kept.
    pub fn note(&mut self, position: u64, row: &Row) {
        let text = |name| row.optional(name).ok().flatten();
        let next = self.categories.len() as u32;
        let category = text("category").unwrap_or_default().trim().to_lowercase();
        let category = *self.categories.entry(category).or_insert(next);
        if category == next {
            self.counts.push(0);
        }
        self.counts[category as usize] += 1;
        let Some(formula) = text("annotated_formula") else {
            return;
        };
        let mut hash = DefaultHasher::new();
        for c in formula.chars().filter(|c| !c.is_whitespace()) {
            c.hash(&mut hash);
        }
        let rows = self.formulas.entry(hash.finish()).or_default();
        rows.push((position, category));
    }

    /// Positions of the rows that are too many, in order. Of a formula's categories each has its turn, the one with the fewest
    /// rows in the whole data set first, until five are chosen; rows of a category go in the order of the file.
    pub fn too_many(self) -> Vec<u64> {
        let mut left = Vec::new();
        for rows in self.formulas.into_values() {
            if rows.len() <= MOST_OF_A_FORMULA {
                continue;
            }
            let mut turns: HashMap<u32, usize> = HashMap::new();
            let mut order: Vec<(usize, usize, u32, u64)> = rows
                .into_iter()
                .map(|(position, category)| {
                    let turn = turns.entry(category).or_default();
                    *turn += 1;
                    (*turn, self.counts[category as usize], category, position)
                })
                .collect();
            order.sort_unstable();
            left.extend(order.iter().skip(MOST_OF_A_FORMULA).map(|it| it.3));
        }
        left.sort_unstable();
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_split_where_the_next_letter_begins() {
        let split = |text: &str| -> Vec<String> {
            options(text).into_iter().map(|(_, value)| value).collect()
        };
        assert_eq!(
            split("a ) 38 , b ) 27.675 , c ) 30 , d ) data inadequate , e ) none of these"),
            ["38", "27.675", "30", "data inadequate", "none of these"]
        );
        assert_eq!(
            split("a ) rs . 1,200 , b ) 2 , 000 , c ) ( a , b ) , d ) 4"),
            ["rs . 1,200", "2 , 000", "( a , b )", "4"]
        );
        assert_eq!(split("a) 1, b) 2"), ["1", "2"]);
        assert_eq!(split("['a ) 0.5', 'b ) 1,000']"), ["0.5", "1,000"]);
        assert!(split("38").is_empty());
    }

    #[test]
    fn what_speaks_of_the_other_options_is_no_answer() {
        for text in ["none of these", "None of the above", "none", "all of these"] {
            assert!(is_no_answer(text), "{text}");
        }
        for text in [
            "nonet",
            "38",
            "no profit",
            "cannot be determined",
            "allowance 5",
        ] {
            assert!(!is_no_answer(text), "{text}");
        }
    }
}
