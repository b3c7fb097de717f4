//! What a run gave, against what the file expects.

use std::fmt::{self, Display};

use super::case::Case;

/// f32 tolerances of the vectors' README: `|got - want| <= ABSOLUTE + RELATIVE * max|want|`, the maximum taken over the
/// array, and over all arrays of the case for gradients.
const RELATIVE: f64 = 5e-6;
const ABSOLUTE: f64 = 2e-7;

type Arrays = Vec<(&'static str, Vec<f64>)>;

/// Arrays of one run under the names they have in the file.
pub struct Run {
    pub values: Arrays,
    pub grads: Arrays,
}

/// Largest errors over the cases of a loss.
#[derive(Default)]
pub struct Errors {
    pub cases: usize,
    value: f64,
    gradient: f64,
    /// Largest error divided by what is allowed.
    share: f64,
}

impl Errors {
    pub fn header() -> String {
        format!(
            "{:<24} {:>5} {:>14} {:>14} {:>16}",
            "loss", "cases", "max |value err|", "max |grad err|", "of the tolerance"
        )
    }

    /// Notes the errors of a run; those beyond the tolerance go into `failures`.
    pub fn compare(&mut self, case: &Case<'_>, run: &Run, failures: &mut Vec<String>) {
        let value = self.compare_group(case, "expected", &run.values, failures);
        self.value = self.value.max(value);
        // At a kink the references differ among each other in which side's gradient they take.
        if !case.has_tag("kink") {
            let gradient = self.compare_group(case, "grads", &run.grads, failures);
            self.gradient = self.gradient.max(gradient);
        }
    }

    fn compare_group(
        &mut self,
        case: &Case<'_>,
        group: &str,
        arrays: &Arrays,
        failures: &mut Vec<String>,
    ) -> f64 {
        let mut pairs = Vec::new();
        for (name, got) in arrays {
            match case.expected(group, name) {
                Some(want) => pairs.push((name, got, want)),
                // The references do not all report every array, but these they do.
                None if group == "grads" || *name == "loss" => {
                    failures.push(format!("{}: the file has no {group}.{name}", case.name()));
                }
                None => {}
            }
        }
        let largest = |want: &[f64]| want.iter().fold(0.0f64, |max, x| max.max(x.abs()));
        let over_all = pairs
            .iter()
            .fold(0.0f64, |max, (.., want)| max.max(largest(want)));
        let mut worst = 0.0f64;
        for (name, got, want) in pairs {
            let scale = if group == "grads" {
                over_all
            } else {
                largest(&want)
            };
            let error = if got.len() == want.len() {
                largest_difference(got, &want)
            } else {
                f64::INFINITY
            };
            let allowed = ABSOLUTE + RELATIVE * scale;
            worst = worst.max(error);
            self.share = self.share.max(error / allowed);
            if error > allowed {
                failures.push(format!(
                    "{} {group}.{name}: error {error:e}, allowed {allowed:e}\n    got  {got:?}\n    want {want:?}",
                    case.name(),
                ));
            }
        }
        worst
    }
}

/// Infinite where a difference is not a number.
fn largest_difference(got: &[f64], want: &[f64]) -> f64 {
    got.iter().zip(want).fold(0.0f64, |max, (got, want)| {
        let difference = (got - want).abs();
        max.max(if difference.is_nan() {
            f64::INFINITY
        } else {
            difference
        })
    })
}

impl Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cases,
            value,
            gradient,
            share,
        } = self;
        write!(
            f,
            "{cases:>5} {value:>14.2e} {gradient:>14.2e} {:>15.0}%",
            100.0 * share
        )
    }
}
