//! Whether two expressions are one function, found by computing both.

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::Expression;
use super::evaluate::{real_value_at, value_at};
use super::value::Value;
use super::work::Work;

/// Points at which two expressions are computed, and how many of them must say something.
const POINTS: u64 = 16;
const ENOUGH: usize = 3;

/// Whether two expressions have the same value wherever both have a real one, or, where neither is ever real, a complex one.
///
/// They are computed at points that only depend on the names of the variables: fractions of both signs, near zero, near one and
/// larger, or whole numbers where something is counted. Polynomials that differ could only agree at all of them by a chance far
/// smaller than that of any other mistake.
pub(crate) fn same_everywhere(a: &Expression, b: &Expression, work: &Work) -> bool {
    holds_everywhere(a, b, work, |a, b| a.same_as(b))
}

/// The quotient of two expressions, if it is the same number wherever both are defined, and not zero.
pub(crate) fn proportion(a: &Expression, b: &Expression, work: &Work) -> Option<Value> {
    let mut quotient: Option<Value> = None;
    let holds = holds_everywhere(a, b, work, |a, b| {
        if a.is_zero() && b.is_zero() {
            return true;
        }
        let Some(this) = a.over(b).filter(|it| !it.is_zero()) else {
            return false;
        };
        quotient.get_or_insert_with(|| this.clone()).same_as(&this)
    });
    quotient.filter(|_| holds)
}

/// Whether something holds for the values of both at all points, and there are enough of them.
fn holds_everywhere(
    a: &Expression,
    b: &Expression,
    work: &Work,
    mut holds: impl FnMut(&Value, &Value) -> bool,
) -> bool {
    if a.variables().is_empty() && b.variables().is_empty() {
        let none = |_: &str| None;
        let both = value_at(a, &none, work).zip(value_at(b, &none, work));
        return both.is_some_and(|(a, b)| holds(&a, &b));
    }
    let counts = a.counts() || b.counts();
    for value in [real_value_at, value_at] {
        let mut found = 0;
        for round in 0..POINTS {
            let point = |name: &str| Some(coordinate(name, round, counts));
            let both = value(a, &point, work).zip(value(b, &point, work));
            let Some((a, b)) = both else {
                continue;
            };
            if !holds(&a, &b) {
                return false;
            }
            found += 1;
        }
        // What was cut short has not been shown everywhere.
        if work.spend(1).is_none() {
            return false;
        }
        if found >= ENOUGH {
            return true;
        }
    }
    false
}

/// A number that looks drawn, by the name of a variable and the number of the point.
fn coordinate(name: &str, round: u64, counts: bool) -> RBig {
    let drawn = scramble(name, round);
    if counts {
        return RBig::from(2 + drawn % 29);
    }
    // Primes, so that little cancels.
    let bottom = [1009u64, 2003, 3001, 499][(round % 4) as usize];
    let most = match round % 4 {
        0 => bottom,
        1 => 4 * bottom,
        2 => 20 * bottom,
        _ => bottom / 3,
    };
    let top = IBig::from(1 + drawn % most);
    // Most functions are defined where all variables are positive; what holds there alone is found out at the others.
    let negative = match round {
        0..=9 => false,
        15 => true,
        _ => drawn >> 40 & 1 == 1,
    };
    RBig::from_parts(if negative { -top } else { top }, UBig::from(bottom))
}

/// FNV-1a over the name, then the steps of SplitMix64.
fn scramble(name: &str, round: u64) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325u64 ^ round;
    let mixed = name.bytes().fold(start, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::whole;

    fn of(text: &str) -> Expression {
        whole(text).expect(text).0
    }

    #[test]
    fn expressions_are_equal_where_both_have_a_value() {
        for (a, b) in [
            ("(x+1)^2", "x^2 + 2x + 1"),
            ("(x^2 - 1)/(x - 1)", "x + 1"),
            ("sin^2 x + cos^2 x", "1"),
            ("ln(x^2)", "2 ln x"),
            ("sqrt(x) sqrt(y)", "sqrt(xy)"),
            ("e^(ix)", "cos x + i sin x"),
            ("n!/(n-2)!", "n(n-1)"),
            ("binom(n,2)", "n(n-1)/2"),
            ("tan x", "sin x / cos x"),
            ("sqrt(1 - x^2)", "(1-x^2)^(1/2)"),
            ("arcsin(x) + arccos(x)", "pi/2"),
            ("root(3,x^3)", "x"),
            ("1/(1+i)", "(1-i)/2"),
            ("log_2 8", "3"),
            ("sqrt(3+2sqrt(2))", "1+sqrt(2)"),
        ] {
            assert!(
                same_everywhere(&of(a), &of(b), &Work::default()),
                "{a} and {b}"
            );
            assert!(
                same_everywhere(&of(b), &of(a), &Work::default()),
                "{b} and {a}"
            );
        }
        for (a, b) in [
            ("sqrt(x^2)", "x"),
            ("x^2", "x^3"),
            ("x*y", "x+y"),
            ("a", "b"),
            ("x", "x + 1e-30"),
            ("sqrt(2)", "1.4142135623730950488016887242097"),
            ("x/0", "x/0"),
            ("sin x", "cos x"),
            ("(x+y)^2", "x^2 + y^2"),
        ] {
            assert!(
                !same_everywhere(&of(a), &of(b), &Work::default()),
                "{a} and {b}"
            );
        }
    }

    #[test]
    fn a_proportion_is_one_number_everywhere() {
        let quotient = proportion(&of("2x + 4y"), &of("x + 2y"), &Work::default()).expect("twice");
        assert!(quotient.same_as(&Value::whole(2)));
        assert!(proportion(&of("x"), &of("x^2"), &Work::default()).is_none());
        assert!(proportion(&of("x - x"), &of("x"), &Work::default()).is_none());
    }
}
