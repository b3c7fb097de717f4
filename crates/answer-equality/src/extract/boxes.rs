//! Boxes: `\boxed{..}` and `\fbox{..}`.

use std::collections::HashMap;

use super::Found;

/// Boxes in boxes that are looked into.
const DEEPEST: usize = 16;

const BOXES: [&str; 2] = ["\\boxed", "\\fbox"];

/// The last box at a depth of boxes in boxes, with those before it that belong to the same answer.
pub(super) fn last_boxes(text: &str, depth: usize) -> Option<Found> {
    let mut boxes: Vec<Box<'_>> = Vec::new();
    let mut from = 0;
    let closing = closing_braces(text);
    while let Some(found) = next_box(text, from, &closing) {
        // What is inside a box is looked at below.
        from = found.end;
        boxes.push(found);
    }
    let last = boxes.last()?;
    let mut answers = vec![last.content];
    for two in boxes.windows(2).rev() {
        let between = text[two[0].end..two[1].start].replace(['$', ','], " ");
        if !["and", "or", ""].contains(&between.trim()) || between.contains('\n') {
            break;
        }
        answers.push(two[0].content);
    }
    answers.reverse();
    let deeper = |content: &str| (depth < DEEPEST).then(|| last_boxes(content, depth + 1));
    let inner = |content: &str| match deeper(content).flatten() {
        Some(inner) => inner.answer,
        None => content.trim().to_string(),
    };
    let answers: Vec<String> = answers.into_iter().map(inner).collect();
    Some(Found {
        at: last.start,
        answer: answers.join(", "),
    })
}

struct Box<'a> {
    start: usize,
    end: usize,
    content: &'a str,
}

/// Where each brace that closes is closed. Found at once: looked for from each, it would take a time that grows with the
/// square of the text.
fn closing_braces(text: &str) -> HashMap<usize, usize> {
    let mut closing = HashMap::new();
    let mut open = Vec::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => open.push(at),
            '}' => {
                if let Some(start) = open.pop() {
                    closing.insert(start, at);
                }
            }
            _ => {}
        }
    }
    closing
}

/// The first box that begins at a place or later, and closes.
fn next_box<'a>(text: &'a str, from: usize, closing: &HashMap<usize, usize>) -> Option<Box<'a>> {
    let mut from = from;
    loop {
        // By the backslash: to look for each name by itself would read all that is left for one that is not there.
        let (start, open) = text[from..].match_indices('\\').find_map(|(at, _)| {
            let start = from + at;
            let open = BOXES
                .iter()
                .find(|open| text[start..].starts_with(**open))?;
            Some((start, *open))
        })?;
        from = start + open.len();
        let rest = &text[from..];
        let content = rest.trim_start();
        let at = from + rest.len() - content.len();
        let (skipped, length) = match content.starts_with('{') {
            true => match closing.get(&at) {
                Some(end) => (1, end - at - 1),
                None => continue,
            },
            // "\boxed 42", as TeX allows; a name that only begins alike is no box.
            false if content.len() == rest.len() => continue,
            false => {
                let end = content.find(|c: char| c.is_whitespace() || c == '$');
                (0, end.unwrap_or(content.len()))
            }
        };
        return Some(Box {
            start,
            end: at + length + 2 * skipped,
            content: &text[at + skipped..at + skipped + length],
        });
    }
}
