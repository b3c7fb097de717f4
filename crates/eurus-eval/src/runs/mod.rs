//! Runs of a task: answers and verdicts in files of their own, what they come to, and how two runs compare.
//!
//! A [`RunFolder`] has all of it. Answers are drawn by [`samples`](crate::samples), judged by [`grade_answers`] as often as one
//! likes without a model, and summed up by [`SettingSummary::of`].

mod compare;
mod folder;
mod grading;
mod groups;
mod harness;
mod page;
mod record;
mod summary;
mod turns;
mod verdicts;

pub use compare::{comparison_table, item_results, published_table};
pub use folder::{RunFolder, SettingRun};
pub use grading::{JudgeAnswer, Judging, grade_answers};
pub use groups::Groups;
pub use page::{SettingFiles, markdown, page};
pub use record::{DataStamp, ModelStamp, RunRecord, SettingStamp, TaskStamp, sha256};
pub use summary::{SettingSummary, Summary};
pub use turns::{
    Conversation, Episodes, Partner, Questions, Say, grade_conversations, lead, rate_conversations,
};
pub use verdicts::{ItemVerdict, Outcome, shown_prompt};
