//! Answers that would cost years or the stack if they were computed.

use answer_equality::{Tolerance, authors, compare, extract, extract_shown, parse_number};

/// A pattern repeated, with an end.
fn many(pattern: &str, times: usize, end: &str) -> String {
    pattern.repeat(times) + end
}

fn numbered(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(", ")
}

#[test]
fn what_cannot_be_computed_is_not_equal_and_does_not_hang() {
    let cases = [
        ("9**9**9".into(), "9**9**9+1".into()),
        ("9^9^9^9^9^9".into(), "8^8^8^8".into()),
        ("99999999!".into(), "1".into()),
        ("x^1000000".into(), "x^1000001".into()),
        ("1e999999999".into(), "1e999999998".into()),
        ("e^(e^(e^(e^x)))".into(), "e^(e^(e^(x^2)))".into()),
        ("exp(4000)*x".into(), "exp(3999)*x".into()),
        ("sin(10^100)".into(), "1".into()),
        (many("(", 9000, ""), many("(", 8999, "")),
        (many("[", 3000, ""), many("[", 2999, "]")),
        (many("{1,", 900, "}"), many("{1,", 900, "2}")),
        (many("-", 9000, "1"), "1".into()),
        (many("2^", 3000, "1"), "1".into()),
        (many("sin x + ", 240, "1"), many("cos x + ", 240, "1")),
        (many("9^99+", 390, "x"), many("9^99+", 390, "y")),
        (many("1000!+", 300, "x"), many("1000!+", 300, "y")),
        (many("x*", 900, "x"), many("x*", 899, "y")),
        (many("\\sqrt{", 400, "2"), many("\\sqrt{", 399, "2")),
        (
            many("\\frac{1}{1+", 500, "x"),
            many("\\frac{1}{1+", 499, "x"),
        ),
        (many("x=", 3000, "1"), many("x=", 3000, "2")),
        (many("x<", 3000, "1"), many("x<", 3000, "2")),
        (many("∪", 3000, ""), many("∪", 2999, "")),
        (many("±1", 3000, ""), many("±2", 3000, "")),
        (many("A) ", 3000, ""), many("A) ", 2999, "B")),
        (many("o", 9000, ""), many("oo ", 3000, "")),
        (many("Interval(", 1000, ""), "1".into()),
        (many("|", 3000, "x"), "y".into()),
        (many("answer is ", 900, ""), "1".into()),
        (many("\\boxed{", 9000, ""), "1".into()),
        (
            numbered(199, |i| format!("sin(x+{i})")),
            numbered(199, |i| format!("sin({}+x)", 199 - i)),
        ),
        (
            numbered(199, |i| format!("{i}")),
            numbered(199, |i| format!("{}.5", 199 - i)),
        ),
    ];
    for (given, truth) in &cases {
        let shown: String = given.chars().take(30).collect();
        assert!(
            !compare(given, truth, &Tolerance::authors()).equal,
            "{shown}"
        );
        assert!(!compare(truth, given, &Tolerance::exact()).equal, "{shown}");
        let _ = authors::grade(&authors::match_answer(given), truth, &Tolerance::authors());
        let _ = (extract(given), extract_shown(given), parse_number(given));
    }
}

/// What a program prints may be this long, and it may print what it likes.
#[test]
fn a_long_text_is_searched_in_a_time_that_grows_with_its_length() {
    const LENGTH: usize = 1 << 18;
    for (pattern, start) in [
        (".", "Answer: "),
        ("#", ""),
        ("\\boxed{}", ""),
        ("{\\fbox", ""),
        ("answer ", ""),
        ("answer(", ""),
        ("answer\r", ""),
        ("```answer:\n", ""),
        ("answer is ", ""),
        ("#### sin(1)+cos(1)x\n", ""),
    ] {
        let text = start.to_owned() + &pattern.repeat(LENGTH / pattern.len());
        assert!(extract_shown(&text).is_some(), "{pattern}");
    }
}

#[test]
fn long_texts_are_compared_as_text() {
    let long = "a long answer ".repeat(10_000);
    assert!(compare(&long, &long.to_uppercase(), &Tolerance::exact()).equal);
    assert!(!compare(&long, "a long answer", &Tolerance::exact()).equal);
    let digits = "7".repeat(100_000);
    assert!(compare(&format!("00{digits}"), &digits, &Tolerance::exact()).equal);
    assert!(!compare(&format!("{digits}1"), &digits, &Tolerance::exact()).equal);
}
