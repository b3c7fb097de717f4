//! LaTeX and other typesetting to one plain spelling, which numbers and texts are read from.

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

/// `oo`, as Python's algebra writes it, as a word.
fn with_infinity(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (at, sign) in text.match_indices("oo") {
        let beside = |c: char| c.is_alphanumeric();
        let alone = !text[..at].ends_with(beside) && !text[at + sign.len()..].starts_with(beside);
        if alone {
            out.push_str(&text[from..at]);
            out.push_str("inf");
            from = at + sign.len();
        }
    }
    out.push_str(&text[from..]);
    out
}

/// Intervals, points, sets and matrices of Python's algebra as brackets, and `U` between two brackets as the sign of a union.
fn with_brackets(text: &str) -> String {
    const CALLS: [(&str, &str, &str); 5] = [
        ("Point(", "(", ")"),
        ("FiniteSet(", "{", "}"),
        ("Matrix(", "", ""),
        ("np.array(", "", ""),
        ("array(", "", ""),
    ];
    let mut text = with_calls(with_intervals(text), &CALLS);
    for (close, open) in [(")", "("), (")", "["), ("]", "("), ("]", "[")] {
        for sign in [" U ", "U", " u "] {
            text = text.replace(&format!("{close}{sign}{open}"), &format!("{close}∪{open}"));
        }
    }
    text
}

/// Intervals of Python's algebra as brackets.
pub(crate) fn with_intervals(text: &str) -> String {
    const CALLS: [(&str, &str, &str); 4] = [
        ("Interval.open(", "(", ")"),
        ("Interval.Lopen(", "(", "]"),
        ("Interval.Ropen(", "[", ")"),
        ("Interval(", "[", "]"),
    ];
    with_calls(text.to_string(), &CALLS)
}

fn with_calls(mut text: String, calls: &[(&str, &str, &str)]) -> String {
    for (call, open, close) in calls {
        while let Some(at) = text.find(call) {
            let inside = at + call.len();
            let Some(end) = closing_parenthesis(&text[inside..]) else {
                break;
            };
            let content = &text[inside..inside + end];
            let rest = &text[inside + end + 1..];
            text = format!("{}{open}{content}{close}{rest}", &text[..at]);
        }
    }
    text
}

fn closing_parenthesis(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Where the brace that was opened before this text closes; escaped braces do not count.
pub(crate) fn closing_brace(text: &str) -> Option<usize> {
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

/// Emoji, arrows of dingbats and the selectors after them.
fn is_picture(c: char) -> bool {
    matches!(c, '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}' | '\u{fe0f}' | '\u{200d}')
}

/// Characters that stand for something that ASCII spells.
fn spelled_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '−' | '–' | '—' => out.push('-'),
            '×' | '·' | '⋅' | '∙' => out.push('*'),
            '÷' => out.push('/'),
            '≤' | '⩽' => out.push_str("<="),
            '≥' | '⩾' => out.push_str(">="),
            '≠' => out.push_str("!="),
            '≈' | '≃' | '∼' => out.push('~'),
            '√' => out.push_str("\\sqrt "),
            'π' => out.push_str("\\pi "),
            '∞' => out.push_str("inf"),
            '²' => out.push_str("^2"),
            '³' => out.push_str("^3"),
            '：' => out.push(':'),
            '，' => out.push(','),
            '’' | '‘' => out.push('\''),
            '\u{a0}' | '\u{2009}' | '\u{202f}' => out.push(' '),
            c => match VULGAR.iter().find(|(sign, _)| *sign == c) {
                Some((_, fraction)) => {
                    out.push(' ');
                    out.push_str(fraction);
                }
                None => out.push(c),
            },
        }
    }
    out
}

const VULGAR: [(char, &str); 17] = [
    ('½', "1/2"),
    ('⅓', "1/3"),
    ('⅔', "2/3"),
    ('¼', "1/4"),
    ('¾', "3/4"),
    ('⅕', "1/5"),
    ('⅖', "2/5"),
    ('⅗', "3/5"),
    ('⅘', "4/5"),
    ('⅙', "1/6"),
    ('⅚', "5/6"),
    ('⅛', "1/8"),
    ('⅜', "3/8"),
    ('⅝', "5/8"),
    ('⅞', "7/8"),
    ('⅑', "1/9"),
    ('⅒', "1/10"),
];

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

struct Plain {
    out: String,
}

impl Plain {
    fn all(&mut self, mut rest: &str, depth: usize) {
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

    /// A command, of which the backslash has been read. Returns what follows.
    fn command<'a>(&mut self, rest: &'a str, depth: usize) -> &'a str {
        let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (name, after) = rest.split_at(length);
        if name.is_empty() {
            let Some(mark) = rest.chars().next() else {
                return rest;
            };
            match mark {
                '!' | '(' | ')' | '[' | ']' => {}
                ',' | ';' | ':' | ' ' | '\\' => self.out.push(' '),
                mark => self.out.push(mark),
            }
            return &rest[mark.len_utf8()..];
        }
        let sign = match name {
            "left" | "right" => {
                let after = after.strip_prefix('.').unwrap_or(after);
                return after;
            }
            "big" | "Big" | "bigl" | "bigr" | "Bigl" | "Bigr" | "displaystyle" | "limits" => "",
            "quad" | "qquad" => " ",
            "cdot" | "times" => "*",
            "div" => "/",
            "pm" => "±",
            "pi" => "pi",
            "infty" => "inf",
            "le" | "leq" | "leqslant" => "<=",
            "ge" | "geq" | "geqslant" => ">=",
            "ne" | "neq" => "!=",
            "lt" => "<",
            "gt" => ">",
            "approx" | "simeq" | "sim" => "~",
            "in" => "∈",
            "cup" => "∪",
            "cap" => "∩",
            "circ" | "degree" => "°",
            "emptyset" | "varnothing" => "∅",
            "lbrace" => "{",
            "rbrace" => "}",
            "ldots" | "dots" | "cdots" => "...",
            "prime" => "'",
            "lfloor" => "floor(",
            "lceil" => "ceil(",
            "rfloor" | "rceil" => ")",
            "mp" => "∓",
            "langle" => "(",
            "rangle" => ")",
            "lvert" | "rvert" | "vert" | "mid" => "|",
            "begin" => return self.environment(after, depth),
            name if FUNCTIONS.contains(&name) => name,
            "text" | "textrm" | "textbf" | "textit" | "textsf" | "texttt" | "mathrm" | "mathbf"
            | "mathit" | "mathsf" | "operatorname" | "mbox" | "boxed" | "fbox" | "emph"
            | "underline" | "bm" | "boldsymbol" => return self.styled(after, depth),
            "frac" | "dfrac" | "tfrac" | "cfrac" => return self.fraction(after, depth),
            "sqrt" => return self.root(after, depth),
            "binom" | "dbinom" | "tbinom" => return self.binomial(after, depth),
            "overline" => return self.repeating(after, depth),
            name => {
                self.out.push('\\');
                name
            }
        };
        // A sign made of letters must not run into a name before or after it.
        let letters = sign.ends_with(|c: char| c.is_ascii_alphabetic());
        if letters && self.out.ends_with(|c: char| c.is_ascii_alphabetic()) {
            self.out.push(' ');
        }
        self.out.push_str(sign);
        if letters && after.starts_with(|c: char| c.is_ascii_alphabetic()) {
            self.out.push(' ');
        }
        after
    }

    /// A matrix as rows in brackets; anything else as it is inside.
    fn environment<'a>(&mut self, rest: &'a str, depth: usize) -> &'a str {
        let Some((name, after)) = group(rest) else {
            return rest;
        };
        let end = format!("\\end{{{name}}}");
        let Some((content, after)) = after.split_once(&end) else {
            return rest;
        };
        let matrix = name.ends_with("matrix") || name == "array";
        if !matrix {
            self.all(content, depth + 1);
            return after;
        }
        // The columns of an array.
        let content = match name {
            "array" => group(content).map_or(content, |(_, content)| content),
            _ => content,
        };
        let rows: Vec<String> = content
            .split("\\\\")
            .map(|row| {
                row.split('&')
                    .map(|cell| inner(cell, depth).trim().to_string())
            })
            .map(|cells| format!("[{}]", cells.collect::<Vec<_>>().join(",")))
            .filter(|row| row != "[]")
            .collect();
        self.out.push_str(&format!("[{}]", rows.join(",")));
        after
    }

    fn styled<'a>(&mut self, rest: &'a str, depth: usize) -> &'a str {
        let Some((content, after)) = argument(rest) else {
            return rest;
        };
        let content = inner(content, depth);
        if self.out.ends_with(char::is_alphanumeric) {
            self.out.push(' ');
        }
        self.out.push_str(&content);
        if after.starts_with(char::is_alphanumeric) {
            self.out.push(' ');
        }
        after
    }

    fn fraction<'a>(&mut self, rest: &'a str, depth: usize) -> &'a str {
        let both = argument(rest).and_then(|(top, rest)| {
            let (bottom, rest) = argument(rest)?;
            Some((top, bottom, rest))
        });
        let Some((top, bottom, after)) = both else {
            self.out.push_str("\\frac");
            return rest;
        };
        let (top, bottom) = (inner(top, depth), inner(bottom, depth));
        let (top, bottom) = (top.trim(), bottom.trim());
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        let bare_top = !top.is_empty() && top.chars().all(char::is_alphanumeric);
        let bare_bottom = is_one_factor(bottom);
        // A whole number before a fraction of whole numbers is added to it, anything else is multiplied.
        let mixed = digits(top) && digits(bottom);
        let wrapped = !(bare_top && bare_bottom)
            || self.out.ends_with(['/', '^'])
            || after.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            || ends_with_function(&self.out)
            || (self.out.ends_with(char::is_alphanumeric) && !mixed);
        if wrapped {
            self.out.push('(');
        } else if self.out.ends_with(char::is_alphanumeric) {
            self.out.push(' ');
        }
        match bare_top {
            true => self.out.push_str(top),
            false => self.out.push_str(&format!("({top})")),
        }
        self.out.push('/');
        match bare_bottom {
            true => self.out.push_str(bottom),
            false => self.out.push_str(&format!("({bottom})")),
        }
        if wrapped {
            self.out.push(')');
        }
        after
    }

    fn root<'a>(&mut self, rest: &'a str, depth: usize) -> &'a str {
        let (index, rest) = match rest.trim_start().strip_prefix('[') {
            Some(inside) => inside.split_once(']').unwrap_or(("", inside)),
            None => ("", rest),
        };
        let trimmed = rest.trim_start();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let found = match trimmed.starts_with('(') {
            true => trimmed[1..].split_once(')'),
            false if digits > 0 => Some(trimmed.split_at(digits)),
            false => argument(rest),
        };
        let Some((content, after)) = found else {
            self.out.push_str("\\sqrt");
            return rest;
        };
        let content = inner(content, depth);
        self.out.push_str(&match index.trim() {
            "" | "2" => format!("sqrt({content})"),
            index => format!("root({index},{content})"),
        });
        after
    }

    fn binomial<'a>(&mut self, rest: &'a str, depth: usize) -> &'a str {
        let Some((top, after)) = argument(rest) else {
            return rest;
        };
        let Some((bottom, after)) = argument(after) else {
            return rest;
        };
        let (top, bottom) = (inner(top, depth), inner(bottom, depth));
        self.out.push_str(&format!("binom({top},{bottom})"));
        after
    }

    /// Digits that repeat without end, or a line over something else.
    fn repeating<'a>(&mut self, rest: &'a str, depth: usize) -> &'a str {
        let Some((content, after)) = argument(rest) else {
            return rest;
        };
        let content = inner(content, depth);
        let digits = !content.is_empty() && content.bytes().all(|byte| byte.is_ascii_digit());
        let behind_point = self
            .out
            .trim_end_matches(|c: char| c.is_ascii_digit())
            .ends_with('.');
        if digits && behind_point {
            self.out.push(crate::expression::REPEATING);
        } else {
            self.out.push_str("\\overline ");
        }
        self.out.push_str(&content);
        after
    }
}

/// Digits, or one letter: what needs no parentheses as an exponent or below a fraction.
fn is_one_factor(plain: &str) -> bool {
    let digits = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit());
    let mut chars = plain.chars();
    let letter = chars.next().is_some_and(char::is_alphabetic) && chars.next().is_none();
    digits || letter || plain == "pi"
}

/// Functions that keep their names; what follows one is its argument.
const FUNCTIONS: &[&str] = &[
    "sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan",
    "ln", "log", "lg", "exp",
];

fn ends_with_function(out: &str) -> bool {
    let out = out.trim_end();
    let letters = out.chars().rev().take_while(char::is_ascii_alphabetic);
    let start = out.len() - letters.count();
    FUNCTIONS.contains(&&out[start..])
}

fn inner(content: &str, depth: usize) -> String {
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
