//! Final answers in a text, and in what a program shows.

mod boxes;

use boxes::last_boxes;

use crate::expression::Work;
use crate::quantity::number_within;

/// The final answer that an action states.
///
/// Of these the last one counts: what a `\boxed{..}` (or `\fbox{..}`) has in it, what follows a label (`Answer:`,
/// `**Final Answer**:`, `Answer =`, a heading `### Answer`), a line `#### 42`, and `<answer>..</answer>`. Without any, the
/// last sentence that says it counts (`The answer is: 42`, `the correct option is (B)`). Boxes that only "and" or a comma
/// stands between are one answer. A label's answer stands on its line or on the next one with text, and ends where a reason
/// or another sentence begins.
///
/// ```
/// use answer_equality::extract;
/// assert_eq!(extract("so $\\boxed{\\frac{1}{2}}$.").as_deref(), Some("\\frac{1}{2}"));
/// assert_eq!(extract("Step 1: ...\nAnswer:3OH!3").as_deref(), Some("3OH!3"));
/// assert_eq!(extract("The answer is: 42").as_deref(), Some("42"));
/// assert_eq!(extract("I do not know."), None);
/// ```
pub fn extract(text: &str) -> Option<String> {
    let marked = [
        last_boxes(text, 0),
        last_label(text),
        last_tag(text),
        last_hashes(text),
    ];
    let last = marked.into_iter().flatten().max_by_key(|found| found.at);
    let answer = match last {
        Some(found) => found.answer,
        None => last_sentence(text)?,
    };
    let answer = answer.trim();
    // "Answer: The final answer is $42$."
    let answer = match last_sentence(answer) {
        Some(inner) => inner.trim().to_string(),
        None => answer.to_string(),
    };
    (!answer.is_empty()).then_some(answer)
}

/// The answer that a program shows: a marked one, as of [`extract`], or its last line that is not blank.
///
/// Give it all that the program wrote to its standard output, uncut; what it wrote to standard error is no answer.
///
/// ```
/// use answer_equality::extract_shown;
/// assert_eq!(extract_shown("x is\n 42 \n\n").as_deref(), Some("42"));
/// assert_eq!(extract_shown("Answer: 42\ndone").as_deref(), Some("42"));
/// assert_eq!(extract_shown(""), None);
/// ```
pub fn extract_shown(output: &str) -> Option<String> {
    extract(output).or_else(|| {
        let last = output.lines().rev().find(|line| !line.trim().is_empty())?;
        Some(last.trim().to_owned())
    })
}

/// The beginning of a text, at most so many bytes.
pub(crate) fn within(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// An answer and where in the text it stands.
struct Found {
    at: usize,
    answer: String,
}

/// Places from the end that may say the answer and are looked at, and lines from each on. A place costs up to the length of
/// the text.
const MOST_PLACES: usize = 1_000;

/// What is read of a sentence that says an answer.
const LONGEST_SENTENCE: usize = 2_000;

/// What follows the last label.
fn last_label(text: &str) -> Option<Found> {
    words_from_end(text, &["answer", "ans"]).find_map(|(at, after)| {
        let answer = labelled(text, at, after)?;
        Some(Found { at, answer })
    })
}

/// Where some words begin and end, in any case, the last one first, at most [`MOST_PLACES`].
fn words_from_end(text: &str, words: &[&str]) -> impl Iterator<Item = (usize, usize)> {
    let bytes = text.as_bytes();
    let places = (0..bytes.len()).rev().filter_map(move |at| {
        words.iter().find_map(|word| {
            let end = at + word.len();
            let whole = bytes.get(at..end)?.eq_ignore_ascii_case(word.as_bytes())
                && !text[..at].ends_with(char::is_alphanumeric)
                && !text[end..].starts_with(char::is_alphanumeric);
            whole.then_some((at, end))
        })
    });
    places.take(MOST_PLACES)
}

/// The answer behind a label that ends at a place, if what stands there makes it one.
fn labelled(text: &str, at: usize, after: usize) -> Option<String> {
    let marks = |c: char| c == '*' || c == '_' || c == ' ' || c == '\t';
    let rest = text[after..].trim_start_matches(marks);
    // "Answer (in cm):"
    let rest = match rest.strip_prefix('(').and_then(|it| it.split_once(')')) {
        Some((inside, after)) if !inside.contains('\n') => after.trim_start_matches(marks),
        _ => rest,
    };
    let sign = rest
        .chars()
        .next()
        .filter(|c| matches!(c, ':' | '：' | '=') || rest.starts_with("- "));
    if let Some(sign) = sign {
        let rest = &rest[sign.len_utf8()..];
        return first_line(rest);
    }
    // A heading: nothing else stands on the line.
    if !rest.starts_with(['\n', '\r']) {
        return None;
    }
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let before = text[line..at].trim();
    let before = before.trim_start_matches(['#', '*', ' ']).to_lowercase();
    let heading = ["", "final", "the final"].contains(&before.as_str());
    heading.then(|| first_line(rest))?
}

/// The answer on the first line with text.
fn first_line(text: &str) -> Option<String> {
    for (place, line) in text.lines().enumerate().take(MOST_PLACES) {
        // Markdown emphasis round the label leaves its stars behind it.
        let line = line.trim().trim_matches('*').trim();
        // A list of one answer.
        let line = match place {
            0 => line,
            _ => line
                .strip_prefix("- ")
                .or(line.strip_prefix("1. "))
                .or(line.strip_prefix("* "))
                .unwrap_or(line),
        };
        if !line.is_empty() && !line.starts_with("```") {
            return Some(without_reasons(line).to_string());
        }
    }
    None
}

/// The last `<answer>..</answer>`.
fn last_tag(text: &str) -> Option<Found> {
    let at = text.rfind("<answer>")?;
    let inside = &text[at + "<answer>".len()..];
    let end = inside.find("</answer>")?;
    Some(Found {
        at,
        answer: inside[..end].trim().to_string(),
    })
}

/// The last line `#### 42`, as in GSM8K. Headings of words are none.
fn last_hashes(text: &str) -> Option<Found> {
    let mut lines = text
        .rmatch_indices("####")
        .filter(|(at, _)| *at == 0 || text[..*at].ends_with('\n'))
        .take(MOST_PLACES);
    let work = Work::default();
    lines.find_map(|(at, marks)| {
        let answer = text[at + marks.len()..].lines().next()?.trim();
        number_within(answer, &work).is_some().then(|| Found {
            at,
            answer: answer.to_string(),
        })
    })
}

/// What the last sentence says that "the answer is".
fn last_sentence(text: &str) -> Option<String> {
    words_from_end(text, &["answer", "option", "choice"]).find_map(|(_, after)| {
        let answer = is_said(within(&text[after..], LONGEST_SENTENCE)).and_then(first_line)?;
        is_answer(&answer).then_some(answer)
    })
}

/// What stands behind "is" and words that go with it.
fn is_said(text: &str) -> Option<&str> {
    let text = text.trim_start_matches(['*', ' ']);
    let text = ["to the question ", "to this question ", "to the problem "]
        .iter()
        .find_map(|words| text.strip_prefix(words))
        .unwrap_or(text);
    let verb = [
        "is",
        "was",
        "would be",
        "must be",
        "should be",
        "equals",
        "will be",
    ];
    let text = verb.iter().find_map(|verb| text.strip_prefix(verb))?;
    let mut text = text
        .starts_with([' ', ':', '\n', '*', '}'])
        .then(|| text.trim_start_matches([':', ' ', '*', '}']))?;
    for word in ["therefore", "thus", "then", "simply", "just", "indeed"] {
        text = text
            .strip_prefix(word)
            .map_or(text, |after| after.trim_start_matches([',', ' ', ':']));
    }
    Some(text)
}

/// Whether it is something to compare and not a sentence about an answer: "the answer is reasonable".
fn is_answer(text: &str) -> bool {
    let words = text.trim_end_matches('.').split_whitespace().count();
    let has_value =
        text.contains(|c: char| c.is_ascii_digit() || matches!(c, '\\' | '$' | '`' | '"'));
    let choice = text
        .trim_start_matches("option ")
        .trim_matches(|c: char| !c.is_alphanumeric())
        .chars()
        .count()
        == 1;
    let name = words <= 3 && text.starts_with(|c: char| c.is_uppercase());
    let yes_or_no = ["yes", "no", "true", "false"]
        .contains(&text.trim_end_matches('.').to_lowercase().as_str());
    has_value || choice || name || yes_or_no
}

/// The answer without the reason or the sentence behind it.
fn without_reasons(line: &str) -> &str {
    const REASONS: [&str; 12] = [
        ", because ",
        " because ",
        ", since ",
        " since ",
        ", so ",
        ", as ",
        ", which ",
        ", where ",
        ", therefore ",
        " (because ",
        " (since ",
        " which means ",
    ];
    let lower = line.to_ascii_lowercase();
    let reason = REASONS.iter().filter_map(|reason| lower.find(reason)).min();
    let line = &line[..reason.unwrap_or(line.len())];
    match sentence_end(line) {
        Some(end) => &line[..end],
        None => line,
    }
}

/// Where the first sentence ends and another begins. The full stop of an abbreviation ends none.
fn sentence_end(line: &str) -> Option<usize> {
    line.match_indices(['.', '!'])
        .map(|(at, _)| at)
        .find(|&at| {
            let after = line[at + 1..].trim_start_matches(['*', '$']);
            let another = after.starts_with(' ')
                && after.trim_start().starts_with(|c: char| c.is_uppercase());
            let before = &line[..at];
            let word_start = before
                .rfind(|c: char| !c.is_alphabetic())
                .map_or(0, |space| {
                    space + before[space..].chars().next().map_or(1, char::len_utf8)
                });
            let word = &before[word_start..];
            let value = before.ends_with(|c: char| {
                c.is_ascii_digit() || matches!(c, '}' | ')' | '$' | '*' | '`' | '%')
            });
            let yes_or_no = ["yes", "no", "true"].contains(&word.to_lowercase().as_str());
            let long_word = word.chars().count() >= 4;
            // "B. Paris" and "1. Paris" are one answer.
            let mut label = before.trim().chars();
            let only_label = label.next().is_some() && label.next().is_none();
            another
                && !(only_label && after.split_whitespace().count() < 2)
                && (value || yes_or_no || long_word)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_box_counts_and_an_open_one_does_not() {
        for (text, answer) in [
            (r"\boxed{1} then \boxed {2}", "2"),
            (r"\boxed{1} then \boxed{2", "1"),
            (
                r"\boxed{\left\{ 1, \frac{2}{3} \right.}",
                r"\left\{ 1, \frac{2}{3} \right.",
            ),
            (r"\boxed{x = \boxed{42}}", "42"),
            (r"$\boxed 42$", "42"),
            (r"\fbox{42}", "42"),
            (r"\boxed{2} and $\boxed{3}$", "2, 3"),
            (r"\boxed{\text{The answer is } 42}", "42"),
        ] {
            assert_eq!(extract(text).as_deref(), Some(answer), "{text}");
        }
        assert_eq!(extract(r"\boxed{}"), None);
    }

    #[test]
    fn labels_of_every_spelling_are_found() {
        for (text, answer) in [
            ("Answer:\n\n 7 apples \n", "7 apples"),
            ("**Final Answer:** 12", "12"),
            ("**Answer**: 12", "12"),
            ("Answer: 1\nno, answer: 2", "2"),
            ("### Answer\n42", "42"),
            ("Ans: 5\nThis answer is right.", "5"),
            ("Answer = 42", "42"),
            ("Answer - 42", "42"),
            ("Final Answer\n\n42", "42"),
            ("The correct answer is option B.", "option B."),
            ("Answer:\n```\n42\n```", "42"),
            ("Answer (in cm): 42", "42"),
            ("Answer:\n- 42", "42"),
            ("#### 42", "42"),
            ("<answer>\n42\n</answer>", "42"),
            ("So the final answer is 42.", "42."),
            ("The correct option is (B).", "(B)."),
            (
                "Answer: The final answer is $42$. I hope it is correct.",
                "$42$",
            ),
            ("Answer: 42. Therefore verified.", "42"),
            ("Answer: 42 apples, because 40+2=42", "42 apples"),
            ("Answer: Paris. It is the capital.", "Paris"),
            ("Answer: Dr. Smith", "Dr. Smith"),
            (r"\boxed{41} ... correcting: Answer: 42", "42"),
            (r"\boxed{42}. This answer is right.", "42"),
            (r"First \boxed{41}, no wait, it is 42.", "41"),
        ] {
            assert_eq!(extract(text).as_deref(), Some(answer), "{text}");
        }
    }

    #[test]
    fn other_words_are_no_labels() {
        for text in [
            "misanswer: 3",
            "The answer is reasonable and follows from the above.",
            "#### Step one",
            "answers: 3",
        ] {
            assert_eq!(extract(text), None, "{text}");
        }
    }
}
