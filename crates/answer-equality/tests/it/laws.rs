//! What holds for any answers.

use answer_equality::{
    Rule, Tolerance, authors, compare, equal, extract, extract_shown, parse_number,
};
use proptest::prelude::*;

const EXACT: Tolerance = Tolerance::exact();

/// Pieces of LaTeX, Python and prose, in any order.
fn soup() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "\\boxed{",
        "\\frac",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "1",
        "23",
        "0.5",
        "x",
        "y",
        "pi",
        "\\pi",
        "\\sqrt",
        "^",
        "**",
        "_",
        "+",
        "-",
        "*",
        "/",
        "=",
        "<",
        "\\le",
        "\\pm",
        ",",
        " ",
        "$",
        "%",
        "\\text{",
        "cm",
        "e",
        "i",
        "sin",
        "\\ln",
        "log_",
        "|",
        "!",
        ".",
        "\\begin{pmatrix}",
        "&",
        "\\\\",
        "\\end{pmatrix}",
        "\\cup",
        "\\infty",
        "oo",
        "Interval.open(",
        "and",
        "or",
        "∈",
        "½",
        "answer is",
        "Answer:",
        "####",
        "\n",
        "am",
        ":",
        "(B)",
        "é",
        "√",
        "1e9",
        "\\left",
        "'",
        "9^9",
    ];
    proptest::collection::vec(proptest::sample::select(PIECES), 0..24)
        .prop_map(|pieces| pieces.concat())
}

/// Mathematics that is well formed.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (0u32..50).prop_map(|n| n.to_string()),
        Just("x".to_string()),
        Just("y".to_string()),
        Just("pi".to_string()),
        Just("sqrt(2)".to_string()),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        (inner.clone(), "[-+*/]", inner).prop_map(|(a, sign, b)| format!("({a}){sign}({b})"))
    })
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(a in soup(), b in soup(), c in ".{0,40}") {
        for text in [&a, &b, &c] {
            let _ = (extract(text), extract_shown(text), parse_number(text));
            let _ = authors::grade(&authors::match_answer(text), &b, &Tolerance::authors());
        }
        for tolerance in [EXACT, Tolerance::default(), Tolerance::authors_mint()] {
            let _ = (compare(&a, &b, &tolerance), compare(&c, &a, &tolerance));
        }
    }

    #[test]
    fn every_answer_equals_itself(text in soup()) {
        let is_empty = text.trim().is_empty();
        prop_assert_eq!(equal(&text, &text, &EXACT), !is_empty);
        let spaced = format!(" {text} ");
        prop_assert_eq!(equal(&spaced, &text, &EXACT), !is_empty);
    }

    #[test]
    fn exact_equality_does_not_depend_on_the_side(a in soup(), b in soup()) {
        prop_assert_eq!(equal(&a, &b, &EXACT), equal(&b, &a, &EXACT));
    }

    #[test]
    fn equality_of_numbers_and_lists_does_not_depend_on_the_side(
        a in r"[0-9x=+.,()\[\] {}/^%$-]{0,12}",
        b in r"[0-9x=+.,()\[\] {}/^%$-]{0,12}",
    ) {
        prop_assert_eq!(equal(&a, &b, &EXACT), equal(&b, &a, &EXACT));
    }

    #[test]
    fn an_expression_equals_its_rearrangements(a in expression(), b in expression()) {
        // Not where nothing is defined: a division by zero has no value to compare.
        prop_assume!(equal(&format!("0+1*({a})"), &a, &EXACT));
        prop_assume!(equal(&format!("0+1*({b})"), &b, &EXACT));
        let same = |left: String, right: String| {
            prop_assert!(equal(&left, &right, &EXACT), "{left} and {right}");
            Ok(())
        };
        same(format!("({a})+({b})"), format!("({b})+({a})"))?;
        same(format!("({a})-({b})"), format!("-(({b})-({a}))"))?;
        same(format!("(({a})+({b}))^2"), format!("({a})^2+2*({a})*({b})+({b})^2"))?;
        let more = format!("({a})+1");
        prop_assert!(!equal(&more, &a, &EXACT));
    }

    #[test]
    fn a_number_equals_itself_in_every_format(n in 0u64..10_000_000_000, places in 1usize..6) {
        let digits = n.to_string();
        let mut commas = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                commas.push(',');
            }
            commas.push(digit);
        }
        let latex = commas.replace(',', "{,}");
        let zeros = "0".repeat(places);
        let formats = [
            format!("${commas}"),
            format!("\\$ {commas}"),
            format!("{commas} km"),
            format!("{n}.{zeros}"),
            format!("{n}/1"),
            format!("\\frac{{{n}{zeros}}}{{1{zeros}}}"),
            format!("{n}{zeros}e-{places}"),
            format!("{n}{zeros} \\times 10^{{-{places}}}"),
            format!("x = {n}"),
            format!("\\boxed{{{n}}}"),
            format!("\\text{{{n}}}"),
            format!("({n})"),
            format!("+{n}"),
            latex,
            commas.replace(',', "\\,"),
        ];
        let next = (n + 1).to_string();
        for given in &formats {
            prop_assert!(equal(given, &digits, &EXACT), "{given} is {digits}");
            prop_assert!(equal(&digits, given, &EXACT), "{digits} is {given}");
            prop_assert!(!equal(given, &next, &EXACT), "{given} is not {next}");
        }
    }

    #[test]
    fn a_tolerance_never_takes_a_verdict_back(a in soup(), b in soup()) {
        let exact = compare(&a, &b, &Tolerance::default());
        let loose = compare(&a, &b, &Tolerance::authors());
        prop_assert!(!exact.equal || loose.equal, "{a:?} {b:?}");
    }

    #[test]
    fn a_relative_tolerance_is_a_bound(n in 1u32..1_000_000, off in 0u32..2_000) {
        let truth = f64::from(n);
        let given = truth * (1.0 + f64::from(off) * 1e-6);
        let near = Tolerance { relative: Some(1e-3), ..EXACT };
        let by = compare(&format!("{given:.9}"), &n.to_string(), &near).by;
        // Not at the bound itself, where the last digit decides.
        prop_assume!(off != 1000);
        prop_assert_eq!(by.is_some(), off < 1000, "{} {:?}", given, by);
        prop_assert!(by.is_none_or(|by| by == Rule::Number || by == Rule::Relative));
    }
}
