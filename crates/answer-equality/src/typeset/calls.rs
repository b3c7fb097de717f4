//! Python notation of intervals, sets, matrices and infinity.

/// `oo`, as Python's algebra writes it, as a word.
pub(super) fn with_infinity(text: &str) -> String {
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
pub(super) fn with_brackets(text: &str) -> String {
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
fn with_intervals(text: &str) -> String {
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
