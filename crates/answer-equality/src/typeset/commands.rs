//! Commands of LaTeX.

use super::{Plain, argument, arguments, command_name, group, inner, is_one_factor};

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

impl Plain {
    /// A command, of which the backslash has been read. Returns what follows.
    pub(super) fn command<'a>(&mut self, rest: &'a str, depth: usize) -> &'a str {
        let (name, after) = command_name(rest);
        let sign = match name {
            "!" | "(" | ")" | "[" | "]" => "",
            "," | ";" | ":" | " " | "\\" => " ",
            mark if !mark.starts_with(|c: char| c.is_ascii_alphabetic()) => mark,
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
        let Some(([top, bottom], after)) = arguments(rest) else {
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
        let Some(([top, bottom], after)) = arguments(rest) else {
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
