//! Texts that a model wrote, as they are shown: nothing in them is invisible or moves what stands around them.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

/// A text with what cannot be seen made visible.
///
/// Control characters become their symbols (`␀` for a null character), but for tabs and ends of lines; `\r\n` is one end of a
/// line. Marks that change the direction of text, invisible spaces and tags become names in brackets, as `⟦RLO⟧`.
///
/// ```
/// use eurus_report::trees::shown;
/// assert_eq!(shown("a\0b\r\n\tc"), "a␀b\n\tc");
/// assert_eq!(shown("\u{202e}exe.txt"), "⟦RLO⟧exe.txt");
/// ```
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\0'..='\u{1f}' if is_hidden(character) => out.push(symbol(character)),
            '\u{7f}' => out.push('␡'),
            _ if is_hidden(character) => push_name(&mut out, character),
            _ => out.push(character),
        }
    }
    Cow::Owned(out)
}

fn is_hidden(character: char) -> bool {
    let is_control = character.is_control() && !matches!(character, '\n' | '\t');
    is_control
        || matches!(character,
            '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The symbol of a control character below the space: Unicode has them in the same order.
fn symbol(control: char) -> char {
    char::from_u32(0x2400 + u32::from(control)).unwrap_or('\u{fffd}')
}

fn push_name(out: &mut String, character: char) {
    let name = match character {
        '\u{61c}' => "ALM",
        '\u{200b}' => "ZWSP",
        '\u{200e}' => "LRM",
        '\u{200f}' => "RLM",
        '\u{2028}' => "LS",
        '\u{2029}' => "PS",
        '\u{202a}' => "LRE",
        '\u{202b}' => "RLE",
        '\u{202c}' => "PDF",
        '\u{202d}' => "LRO",
        '\u{202e}' => "RLO",
        '\u{2066}' => "LRI",
        '\u{2067}' => "RLI",
        '\u{2068}' => "FSI",
        '\u{2069}' => "PDI",
        '\u{feff}' => "BOM",
        other => {
            // Writing to a string cannot fail.
            let _ = write!(out, "⟦U+{:04X}⟧", u32::from(other));
            return;
        }
    };
    let _ = write!(out, "⟦{name}⟧");
}

/// A piece of a text: prose, or code that stood between fences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Piece<'a> {
    /// It is code.
    pub code: bool,
    /// What is [`shown`] of the text, without the lines of the fences.
    pub text: Cow<'a, str>,
}

/// Sets code apart: a line of three or more backticks opens it, a line of as many closes it, and what is not closed runs to
/// the end. Every line but the fences is in one of the pieces, in order; blank lines around a piece are left out.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut open, mut start, mut at) = (None, 0, 0);
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        let fence = line.trim();
        let ticks = fence.len() - fence.trim_start_matches('`').len();
        let is_fence = match open {
            // A backtick after the language is code within a line, as in Markdown.
            None => ticks >= 3 && !fence[ticks..].contains('`'),
            Some(opened) => ticks >= opened && ticks == fence.len(),
        };
        if is_fence {
            pieces.extend(piece(open.is_some(), &text[start..at]));
            open = open.is_none().then_some(ticks);
            start = end;
        }
        at = end;
    }
    pieces.extend(piece(open.is_some(), &text[start..]));
    pieces
}

/// A whole text as code.
pub(super) fn code(text: &str) -> Vec<Piece<'_>> {
    piece(true, text).into_iter().collect()
}

fn piece(code: bool, text: &str) -> Option<Piece<'_>> {
    let text = text.trim_matches(['\n', '\r']);
    let text = shown(text);
    (!text.is_empty()).then_some(Piece { code, text })
}

/// What is shown of a text, cut to so many characters.
pub(super) fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => shown(text).into_owned(),
        Some((end, _)) => format!("{}…", shown(&text[..end])),
    }
}

/// The first line that says something, cut to so many characters.
pub(super) fn first_line(text: &str, most: usize) -> String {
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty()).unwrap_or_default();
    short(line, most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shape(text: &str) -> Vec<(bool, String)> {
        let pieces = pieces(text).into_iter();
        pieces
            .map(|piece| (piece.code, piece.text.into_owned()))
            .collect()
    }

    #[test]
    fn prose_and_code_alternate() {
        let text = "Step 1: add.\n```python\n# sum\nprint(1 + 2)\n```\n\nAnswer: 3\n";
        let prose = |text: &str| (false, text.to_owned());
        assert_eq!(
            shape(text),
            [
                prose("Step 1: add."),
                (true, "# sum\nprint(1 + 2)".to_owned()),
                prose("Answer: 3")
            ]
        );
    }

    #[test]
    fn an_open_fence_runs_to_the_end_and_a_longer_one_holds_a_shorter() {
        assert_eq!(shape("```\nx = 1"), [(true, "x = 1".to_owned())]);
        assert_eq!(shape("````\n```\n````\n"), [(true, "```".to_owned())]);
    }

    proptest! {
        #[test]
        fn every_line_but_the_fences_is_in_a_piece(lines in prop::collection::vec("(a|b c|x`y)", 0..12), at in 0usize..12) {
            let mut fenced = lines.clone();
            fenced.insert(at.min(lines.len()), "```python".to_owned());
            let found: Vec<String> = pieces(&fenced.join("\n")).into_iter().map(|it| it.text.into_owned()).collect();
            prop_assert_eq!(found.join("\n"), lines.join("\n"));
        }

        #[test]
        fn what_is_shown_hides_nothing_and_is_shown_as_it_is(text in any::<String>()) {
            let once = shown(&text).into_owned();
            prop_assert!(!once.contains(is_hidden));
            prop_assert_eq!(shown(&once), once.as_str());
        }
    }
}
