//! The rules of the graders that were released with the Eurus paper (arXiv 2404.02078), their defects included.
//!
//! For figures that can be put beside the published ones. Where these rules and [`compare`](crate::compare) differ, they differ
//! in this: here `36°` is not `36^\circ` and `k = 15` is not `k = 15` (its value is extracted, the truth's is not), while
//! `(2,3]` is `(2,3)`, `443_7` is `443_5` and `Mon` is `Monday`.
//!
//! An answer is right if one of two graders says so: the one of PRM800K, by normal forms and a difference that simplifies to
//! zero, or the one of ToRA, by numbers within a tolerance, lists item by item, and a difference again. What their algebra
//! system simplifies is found here by values at points, as everywhere in this crate.

mod algebra;
mod extract;
mod hendrycks;
mod latex;
mod normal;
mod prm800k;
mod tora;

pub use extract::{is_marked, last_box, match_answer};
pub use hendrycks::{hendrycks_equal, hendrycks_form};
pub use normal::{is_whole, mathd_form, prm800k_form};
pub use prm800k::{is_fraction, is_simple, split_tuple};
pub use tora::{tora_brackets, tora_form, tora_number};

use crate::expression::Work;
use crate::extract::within;
use crate::options::{Comparison, Tolerance};

/// Longer texts are cut before anything else.
const LONGEST: usize = 10_000;

/// Whether an answer that [`match_answer`] extracted is the truth by the paper's rules for MATH, GSM8K, SVAMP and ASDiv.
///
/// Of the tolerance `absolute`, `relative`, `factor_hundred` and `short_pi` count; with [`Tolerance::authors`] verdicts are the released
/// ones, with [`Tolerance::exact`] those of the same rules without tolerances.
///
/// ```
/// use answer_equality::{Tolerance, authors};
/// let answer = authors::match_answer("The answer is: x = 50.");
/// assert_eq!(answer, "50.");
/// assert!(authors::grade(&answer, "0.5", &Tolerance::authors()).equal);
/// assert!(!authors::grade(&answer, "0.5", &Tolerance::exact()).equal);
/// ```
pub fn grade(given: &str, truth: &str, tolerance: &Tolerance) -> Comparison {
    let (given, truth) = (within(given, LONGEST), within(truth, LONGEST));
    let work = Work::default();
    let by =
        prm800k::grade(given, truth, &work).or_else(|| tora::grade(given, truth, tolerance, &work));
    Comparison {
        equal: by.is_some(),
        by,
    }
}
