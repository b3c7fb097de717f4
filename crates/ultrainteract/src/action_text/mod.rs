//! The parts of an action's text: its programs, its final answer, and whether that is the right
//! one.
//!
//! ```
//! use ultrainteract::action_text::{answers_match, final_answer, python_blocks};
//!
//! let action = "Step 1: Multiply.\n```python\nprint(6 * 7)\n```\nAnswer:\n\\boxed{42.0}";
//! assert_eq!(python_blocks(action), ["print(6 * 7)\n"]);
//! let answer = final_answer(action).unwrap();
//! assert!(answers_match(&answer, "42"));
//! ```

mod answer;
mod blocks;
mod expression;
mod final_answer;
mod number;
mod quantity;
mod times;
mod typeset;
mod units;

pub use answer::answers_match;
pub use blocks::{dedent, python_blocks};
pub use final_answer::final_answer;
pub use number::{RELATIVE_TOLERANCE, numbers_equal, parse_number};
