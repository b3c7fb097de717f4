//! LaTeX as text, as the library does it that the graders use: what it shows, without braces.

use crate::typeset::{argument, arguments, command_name, group};

/// Groups inside each other that are followed.
const DEEPEST: usize = 32;

/// The text that LaTeX shows: `\frac{a}{b}` is `a/b`, `\sqrt{3}` is `sqrt(3)`; commands that it does not know are gone.
pub(super) fn to_text(text: &str) -> String {
    // Their parser fails where an argument is missing at the end.
    if text.trim_end().ends_with("\\sqrt") {
        return text.to_string();
    }
    let text = text
        .replace("\\tfrac", "\\frac")
        .replace("\\dfrac", "\\frac");
    // So that mixed numbers survive.
    let text = text.replace("\\frac", " \\frac");
    let mut shown = inside(&text, 0);
    for (sign, plain) in [
        ("√", "sqrt"),
        ("π", "pi"),
        ("∞", "inf"),
        ("∪", "U"),
        ("·", "*"),
        ("×", "*"),
    ] {
        shown = shown.replace(sign, plain);
    }
    shown.trim().to_string()
}

fn inside(text: &str, depth: usize) -> String {
    let mut out = String::new();
    if depth > DEEPEST {
        return out;
    }
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '\\' => command(after, &mut out, depth),
            '{' => match group(rest) {
                Some((content, after)) => {
                    out.push_str(&inside(content, depth + 1));
                    after
                }
                None => after,
            },
            '}' | '$' => after,
            '~' => {
                out.push(' ');
                after
            }
            c => {
                out.push(c);
                after
            }
        };
    }
    out
}

/// A command, of which the backslash has been read. Returns what follows.
fn command<'a>(rest: &'a str, out: &mut String, depth: usize) -> &'a str {
    let (name, after) = command_name(rest);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        out.push_str(match name {
            "!" => "",
            "," | ";" | ":" | " " => " ",
            "\\" => "\n",
            mark => mark,
        });
        return after;
    }
    let shown = |content: &str| inside(content, depth + 1);
    // Space behind the name of a command ends it.
    let after = after.trim_start();
    match name {
        "frac" | "cfrac" => {
            if let Some(([top, bottom], after)) = arguments(after) {
                out.push_str(&format!("{}/{}", shown(top), shown(bottom)));
                return after;
            }
            // What their library prints for want of arguments.
            out.push_str("%s/%s");
        }
        "binom" => {
            if let Some(([top, bottom], after)) = arguments(after) {
                out.push_str(&format!("({} choose {})", shown(top), shown(bottom)));
                return after;
            }
        }
        "sqrt" => {
            let index = after.strip_prefix('[').and_then(|it| it.split_once(']'));
            let after = index.map_or(after, |(_, after)| after);
            if let Some((content, after)) = argument(after) {
                out.push_str(&format!("sqrt({})", shown(content)));
                return after;
            }
        }
        "begin" => {
            if let Some((name, after)) = group(after)
                && let Some((content, after)) = after.split_once(&format!("\\end{{{name}}}"))
            {
                out.push_str(&matrix(content, shown));
                return after;
            }
        }
        "mathbb" => {
            if let Some((content, after)) = argument(after) {
                let letters = content.chars().map(|c| if c == 'R' { 'ℝ' } else { c });
                out.extend(letters);
                return after;
            }
        }
        "mbox" => {
            if let Some((_, after)) = argument(after) {
                return after;
            }
        }
        name => out.push_str(sign(name)),
    }
    after
}

/// The rows of a matrix, their items as wide as the widest.
fn matrix(content: &str, shown: impl Fn(&str) -> String) -> String {
    let cell = |cell: &str| shown(cell).trim().to_string();
    let rows = content.split("\\\\");
    let rows: Vec<Vec<String>> = rows.map(|row| row.split('&').map(cell).collect()).collect();
    let widths = rows.iter().flatten().map(|cell| cell.chars().count());
    let width = widths.max().unwrap_or_default();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().map(|cell| format!("{cell:>width$}"));
        cells.collect::<Vec<_>>().join(" ")
    });
    format!("[ {} ]", lines.collect::<Vec<_>>().join("; "))
}

fn sign(name: &str) -> &'static str {
    match name {
        "pi" => "pi",
        "mid" => "|",
        "infty" => "inf",
        "cup" => "U",
        "cdot" | "times" => "*",
        "div" => "÷",
        "pm" => "±",
        "mp" => "∓",
        "cap" => "∩",
        "in" => "∈",
        "circ" => "∘",
        "le" | "leq" => "≤",
        "ge" | "geq" => "≥",
        "ne" | "neq" => "≠",
        "approx" => "≈",
        "leftarrow" => "←",
        "rightarrow" | "to" => "→",
        "alpha" => "α",
        "beta" => "β",
        "gamma" => "γ",
        "theta" => "θ",
        "lambda" => "λ",
        "phi" => "ϕ",
        "sin" => "sin",
        "cos" => "cos",
        "tan" => "tan",
        "cot" => "cot",
        "sec" => "sec",
        "csc" => "csc",
        "log" => "log",
        "ln" => "ln",
        "exp" => "exp",
        "emptyset" | "varnothing" => "∅",
        "ldots" | "dots" | "cdots" => "…",
        "quad" => " ",
        "lfloor" => "⌊",
        "rfloor" => "⌋",
        _ => "",
    }
}
