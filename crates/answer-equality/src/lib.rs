//! Is this final answer that one?
//!
//! For programs that judge what language models answer to problems of mathematics, multiple choice or trivia: the final answer
//! is found in a text, and compared with the truth.
//!
//! ```
//! use answer_equality::{Rule, Tolerance, compare, equal, extract};
//!
//! let text = r"Step 1: The legs are equal, so the sine is $\boxed{\frac{1}{\sqrt{2}}}$.";
//! let answer = extract(text).expect("the text has a box");
//! assert_eq!(answer, r"\frac{1}{\sqrt{2}}");
//!
//! let tolerance = Tolerance::default();
//! let comparison = compare(&answer, "sqrt(2)/2", &tolerance);
//! assert!(comparison.equal);
//! assert_eq!(comparison.by, Some(Rule::Algebra));
//!
//! // A rounded answer is another number, unless it is asked for.
//! assert!(!equal("0.7071", &answer, &tolerance));
//! let near = Tolerance { relative: Some(1e-3), ..tolerance };
//! assert!(equal("0.7071", &answer, &near));
//! ```
//!
//! # How answers are compared
//!
//! LaTeX, Python and plain notation become one spelling, and that one expression. What is rational is computed exactly, with
//! numbers of any size; what is not, in 256 binary digits, over the complex numbers. Expressions with variables are equal if
//! they have the same value wherever both have one, tried at points that depend on their variables alone. Nothing is
//! simplified or rearranged, so nothing grows; what is too large to compute is not equal to anything.
//!
//! [`Tolerance`] says what else counts as equal, and [`Comparison::by`] what decided.

pub mod authors;

mod compare;
mod expression;
mod extract;
mod number;
mod options;
mod quantity;
mod times;
mod typeset;
mod units;

pub use compare::{compare, equal};
pub use extract::{extract, extract_shown};
pub use options::{Comparison, Rule, Tolerance};
pub use quantity::parse_number;
