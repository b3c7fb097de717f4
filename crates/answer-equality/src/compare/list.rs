//! Several values: lists, tuples, sets, intervals, unions, matrices.

use super::text::{as_text, is_balanced, named};
use super::{Judge, loosest};
use crate::options::Rule;

/// Items of lists that are compared in any order.
const MOST_UNORDERED: usize = 200;

/// Several values.
struct List {
    /// The brackets round them.
    brackets: Option<(char, char)>,
    items: Vec<String>,
    /// As it was written.
    text: String,
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
            text: text.to_string(),
        });
    }
    let items = split(text, false);
    let items: Vec<String> = items.iter().flat_map(|item| both_signs(item)).collect();
    (items.len() > 1).then(|| List {
        brackets: None,
        items,
        text: text.to_string(),
    })
}

/// The two values of "±2" and "3 ± 2".
fn both_signs(item: &str) -> Vec<String> {
    if !item.contains('±') {
        return vec![item.to_string()];
    }
    let with = |signs: [&str; 2]| {
        let mut one = String::new();
        for c in item.chars() {
            match c {
                // "3 - 1" alone may be a score, "3 + -1" is none.
                '±' | '∓' if one.trim_end().ends_with(char::is_alphanumeric) => {
                    one.push('+');
                    one.push_str(signs[usize::from(c == '∓')]);
                }
                '±' | '∓' => one.push_str(signs[usize::from(c == '∓')]),
                c => one.push(c),
            }
        }
        one
    };
    vec![with(["", "-"]), with(["-", ""])]
}

/// The parts of a text between commas, semicolons, "and" and "or" outside brackets. Outside of all brackets a comma between
/// thousands separates nothing.
pub(super) fn split(text: &str, bracketed: bool) -> Vec<String> {
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

impl Judge<'_> {
    /// Compares lists and unions, if one of both is one.
    pub(super) fn same_list(&self, given: &str, truth: &str, depth: usize) -> Option<Option<Rule>> {
        if given.contains('∪') || truth.contains('∪') {
            let (ours, theirs) = (union(given), union(truth));
            return Some(self.in_any_order(&ours, &theirs, depth));
        }
        match (list(given), list(truth)) {
            (Some(given), Some(truth)) => {
                let same = self.same_lists(&given, &truth, depth);
                Some(same.or_else(|| match (given.only(), truth.only()) {
                    // A set or list of one point.
                    (Some(item), None) if truth.is_flat() => {
                        self.same(item, &truth.text, depth + 1)
                    }
                    (None, Some(item)) if given.is_flat() => {
                        self.same(&given.text, item, depth + 1)
                    }
                    _ => None,
                }))
            }
            (Some(_), None) if named(truth).is_some() => None,
            (None, Some(_)) if named(given).is_some() => None,
            (Some(list), None) => Some(list.only().and_then(|it| self.same(it, truth, depth + 1))),
            (None, Some(list)) => Some(list.only().and_then(|it| self.same(given, it, depth + 1))),
            (None, None) => None,
        }
    }

    fn same_lists(&self, given: &List, truth: &List, depth: usize) -> Option<Rule> {
        if given.items.len() != truth.items.len() {
            return None;
        }
        let named = || given.has_names() || truth.has_names();
        let ordered = match (given.brackets, truth.brackets) {
            (Some(ours), Some(theirs)) if ours == theirs => ours != ('{', '}'),
            (Some(ours), Some(theirs)) => {
                // Of two values brackets say whether an interval has its ends, or a point is meant.
                let plain = |it| [('(', ')'), ('[', ']'), ('{', '}')].contains(&it);
                let tuple_and_set = [ours, theirs].contains(&('(', ')'));
                let set = [ours, theirs].contains(&('{', '}'));
                if !plain(ours)
                    || !plain(theirs)
                    || (tuple_and_set && (set || given.items.len() < 3))
                {
                    return None;
                }
                !set
            }
            (Some(brackets), None) | (None, Some(brackets)) => match brackets {
                ('(', ')') => true,
                ('[', ']') | ('{', '}') => named(),
                _ => return None,
            },
            (None, None) => named(),
        };
        match ordered || given.items.len() > MOST_UNORDERED {
            true => self.in_order(&given.items, &truth.items, depth),
            false => self.in_any_order(&given.items, &truth.items, depth),
        }
    }

    fn in_order(&self, given: &[String], truth: &[String], depth: usize) -> Option<Rule> {
        let mut items = given.iter().zip(truth);
        items.try_fold(Rule::Text, |by, (ours, theirs)| {
            Some(loosest(by, self.same(ours, theirs, depth + 1)?))
        })
    }

    fn in_any_order(&self, given: &[String], truth: &[String], depth: usize) -> Option<Rule> {
        if given.len() != truth.len() || given.len() > MOST_UNORDERED {
            return None;
        }
        let mut left: Vec<&String> = truth.iter().collect();
        given.iter().try_fold(Rule::Text, |by, ours| {
            let found = left
                .iter()
                .enumerate()
                .find_map(|(place, theirs)| Some((place, self.same(ours, theirs, depth + 1)?)));
            let (place, rule) = found?;
            left.swap_remove(place);
            Some(loosest(by, rule))
        })
    }
}

/// The parts of a union, without what stands before the sign of a member.
fn union(text: &str) -> Vec<String> {
    let set = text.split_once('∈').map_or(text, |(_, set)| set);
    set.split('∪').map(|part| part.trim().to_string()).collect()
}

impl List {
    /// Whether the values have names that differ, so that their order tells which is which.
    fn has_names(&self) -> bool {
        let names: Vec<String> = self
            .items
            .iter()
            .filter_map(|item| named(item).map(|(name, _)| as_text(name)))
            .collect();
        names.windows(2).any(|two| two[0] != two[1])
    }

    /// Whether its items are no lists: a column of a matrix is not its row.
    fn is_flat(&self) -> bool {
        !self.items.iter().any(|item| item.starts_with('['))
    }

    /// The value of a list of one.
    fn only(&self) -> Option<&String> {
        match &self.items[..] {
            [item] => Some(item),
            _ => None,
        }
    }
}
