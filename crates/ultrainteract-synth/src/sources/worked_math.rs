//! GSM8K and MATH: mathematics with a worked solution that the answer is taken from.

use super::row::{Draft, Reason, Row, ending_with};
use crate::problem::Gold;

/// GSM8K: the answer is what follows the last `####`, without commas; the solution what stands before it, without the marks
/// `<<6*7=42>>` that are meant for a calculator.
pub(super) fn gsm8k(row: &Row) -> Result<Draft, Reason> {
    let question = row.text("question")?;
    let worked = row.text("answer")?;
    let (rationale, answer) = worked
        .rsplit_once("####")
        .ok_or("field `answer` has no `####` before the final answer")?;
    let answer = answer.trim().replace(',', "");
    if answer.is_empty() {
        return Err("field `answer` has nothing after `####`".to_owned());
    }
    Ok(Draft {
        id: None,
        instruction: question.trim().to_owned(),
        solutions: ending_with(&without_marks(rationale), &answer),
        gold: Gold::Answer(answer),
    })
}

/// The text without `<<...>>`.
fn without_marks(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, mark)) = rest.split_once("<<") {
        plain += before;
        match mark.split_once(">>") {
            Some((_, after)) => rest = after,
            None => {
                // No mark: it is not closed.
                plain += "<<";
                rest = mark;
            }
        }
    }
    plain + rest
}

/// MATH: the answer is the content of the last `\boxed{}` or `\fbox{}`, the solution all of the text.
pub(super) fn math(row: &Row) -> Result<Draft, Reason> {
    let solution = row.text("solution")?;
    let answer = last_boxed(solution)
        .ok_or("field `solution` has no `\\boxed{}` whose braces close")?
        .trim();
    if answer.is_empty() {
        return Err("field `solution` boxes nothing".to_owned());
    }
    Ok(Draft {
        id: None,
        instruction: row.text("problem")?.trim().to_owned(),
        gold: Gold::Answer(answer.to_owned()),
        solutions: vec![solution.trim().to_owned()],
    })
}

/// What the last box of a text holds. A box may do without braces if it holds one character or number: `\boxed 2`.
fn last_boxed(text: &str) -> Option<&str> {
    let (at, name) = ["\\boxed", "\\fbox"]
        .into_iter()
        .filter_map(|name| Some((text.rfind(name)?, name)))
        .max()?;
    let rest = text[at + name.len()..].trim_start();
    let Some(inside) = rest.strip_prefix('{') else {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '.'))?;
        return Some(&rest[..end]).filter(|it| !it.is_empty());
    };
    let mut depth = 1_usize;
    let mut escaped = false;
    for (index, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&inside[..index]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_box_is_taken_with_its_braces_balanced() {
        for (text, boxed) in [
            (
                r"First \boxed{1}, then $\boxed{\frac{1}{2}}$.",
                Some(r"\frac{1}{2}"),
            ),
            (r"$\boxed{\{1, 2\}}$", Some(r"\{1, 2\}")),
            (r"$\boxed{\text{Set } \{x\}}$", Some(r"\text{Set } \{x\}")),
            (r"$\boxed 2$.", Some("2")),
            (r"\fbox{B}", Some("B")),
            (r"$\boxed{\frac{1}{2}$", None),
            ("42", None),
        ] {
            assert_eq!(last_boxed(text), boxed, "{text}");
        }
    }

    #[test]
    fn marks_are_taken_out_and_other_brackets_stay() {
        assert_eq!(without_marks("6*7=<<6*7=42>>42 << 50"), "6*7=42 << 50");
    }
}
