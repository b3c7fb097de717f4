//! The programs in an action's text.
//!
//! ```
//! use ultrainteract::action_text::python_blocks;
//!
//! let action = "Step 1: Multiply.\n```python\nprint(6 * 7)\n```\nAnswer:\n42";
//! assert_eq!(python_blocks(action), ["print(6 * 7)\n"]);
//! ```

mod blocks;

pub use blocks::{dedent, python_blocks};
