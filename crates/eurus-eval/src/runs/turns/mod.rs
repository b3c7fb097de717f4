//! Conversations in turns: led side by side, and judged from what was said.
//!
//! `lead` speaks with the model, `partners` are those who speak with it; `episodes` judges by playing what was said once more,
//! `ratings` by asking a judge.

mod episodes;
mod lead;
mod partners;
mod ratings;

pub use episodes::{Episodes, grade_conversations};
pub use lead::{Conversation, lead};
pub use partners::{Partner, Questions, Say};
pub use ratings::rate_conversations;
