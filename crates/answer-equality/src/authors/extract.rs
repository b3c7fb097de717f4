//! The paper's extraction.

/// What the released code takes for the answer in a response; the whole response if nothing marks one.
///
/// Unlike [`extract`](crate::extract) it cuts at words wherever they stand: of `5 square inches` it leaves `inches`.
///
/// ```
/// use answer_equality::authors::match_answer;
/// assert_eq!(match_answer(r"so \boxed{x = 5}"), "5");
/// assert_eq!(match_answer("Answer: 5 square inches"), "inches");
/// ```
pub fn match_answer(text: &str) -> String {
    matching(text).0
}

/// Whether a mark of an answer led [`match_answer`] to something with a digit: a statistic of the released code, which no
/// verdict depends on.
///
/// ```
/// use answer_equality::authors::is_marked;
/// assert!(is_marked("The answer is 5"));
/// assert!(!is_marked("The answer is yes") && !is_marked("5"));
/// ```
pub fn is_marked(text: &str) -> bool {
    let (answer, is_marked) = matching(text);
    is_marked && answer.contains(|c: char| c.is_ascii_digit())
}

/// What is left of a text, and whether there was a mark in it.
fn matching(text: &str) -> (String, bool) {
    const AFTER: [&str; 3] = ["answer:", "answer is", "answers are"];
    const BEFORE: [&str; 4] = [
        "is answer",
        "is the answer",
        "are answers",
        "are the answers",
    ];
    const VALUE: [&str; 11] = [
        "be ", "is ", "are ", "=", ": ", "get ", "be\n", "is\n", "are\n", ":\n", "get\n",
    ];
    let mut rest = text;
    let mut is_marked = false;
    for marker in AFTER {
        is_marked |= keep_after(&mut rest, marker);
    }
    for marker in BEFORE {
        if let Some(at) = last(rest, marker) {
            rest = rest[..at].trim();
            is_marked = true;
        }
    }
    if let Some(content) = last_box(rest).filter(|content| !content.is_empty()) {
        rest = content;
        is_marked = true;
    }
    if let Some(at) = rest.rfind(". ") {
        // This alone marks nothing.
        rest = rest[..at].trim();
    }
    for marker in VALUE {
        is_marked |= keep_after(&mut rest, marker);
    }
    (rest.to_string(), is_marked)
}

/// Where a marker of ASCII letters stands last, in any case.
fn last(text: &str, marker: &str) -> Option<usize> {
    let mut windows = text.as_bytes().windows(marker.len());
    windows.rposition(|it| it.eq_ignore_ascii_case(marker.as_bytes()))
}

/// Keeps what follows the last marker, if there is one.
fn keep_after(text: &mut &str, marker: &str) -> bool {
    let found = last(text, marker);
    if let Some(at) = found {
        *text = text[at + marker.len()..].trim();
    }
    found.is_some()
}

/// The content of the last `\boxed`, or of the last `\fbox` where there is none: of the first group of braces behind its name,
/// if it closes.
///
/// ```
/// use answer_equality::authors::last_box;
/// assert_eq!(last_box(r"\boxed{1}, no: \boxed{ \frac{1}{2} }"), Some(r"\frac{1}{2}"));
/// assert_eq!(last_box(r"\boxed 5"), None);
/// ```
pub fn last_box(text: &str) -> Option<&str> {
    let at = text.rfind("\\boxed").or_else(|| text.rfind("\\fbox"))?;
    let open = at + text[at..].find('{')?;
    let mut depth = 0;
    for (place, c) in text[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(text[open + 1..open + place].trim());
        }
    }
    None
}
