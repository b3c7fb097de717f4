#![doc = include_str!("../README.md")]

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
