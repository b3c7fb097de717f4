//! Numbers and simple statements in a text: `12 * 3 = 36`.

/// A number and where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number<'a> {
    pub text: &'a str,
    pub value: f64,
    /// Byte offsets.
    pub start: usize,
    pub end: usize,
}

/// The unsigned numbers of a text, thousands separators allowed. Digits inside a word, as in
/// `x1`, are no number.
pub(crate) fn numbers(text: &str) -> Vec<Number<'_>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && continues(bytes, at) {
            at += 1;
        }
        let in_word =
            start > 0 && is_word(bytes[start - 1]) || at < bytes.len() && is_word(bytes[at]);
        let text = &text[start..at];
        if let (false, Ok(value)) = (in_word, text.replace(',', "").parse()) {
            found.push(Number {
                text,
                value,
                start,
                end: at,
            });
        }
    }
    found
}

/// A point belongs to a number when a digit follows, a comma when three digits do.
fn continues(bytes: &[u8], at: usize) -> bool {
    let digits = |count| {
        bytes[at + 1..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
            >= count
    };
    match bytes[at] {
        b'.' => digits(1),
        b',' => digits(3),
        byte => byte.is_ascii_digit(),
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// `left op right`, and what the text says it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Statement<'a> {
    pub left: Number<'a>,
    pub op: char,
    pub right: Number<'a>,
    pub result: Number<'a>,
}

impl Statement<'_> {
    /// Whether it is so, to four digits.
    pub fn is_right(&self) -> bool {
        let (a, b) = (self.left.value, self.right.value);
        let value = match self.op {
            '+' => a + b,
            '-' => a - b,
            '*' => a * b,
            _ => a / b,
        };
        (value - self.result.value).abs() <= 1e-4 * value.abs().max(1e-9)
    }

    /// `12 * 3`.
    pub fn expression(&self) -> String {
        format!("{} {} {}", self.left.text, self.op, self.right.text)
    }
}

/// The statements of a text, in order.
pub(crate) fn statements(text: &str) -> Vec<Statement<'_>> {
    let numbers = numbers(text);
    numbers
        .windows(3)
        .filter_map(|three| {
            let [left, right, result] = three else {
                return None;
            };
            let op = operator(&text[left.end..right.start])?;
            let equals = text[right.end..result.start].trim() == "=";
            // In `3 + 4 * 5 = 23` the end is no statement of its own.
            let alone = !text[..left.start]
                .trim_end()
                .ends_with(['+', '-', '*', '/', 'x', '×', '÷']);
            (equals && alone).then_some(Statement {
                left: *left,
                op,
                right: *right,
                result: *result,
            })
        })
        .collect()
}

fn operator(between: &str) -> Option<char> {
    match between.trim() {
        "+" => Some('+'),
        "-" | "−" => Some('-'),
        "*" | "x" | "×" => Some('*'),
        "/" | "//" | "÷" => Some('/'),
        _ => None,
    }
}

/// Whether a number of that value stands anywhere in the text.
pub(crate) fn mentions(text: &str, value: f64) -> bool {
    numbers(text)
        .iter()
        .any(|number| (number.value - value).abs() <= 1e-9 * value.abs().max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_between_words_and_signs() {
        let text = "x1 = 12*3, so 1,250.5 and 7. y_2 (3)";
        let found: Vec<_> = numbers(text).iter().map(|number| number.value).collect();
        assert_eq!(found, [12.0, 3.0, 1250.5, 7.0, 3.0]);
    }

    #[test]
    fn statements_are_read_with_their_operator() {
        let text = "Step 1: 12 * 3 = 36 pens. Step 2: 36 - 4 = 31, 9 / 2 = 4.5, 3 + 4 * 5 = 23";
        let found: Vec<_> = statements(text)
            .iter()
            .map(|statement| (statement.expression(), statement.is_right()))
            .collect();
        assert_eq!(
            found,
            [
                ("12 * 3".to_owned(), true),
                ("36 - 4".to_owned(), false),
                ("9 / 2".to_owned(), true)
            ]
        );
    }

    #[test]
    fn a_number_inside_another_is_not_mentioned() {
        assert!(mentions("it is 36.", 36.0));
        assert!(!mentions("it is 136 or 3.6", 36.0));
    }

    proptest::proptest! {
        #[test]
        fn any_text_can_be_searched(text in "\\PC*") {
            numbers(&text);
            statements(&text);
        }

        #[test]
        fn a_written_statement_is_read_back(a in 0u32..10_000, b in 1u32..10_000) {
            let text = format!("{a} + {b} = {}", a + b);
            let found = statements(&text);
            proptest::prop_assert_eq!(found.len(), 1);
            proptest::prop_assert!(found[0].is_right());
        }
    }
}
