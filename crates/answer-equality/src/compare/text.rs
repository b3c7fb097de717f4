//! Answers as text: what does not count in it, names before values, letters of choices.

/// Without space, a final full stop, words before the value that do not change it, and parentheses round the whole.
pub(super) fn bare(mut text: &str) -> &str {
    loop {
        text = text.trim().trim_end_matches('.').trim();
        for words in ["the answer is ", "about ", "approximately ", "\\overline "] {
            let start = text.get(..words.len());
            if start.is_some_and(|start| start.eq_ignore_ascii_case(words)) {
                let rest = text[words.len()..].trim_start();
                // One value may be about right, a list may not.
                let about = words.starts_with("a") && rest.starts_with(['(', '[', '{']);
                text = if about { text } else { rest };
            }
        }
        match text.strip_prefix('(').and_then(|it| it.strip_suffix(')')) {
            Some(inside) if is_balanced(inside) && super::list::split(inside, true).len() == 1 => {
                text = inside
            }
            _ => return text,
        }
    }
}

/// Whether every bracket in a text closes in it; parentheses of two groups side by side do not.
pub(super) fn is_balanced(text: &str) -> bool {
    let mut depth = 0i64;
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

/// Without case and space, signs of multiplication that change nothing, and the beginning of "x in ...".
pub(super) fn as_text(text: &str) -> String {
    let lower = text.to_lowercase();
    let lower = lower
        .split_once('∈')
        .filter(|(name, _)| name.trim().chars().count() == 1)
        .map_or(lower.as_str(), |(_, set)| set);
    let lower = lower.replace("infinity", "inf");
    let words: Vec<&str> = lower.split_whitespace().collect();
    let chars: Vec<char> = words.join(" ").chars().collect();
    let beside = |at: usize| at.checked_sub(1).and_then(|at| chars.get(at));
    let digit = |c: Option<&char>| c.is_some_and(char::is_ascii_digit);
    // "2 1/2" is not "21/2", and "2*3" not "23".
    let kept = |&(at, c): &(usize, &char)| {
        !matches!(c, '*' | ' ') || (digit(beside(at)) && digit(chars.get(at + 1)))
    };
    let text: String = chars
        .iter()
        .enumerate()
        .filter(kept)
        .map(|(_, c)| c)
        .collect();
    text.trim_matches(['.', '\'']).to_string()
}

/// What "yes" and "true" say, and "no" and "false".
pub(super) fn truth_value(text: &str) -> Option<bool> {
    match text {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

/// The name and the value of a value that has a name: `x = 5`, `f(2) = 5`, `2 + 3 = 5`; nothing for an equation such as
/// `2x = 10`, and for inequalities.
pub(crate) fn named(text: &str) -> Option<(&str, &str)> {
    if super::relation::is_relation(text) {
        return None;
    }
    let (name, value) = text.rsplit_once('=')?;
    let value = value.trim();
    let name = name.trim().trim_end_matches(':');
    // Of "x = 2 + 3 = 5" the last value counts, and the first name.
    let first = name.split('=').next().unwrap_or(name).trim();
    let is_name = first.starts_with(|c: char| c.is_alphabetic() || matches!(c, '\\' | '|' | '∠'))
        && first
            .chars()
            .all(|c| c.is_alphanumeric() || c.is_whitespace() || "\\()|_'∠,.$".contains(c));
    let computed = || {
        crate::expression::number_prefix(first).is_some_and(|(_, _, rest)| rest.trim().is_empty())
    };
    (!value.is_empty() && (is_name || computed())).then_some((first, value))
}

/// The letter of a choice, and what stands behind it.
pub(super) fn choice(text: &str) -> Option<(char, &str)> {
    let mut rest = text;
    for word in ["option ", "choice ", "answer "] {
        if rest
            .get(..word.len())
            .is_some_and(|it| it.eq_ignore_ascii_case(word))
        {
            rest = rest[word.len()..].trim_start();
        }
    }
    let opened = rest.strip_prefix('(');
    rest = opened.unwrap_or(rest);
    let letter = rest
        .chars()
        .next()
        .filter(|c| matches!(c, 'a'..='j' | 'A'..='J'))?;
    rest = &rest[1..];
    let closed = rest.strip_prefix([')', '.', ':']);
    let after = match (opened, closed, rest) {
        (None, _, "") => "",
        (Some(_), _, _) if !rest.starts_with(')') => return None,
        (_, Some(after), _) => after,
        _ => return None,
    };
    let is_separate = after.is_empty() || after.starts_with(char::is_whitespace);
    let after = after.trim();
    let goes_on = after.starts_with(['+', '-', '*', '/', '^', '=']);
    (is_separate && !goes_on).then_some((letter.to_ascii_lowercase(), after))
}
