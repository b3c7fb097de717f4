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
    let mut text = text.to_string();
    for marker in AFTER {
        text = after_last(&text, marker);
    }
    for marker in BEFORE {
        if let Some(at) = last(&text, marker) {
            text = text[..at].trim().to_string();
        }
    }
    if let Some(content) = boxed(&text) {
        text = content;
    }
    if let Some(at) = text.rfind(". ") {
        text = text[..at].trim().to_string();
    }
    for marker in VALUE {
        text = after_last(&text, marker);
    }
    text
}

/// Where a marker of ASCII letters stands last, in any case.
fn last(text: &str, marker: &str) -> Option<usize> {
    let mut windows = text.as_bytes().windows(marker.len());
    windows.rposition(|it| it.eq_ignore_ascii_case(marker.as_bytes()))
}

fn after_last(text: &str, marker: &str) -> String {
    match last(text, marker) {
        Some(at) => text[at + marker.len()..].trim().to_string(),
        None => text.to_string(),
    }
}

/// The content of the last box: of the first group of braces behind its name, if it closes and has something in it.
fn boxed(text: &str) -> Option<String> {
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
            let content = text[open + 1..open + place].trim();
            return (!content.is_empty()).then(|| content.to_string());
        }
    }
    None
}
