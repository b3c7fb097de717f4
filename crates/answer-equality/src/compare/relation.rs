//! Equations and inequalities.

use super::list::split;
use super::text::{as_text, named};
use super::{Judge, loosest};
use crate::expression::{Expression, proportion, whole};
use crate::options::Rule;

/// Relations of one answer that are compared with each other.
const MOST_RELATIONS: usize = 16;

/// What stands between two sides; "greater" is read from the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Less,
    AtMost,
    Unequal,
    Equal,
}

/// Two sides and what is said about them.
struct Relation<'a> {
    left: &'a str,
    sign: Sign,
    right: &'a str,
}

/// Whether a text has a sign of comparison other than that of equality.
pub(super) fn is_relation(text: &str) -> bool {
    ["<", ">", "!=", "~="]
        .iter()
        .any(|sign| text.contains(sign))
}

/// The relations of a text, chains such as `2 < x < 5` one by one; nothing if a part of it is none.
fn relations(text: &str) -> Option<Vec<Relation<'_>>> {
    const SIGNS: [(&str, Sign, bool); 7] = [
        ("<=", Sign::AtMost, false),
        (">=", Sign::AtMost, true),
        ("!=", Sign::Unequal, false),
        ("~=", Sign::Unequal, false),
        ("<", Sign::Less, false),
        (">", Sign::Less, true),
        ("=", Sign::Equal, false),
    ];
    let mut found = Vec::new();
    for part in parts(text) {
        let mut rest = part;
        let mut before: Option<(&str, Sign, bool)> = None;
        loop {
            let next = SIGNS
                .iter()
                .filter_map(|sign| Some((rest.find(sign.0)?, sign)))
                .min_by_key(|(at, sign)| (*at, std::cmp::Reverse(sign.0.len())));
            let side = rest[..next.map_or(rest.len(), |(at, _)| at)].trim();
            if side.is_empty() {
                return None;
            }
            if let Some((left, sign, turned)) = before {
                let (left, right) = if turned { (side, left) } else { (left, side) };
                found.push(Relation { left, sign, right });
            }
            let Some((at, (spelled, sign, turned))) = next else {
                break;
            };
            if found.len() > MOST_RELATIONS {
                return None;
            }
            before = Some((side, *sign, *turned));
            rest = &rest[at + spelled.len()..];
        }
        before?;
    }
    (!found.is_empty() && found.len() <= MOST_RELATIONS).then_some(found)
}

/// The parts between commas, "and" and "or".
fn parts(text: &str) -> Vec<&str> {
    let mut parts = vec![text];
    for word in [" and ", " or ", ",", ";"] {
        parts = parts
            .into_iter()
            .flat_map(|part| part.split(word))
            .collect();
    }
    let parts = parts.into_iter().map(str::trim);
    parts.filter(|part| !part.is_empty()).collect()
}

/// The values that inequalities leave to one name, as an interval or a union of some.
fn interval(text: &str) -> Option<String> {
    let is_name = |side: &str| {
        side.chars().next().is_some_and(char::is_alphabetic) && side.chars().count() == 1
    };
    let mut name = None;
    let mut intervals = Vec::new();
    for part in text.split(" or ") {
        let (mut below, mut above) = (("(", "-inf"), ("inf", ")"));
        for relation in relations(part)? {
            let open = match relation.sign {
                Sign::Less => true,
                Sign::AtMost => false,
                Sign::Unequal | Sign::Equal => return None,
            };
            let this = if is_name(relation.left) {
                above = (relation.right, if open { ")" } else { "]" });
                relation.left
            } else if is_name(relation.right) {
                below = (if open { "(" } else { "[" }, relation.left);
                relation.right
            } else {
                return None;
            };
            if name.replace(this).is_some_and(|before| before != this) {
                return None;
            }
        }
        intervals.push(format!("{}{},{}{}", below.0, below.1, above.0, above.1));
    }
    Some(intervals.join("∪"))
}

impl Judge<'_> {
    /// Compares inequalities, if one of both is one.
    pub(super) fn same_relation(
        &self,
        given: &str,
        truth: &str,
        depth: usize,
    ) -> Option<Option<Rule>> {
        match (is_relation(given), is_relation(truth)) {
            (false, false) => None,
            (true, true) => Some(self.same_relations(given, truth, depth)),
            (true, false) => Some(interval(given).and_then(|it| self.same(&it, truth, depth + 1))),
            (false, true) => Some(interval(truth).and_then(|it| self.same(given, &it, depth + 1))),
        }
    }

    fn same_relations(&self, given: &str, truth: &str, depth: usize) -> Option<Rule> {
        let joined = |text: &str| (text.contains(" or "), text.contains(" and "));
        let contrary = joined(given) == (true, false) && joined(truth) == (false, true)
            || joined(given) == (false, true) && joined(truth) == (true, false);
        let (ours, theirs) = (relations(given)?, relations(truth)?);
        if contrary || ours.len() != theirs.len() {
            return None;
        }
        let mut left: Vec<&Relation<'_>> = theirs.iter().collect();
        let mut by = Rule::Text;
        for one in &ours {
            let found = left
                .iter()
                .enumerate()
                .find_map(|(place, other)| Some((place, self.same_sides(one, other, depth)?)));
            let (place, rule) = found?;
            left.swap_remove(place);
            by = loosest(by, rule);
        }
        Some(by)
    }

    /// Two relations: by their sides, or by their differences up to a factor.
    fn same_sides(&self, a: &Relation<'_>, b: &Relation<'_>, depth: usize) -> Option<Rule> {
        if a.sign != b.sign {
            return None;
        }
        let symmetric = matches!(a.sign, Sign::Equal | Sign::Unequal);
        let both = |x: &str, y: &str| {
            let first = self.same(a.left, x, depth + 1)?;
            Some(loosest(first, self.same(a.right, y, depth + 1)?))
        };
        let turned = || symmetric.then(|| both(b.right, b.left))?;
        let by_value = || {
            let quotient = proportion(&difference(a)?, &difference(b)?, &self.work)?;
            let positive = quotient.is_real() && !quotient.is_negative();
            (symmetric || positive).then_some(Rule::Algebra)
        };
        both(b.left, b.right).or_else(turned).or_else(by_value)
    }

    /// Compares values with names and equations, if one of both is one.
    pub(super) fn same_equation(
        &self,
        given: &str,
        truth: &str,
        depth: usize,
    ) -> Option<Option<Rule>> {
        match (named(given), named(truth)) {
            (Some((ours, value)), Some((theirs, true_value))) => {
                let same_name = as_text(ours) == as_text(theirs);
                let by_value = same_name.then(|| self.same(value, true_value, depth + 1));
                Some(by_value.flatten().or_else(|| {
                    let computed = !has_letters(ours) || !has_letters(theirs);
                    (!computed).then(|| self.same_relations(given, truth, depth))?
                }))
            }
            _ if given.contains('=') && truth.contains('=') => {
                Some(self.same_relations(given, truth, depth))
            }
            (Some((_, value)), None) => Some(self.same(value, truth, depth + 1)),
            (None, Some((_, value))) => Some(self.same(given, value, depth + 1)),
            (None, None) => None,
        }
    }
}

fn has_letters(text: &str) -> bool {
    text.contains(char::is_alphabetic)
}

fn difference(relation: &Relation<'_>) -> Option<Expression> {
    // A list is no side.
    if [relation.left, relation.right]
        .iter()
        .any(|side| split(side, false).len() != 1)
    {
        return None;
    }
    let (left, _) = whole(relation.left)?;
    let (right, _) = whole(relation.right)?;
    Some(Expression::Sum(vec![
        left,
        Expression::Negative(Box::new(right)),
    ]))
}
