//! LaTeX and other typesetting to one plain spelling, which numbers and texts are read from.

mod calls;
mod characters;
mod commands;

use calls::{with_brackets, with_infinity};
use characters::{is_picture, spelled_out};

/// The text in one spelling of mathematics: `\frac{1}{2}` is `1/2`, `\sqrt{3}` is `sqrt(3)`, powers have `^`, sets `{..}`;
/// marks that only typeset are gone. Letters keep their case; white space stays where it was.
pub(crate) fn plain_math(text: &str) -> String {
    let text = without_wrapping(text);
    let text = without_dollars(&spelled_out(text));
    let mut plain = Plain {
        out: String::with_capacity(text.len()),
    };
    plain.all(&text, 0);
    let out = plain.out.replace("**", "^");
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    let out = out.replace("^ °", "°").replace("^°", "°");
    with_brackets(&with_infinity(&out))
}

/// Where the brace that was opened before this text closes; escaped braces do not count.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Without Markdown's emphasis and code marks, quotes and pictures round the whole.
fn without_wrapping(text: &str) -> &str {
    let decoration =
        |c: char| c.is_whitespace() || matches!(c, '*' | '`' | '"' | '“' | '”') || is_picture(c);
    let text = text.trim_end_matches(|c| decoration(c) || c == '.');
    text.trim_start_matches(decoration)
}

/// Without dollar signs of mathematics. One that has no partner and stands before a digit is a currency, as is `\$`.
fn without_dollars(text: &str) -> String {
    let mut dollars = Vec::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '$' => dollars.push(at),
            _ => {}
        }
    }
    let paired = dollars.len().is_multiple_of(2);
    let is_currency = |at: usize| {
        let after = text[at + 1..].trim_start();
        !paired && after.starts_with(|c: char| c.is_ascii_digit() || c == '.')
    };
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for at in dollars {
        out.push_str(&text[from..at]);
        if is_currency(at) {
            out.push_str("\\$");
        }
        from = at + 1;
    }
    out.push_str(&text[from..]);
    out
}

/// Groups and arguments inside each other that are followed; deeper ones stay as they are.
const DEEPEST: usize = 32;

pub(super) struct Plain {
    pub(super) out: String,
}

impl Plain {
    pub(super) fn all(&mut self, mut rest: &str, depth: usize) {
        if depth > DEEPEST {
            self.out.push_str(rest);
            return;
        }
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            rest = match c {
                '\\' => self.command(after, depth),
                '{' => match group(rest) {
                    Some((content, after)) => {
                        self.group(content, depth);
                        after
                    }
                    None => after,
                },
                '}' => after,
                '^' | '_' => {
                    self.out.push(c);
                    match after.starts_with('{').then(|| group(after)).flatten() {
                        Some((content, after)) => {
                            let content = inner(content, depth);
                            self.operand(&content);
                            after
                        }
                        None => after,
                    }
                }
                // In LaTeX a space; at the beginning it is read as "about".
                '~' if !self.out.trim().is_empty() => {
                    self.out.push(' ');
                    after
                }
                c => {
                    self.out.push(c);
                    after
                }
            };
        }
    }

    /// What stands between braces: a group that shows nothing of them, or Python's set.
    fn group(&mut self, content: &str, depth: usize) {
        let plain = inner(content, depth);
        let is_one = plain.trim().starts_with(['(', '[']) && plain.trim().ends_with([')', ']']);
        match plain.trim() != "," && plain.contains(',') && !content.contains('\\') && !is_one {
            true => self.out.push_str(&format!("{{{plain}}}")),
            false => self.out.push_str(&plain),
        }
    }

    /// One operand of a power or an index.
    fn operand(&mut self, plain: &str) {
        let plain = plain.trim();
        match is_one_factor(plain) || plain == "°" {
            true => self.out.push_str(plain),
            false => self.out.push_str(&format!("({plain})")),
        }
    }
}

/// Digits, or one letter: what needs no parentheses as an exponent or below a fraction.
pub(super) fn is_one_factor(plain: &str) -> bool {
    let digits = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit());
    let mut chars = plain.chars();
    let letter = chars.next().is_some_and(char::is_alphabetic) && chars.next().is_none();
    digits || letter || plain == "pi"
}

pub(super) fn inner(content: &str, depth: usize) -> String {
    let mut plain = Plain { out: String::new() };
    plain.all(content, depth + 1);
    plain.out
}

/// The content of the braces at the start, and what follows them.
pub(crate) fn group(text: &str) -> Option<(&str, &str)> {
    let content = text.strip_prefix('{')?;
    let end = closing_brace(content)?;
    Some((&content[..end], &content[end + 1..]))
}

/// The command at the start of a text, of which the backslash has been read: letters, or one mark. And what follows it.
pub(crate) fn command_name(text: &str) -> (&str, &str) {
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let mark = text.chars().next().map_or(0, char::len_utf8);
    text.split_at(letters.max(mark))
}

/// The two arguments of a command, and what follows them.
pub(crate) fn arguments(text: &str) -> Option<([&str; 2], &str)> {
    let (first, rest) = argument(text)?;
    let (second, rest) = argument(rest)?;
    Some(([first, second], rest))
}

/// The next argument of a command: a group, a command without arguments, or one character.
pub(crate) fn argument(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    match text.chars().next()? {
        '{' => group(text),
        '\\' => {
            let name = text[1..]
                .bytes()
                .take_while(u8::is_ascii_alphabetic)
                .count();
            (name > 0).then(|| text.split_at(1 + name))
        }
        c => Some(text.split_at(c.len_utf8())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typesetting_becomes_one_plain_spelling() {
        for (text, plain) in [
            (r"\frac{1}{2}", "1/2"),
            (r"-2\frac12", "-2 1/2"),
            (r"\dfrac{\sqrt{3}}{2}", "((sqrt(3))/2)"),
            (r"\frac{2\pi}{3}", "2pi/3"),
            (r"2^{10} + x_{1}", "2^10 + x_1"),
            (r"\left\{ 1,\, 2 \right\}", "{ 1, 2 }"),
            (r"$\text{Monday}$", "Monday"),
            (r"90^{\circ}", "90°"),
            (r"32,\!800", "32,800"),
            (r"10{,}000", "10,000"),
            (r"12~\text{cm}", "12 cm"),
            (r"\$18", "$18"),
            ("$18 per day", "$18 per day"),
            (r"0.\overline{3}", "0.¯3"),
            ("1½ √2", "1 1/2 sqrt(2)"),
            ("**`7`** ✅", "7"),
        ] {
            assert_eq!(plain_math(text), plain, "{text}");
        }
    }
}
