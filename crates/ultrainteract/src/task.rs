//! The four tasks of UltraInteract.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The kind of problem that a tree is about.
///
/// Written as the released rows spell it; reading ignores case, because the released files
/// have both `Math_CoT` and `Math_Cot`.
///
/// ```
/// use ultrainteract::Task;
/// assert_eq!("Math_Cot".parse::<Task>()?, Task::MathCot);
/// assert_eq!(Task::MathCot.as_str(), "Math_CoT");
/// # Ok::<(), ultrainteract::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Task {
    /// Programs that must pass test cases.
    Coding,
    /// Mathematics in words.
    MathCot,
    /// Mathematics with a program.
    MathPot,
    /// Logical reasoning.
    Logic,
}

impl Task {
    /// Every task.
    pub const ALL: [Task; 4] = [Task::Coding, Task::MathCot, Task::MathPot, Task::Logic];

    /// The names, in the order of [`Task::ALL`].
    pub(crate) const NAMES: [&'static str; 4] = ["Coding", "Math_CoT", "Math_PoT", "Logic"];

    /// The name in the released rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Task::Coding => "Coding",
            Task::MathCot => "Math_CoT",
            Task::MathPot => "Math_PoT",
            Task::Logic => "Logic",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Task {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Task::ALL
            .into_iter()
            .find(|task| task.as_str().eq_ignore_ascii_case(name))
            .ok_or_else(|| Error::UnknownTask {
                found: name.to_string(),
            })
    }
}

impl TryFrom<String> for Task {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        name.parse()
    }
}

impl From<Task> for &'static str {
    fn from(task: Task) -> Self {
        task.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_in_the_order_of_the_tasks() {
        assert_eq!(Task::ALL.map(Task::as_str), Task::NAMES);
    }

    #[test]
    fn an_unknown_task_is_refused_with_the_known_ones() {
        let error = "Poetry".parse::<Task>().unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown task `Poetry`; known are Coding, Math_CoT, Math_PoT, Logic"
        );
    }
}
