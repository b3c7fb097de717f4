//! The equivalence of the MATH data set (arXiv 2103.03874), which the released code carries and does not call.

use super::normal::{fixed_fractions, fixed_roots, slash_as_fraction};

/// The normal form of an answer: as [`mathd_form`](super::mathd_form), but without any space. Nothing where the original fails:
/// a root of nothing, or two units.
///
/// ```
/// use answer_equality::authors::hendrycks_form;
/// assert_eq!(hendrycks_form(r"x = \dfrac12").as_deref(), Some(r"\frac{1}{2}"));
/// assert_eq!(hendrycks_form(r"\sqrt"), None);
/// ```
pub fn hendrycks_form(answer: &str) -> Option<String> {
    let mut text = answer
        .replace('\n', "")
        .replace("\\!", "")
        .replace("\\\\", "\\");
    text = text.replace("tfrac", "frac").replace("dfrac", "frac");
    for gone in ["\\left", "\\right", "^{\\circ}", "^\\circ", "\\$"] {
        text = text.replace(gone, "");
    }
    let mut parts = text.split("\\text{ ");
    let before = parts.next().unwrap_or_default();
    if parts.count() > 1 {
        return None;
    }
    text = before.replace("\\%", "").replace('%', "");
    text = text.replace(" .", " 0.").replace("{.", "{0.");
    if text.is_empty() {
        return Some(text);
    }
    if text.starts_with('.') {
        text.insert(0, '0');
    }
    if text.matches('=').count() == 1
        && let Some((name, value)) = text.split_once('=')
        && name.chars().count() <= 2
    {
        text = value.to_string();
    }
    if text.ends_with("\\sqrt") {
        return None;
    }
    text = fixed_fractions(&fixed_roots(&text).replace(' ', ""));
    if text == "0.5" {
        text = "\\frac{1}{2}".to_string();
    }
    Some(slash_as_fraction(text))
}

/// Whether two answers have one normal form; where one has none, whether they are one text.
///
/// ```
/// use answer_equality::authors::hendrycks_equal;
/// assert!(hendrycks_equal("(0, 1]", "(0,1]") && !hendrycks_equal("0.25", "1/4"));
/// ```
pub fn hendrycks_equal(a: &str, b: &str) -> bool {
    match hendrycks_form(a).zip(hendrycks_form(b)) {
        Some((a, b)) => a == b,
        None => a == b,
    }
}
