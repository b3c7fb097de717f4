//! Whether two answers say the same.

use super::quantity::Quantity;
use super::times::Time;
use super::typeset::plain_math;

/// Longer answers are compared as text alone.
pub(super) const LONGEST: usize = 10_000;

/// Brackets and names inside each other that are followed.
const DEEPEST: usize = 16;

/// Items of lists that are compared in any order.
const MOST_UNORDERED: usize = 200;

/// Whether an answer says what the ground truth says.
///
/// Both are compared as text without case, spaces and typesetting, and by what they are:
///
/// - Numbers, with arithmetic that has no variables: exactly if both are whole or fractions; if one is a decimal, a relative
///   [`RELATIVE_TOLERANCE`](super::RELATIVE_TOLERANCE) is allowed. Commas between thousands, currency, percent signs and
///   units do not matter where one side lacks them; units that both sides have are converted, or must be the same.
/// - Lists, of which order counts in parentheses and brackets; intervals, with their ends.
/// - Choices (`(B)`, `B: Paris`) by their letter, times of day, and values with a name (`x = 5`).
///
/// What only algebra could show is not seen: `x + 1` and `1 + x` do not match.
///
/// ```
/// use ultrainteract::action_text::answers_match;
/// assert!(answers_match("$1,234.50", "1234.5 dollars"));
/// assert!(answers_match("0.33333", "1/3"));
/// assert!(answers_match("(B)", "b"));
/// assert!(answers_match("x = 1, x = 2", "2 and 1"));
/// assert!(!answers_match("20001", "20000"));
/// assert!(!answers_match("x >= 5", "5"));
/// assert!(!answers_match("7 am", "7 pm"));
/// ```
pub fn answers_match(given: &str, truth: &str) -> bool {
    if given.len().max(truth.len()) > LONGEST {
        return given.trim().to_lowercase() == truth.trim().to_lowercase();
    }
    same(&plain_math(given), &plain_math(truth), 0)
}

fn same(given: &str, truth: &str, depth: usize) -> bool {
    let (given, truth) = (bare(given), bare(truth));
    let texts = (as_text(given), as_text(truth));
    if texts.0.is_empty() || texts.1.is_empty() {
        return false;
    }
    if texts.0 == texts.1 {
        return true;
    }
    if depth > DEEPEST {
        return false;
    }
    if let Some(same) = same_choice(given, truth, depth) {
        return same;
    }
    if let (Some(given), Some(truth)) = (Time::parse(given), Time::parse(truth)) {
        return given == truth;
    }
    match (list(given), list(truth)) {
        (Some(given), Some(truth)) => return given.same_as(&truth, depth),
        (Some(list), None) => return list.is_one(truth, depth),
        (None, Some(list)) => return list.is_one(given, depth),
        (None, None) => {}
    }
    if is_relation(given) || is_relation(truth) {
        return false;
    }
    match (named(given), named(truth)) {
        (Some((ours, given)), Some((theirs, truth))) => {
            return as_text(ours) == as_text(theirs) && same(given, truth, depth + 1);
        }
        (Some((_, given)), None) => return same(given, truth, depth + 1),
        (None, Some((_, truth))) => return same(given, truth, depth + 1),
        (None, None) => {}
    }
    if let Some(same) = Time::is_hour(given, truth) {
        return same;
    }
    match (Quantity::parse(given), Quantity::parse(truth)) {
        (Some(given), Some(truth)) => given.same_as(&truth),
        _ => false,
    }
}

/// Without space, a final full stop, and parentheses round the whole.
fn bare(mut text: &str) -> &str {
    loop {
        text = text.trim().trim_end_matches('.').trim();
        match text.strip_prefix('(').and_then(|it| it.strip_suffix(')')) {
            Some(inside) if is_balanced(inside) && split(inside, true).len() == 1 => text = inside,
            _ => return text,
        }
    }
}

/// Whether every bracket in a text closes in it; parentheses of two groups side by side do not.
fn is_balanced(text: &str) -> bool {
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
fn as_text(text: &str) -> String {
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

fn is_relation(text: &str) -> bool {
    ["<", ">", "!=", "~="]
        .iter()
        .any(|sign| text.contains(sign))
}

/// The name and the value of a value that has a name: `x = 5`, `f(2) = 5`, `2 + 3 = 5`; nothing for an equation such as
/// `2x = 10`, and for inequalities.
pub(super) fn named(text: &str) -> Option<(&str, &str)> {
    if is_relation(text) {
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
    let computed =
        || super::expression::number_prefix(first).is_some_and(|(_, rest)| rest.trim().is_empty());
    (!value.is_empty() && (is_name || computed())).then_some((first, value))
}

/// The letter of a choice, and what stands behind it.
fn choice(text: &str) -> Option<(char, &str)> {
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

/// Compares choices, if one of both is a choice.
fn same_choice(given: &str, truth: &str, depth: usize) -> Option<bool> {
    match (choice(given), choice(truth)) {
        (Some((a, ours)), Some((b, theirs))) => {
            Some(a == b && (ours.is_empty() || theirs.is_empty() || same(ours, theirs, depth + 1)))
        }
        // The value beside the letter.
        (Some((_, value)), None) if !value.is_empty() => Some(same(value, truth, depth + 1)),
        (None, Some((_, value))) if !value.is_empty() => Some(same(given, value, depth + 1)),
        _ => None,
    }
}

/// Several values.
struct List {
    /// The brackets round them.
    brackets: Option<(char, char)>,
    items: Vec<String>,
}

fn list(text: &str) -> Option<List> {
    let text = match text.split_once('∈') {
        Some((name, set)) if name.trim().chars().count() == 1 => set.trim(),
        _ => text,
    };
    let mut ends = (text.chars().next()?, text.chars().next_back()?);
    if ends == ('[', ']') && text.contains(';') {
        ends = (' ', ' '); // a matrix
    }
    let inside = (matches!(ends.0, '(' | '[' | '{') && matches!(ends.1, ')' | ']' | '}'))
        .then(|| text.get(1..text.len() - 1))
        .flatten()
        .filter(|inside| is_balanced(inside));
    if let Some(inside) = inside {
        let items = split(inside, true);
        let one = items.len() == 1;
        if one && ends.0 == '(' {
            return None;
        }
        return Some(List {
            brackets: Some(ends),
            items,
        });
    }
    let items = split(text, false);
    let items: Vec<String> = items.iter().flat_map(|item| both_signs(item)).collect();
    (items.len() > 1).then_some(List {
        brackets: None,
        items,
    })
}

/// The two values of "±2" and "3 ± 2".
fn both_signs(item: &str) -> Vec<String> {
    match item.split_once('±') {
        Some((before, after)) if !after.contains('±') => {
            let (name, before) = named_before(before);
            let before = if before.trim().is_empty() {
                "0"
            } else {
                before
            };
            ["+", "-"]
                .map(|sign| format!("{name}({before}){sign}({after})"))
                .to_vec()
        }
        _ => vec![item.to_string()],
    }
}

fn named_before(text: &str) -> (&str, &str) {
    match text.find('=') {
        Some(at) => text.split_at(at + 1),
        None => ("", text),
    }
}

/// The parts of a text between commas, semicolons, "and" and "or" outside brackets. Outside of all brackets a comma between
/// thousands separates nothing.
fn split(text: &str, bracketed: bool) -> Vec<String> {
    let mut parts = Vec::new();
    let mut depth = 0usize;
    let mut from = 0;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let mut length = c.len_utf8();
        let mut separates = false;
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => separates = bracketed || !is_thousands(text, at),
            ';' if depth == 0 => separates = true,
            ' ' if depth == 0 => {
                let word = [" and ", " or "].into_iter().find(|word| {
                    text.get(at..at + word.len())
                        .is_some_and(|it| it.eq_ignore_ascii_case(word))
                });
                if let Some(word) = word {
                    // The space behind it may begin another.
                    (separates, length) = (true, word.len() - 1);
                }
            }
            _ => {}
        }
        if separates {
            parts.push(&text[from..at]);
            from = at + length;
        }
        at += length;
    }
    parts.push(&text[from..]);
    let parts = parts.into_iter().map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_string)
        .collect()
}

/// Whether the comma at a place stands between one to three digits and exactly three, or behind such a comma.
fn is_thousands(text: &str, at: usize) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let before = text[..at].bytes().rev();
    let before = before.take_while(|byte| byte.is_ascii_digit()).count();
    let start = at - before;
    let first = !text[..start].ends_with('.') && (1..=3).contains(&before);
    first && digits(&text[at + 1..]) == 3
}

impl List {
    fn same_as(&self, other: &Self, depth: usize) -> bool {
        if self.items.len() != other.items.len() {
            return false;
        }
        let ordered = match (self.brackets, other.brackets) {
            (Some(ours), Some(theirs)) if ours == theirs => ours != ('{', '}'),
            (Some(ours), Some(theirs)) => {
                // Of two values brackets say whether an interval has its ends, or a point is meant.
                let plain = |it| [('(', ')'), ('[', ']'), ('{', '}')].contains(&it);
                let tuple_and_set = [ours, theirs].contains(&('(', ')'));
                let set = [ours, theirs].contains(&('{', '}'));
                if !plain(ours)
                    || !plain(theirs)
                    || (tuple_and_set && (set || self.items.len() < 3))
                {
                    return false;
                }
                !set
            }
            (Some(brackets), None) | (None, Some(brackets)) => match brackets {
                ('(', ')') => true,
                ('[', ']') | ('{', '}') => self.has_names() || other.has_names(),
                _ => return false,
            },
            (None, None) => self.has_names() || other.has_names(),
        };
        if ordered || self.items.len() > MOST_UNORDERED {
            let mut items = self.items.iter().zip(&other.items);
            return items.all(|(ours, theirs)| same(ours, theirs, depth + 1));
        }
        let mut left: Vec<&String> = other.items.iter().collect();
        self.items.iter().all(|ours| {
            let found = left.iter().position(|theirs| same(ours, theirs, depth + 1));
            found.map(|place| left.swap_remove(place)).is_some()
        })
    }

    /// Whether the values have names that differ, so that their order tells which is which.
    fn has_names(&self) -> bool {
        let names: Vec<String> = self
            .items
            .iter()
            .filter_map(|item| named(item).map(|(name, _)| as_text(name)))
            .collect();
        names.windows(2).any(|two| two[0] != two[1])
    }

    /// Whether a list of one value in brackets is this value.
    fn is_one(&self, other: &str, depth: usize) -> bool {
        match &self.items[..] {
            [item] => same(item, other, depth + 1),
            _ => false,
        }
    }
}
