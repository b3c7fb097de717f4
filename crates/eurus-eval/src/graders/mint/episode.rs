//! The conversation of a MINT task, without the model.

use std::fmt;

use code_interpreter::{Result, Session};
use serde::{Deserialize, Serialize};

use super::Task;
use crate::graders::python::enclosed;
use crate::graders::{Grade, Rules};

const WRONG: &str = "Your answer is wrong.";
const NOT_UNDERSTOOD: &str = "I don't understand your input. \n\
    If you want to execute code, please use <execute> YOUR_CODE_HERE </execute>.\n\
    If you want to give me an answer, please use <solution> YOUR_SOLUTION_HERE </solution>.\n\
    For example: The answer to the question is <solution> 42 </solution>. \n";
const LAST_STEP: &str = "\nYou should take the last step to propose a solution.";

/// How long an episode may be, and how its solutions are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Turns of the model. The paper reports 5.
    pub max_steps: u32,
    /// Solutions that it may propose: 2, and 1 where there is one turn.
    pub max_proposals: u32,
    /// Whose rules.
    pub rules: Rules,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_steps: 5,
            max_proposals: 2,
            rules: Rules::Authors,
        }
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The environment.
    User,
    /// The model.
    Assistant,
}

/// A turn of the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// How often the model did what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// It proposed a solution, an empty one too.
    pub propose_solution: u32,
    /// It ran code.
    pub use_tool: u32,
    /// It did neither.
    pub invalid_action: u32,
}

impl Counts {
    fn sum(self) -> u32 {
        self.propose_solution + self.use_tool + self.invalid_action
    }
}

/// How an episode ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// By a right solution.
    TaskSuccess,
    /// By the last wrong solution that may be proposed.
    MaxProposeSteps,
    /// By the last turn.
    MaxSteps,
    /// The conversation is longer than the model's context.
    Error,
}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TaskSuccess => "task_success",
            Self::MaxProposeSteps => "max_propose_steps",
            Self::MaxSteps => "max_steps",
            Self::Error => "error",
        })
    }
}

/// A conversation that goes on until a solution is right or the turns are used up.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use code_interpreter::{Python, Session};
/// use eurus_eval::graders::mint::{End, Episode, Numbers, Settings, Task, limits};
///
/// let mut session = Session::start(&Python::find()?, limits())?;
/// let task = Task::Reasoning { reference: "42".into(), numbers: Numbers::Signed };
/// let mut episode = Episode::new(task, "Task:\nWhat is 6 * 7?", Settings::default());
/// assert_eq!(episode.step("<execute> 6 * 7 </execute>", &mut session)?, None);
/// assert!(episode.messages()[2].content.starts_with("Observation:\n42\nYou have 4 steps left"));
/// assert_eq!(episode.step("<solution> 42 </solution>", &mut session)?, Some(End::TaskSuccess));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    task: Task,
    settings: Settings,
    messages: Vec<Message>,
    counts: Counts,
    steps: u32,
    end: Option<End>,
    grades: Vec<Grade>,
}

impl Episode {
    /// An episode that begins with a message of the user, as of [`first_message`](super::first_message). Its session has run nothing, or was
    /// [reset](Session::reset).
    pub fn new(task: Task, first_message: impl Into<String>, settings: Settings) -> Self {
        let first = Message {
            role: Role::User,
            content: first_message.into(),
        };
        Self {
            task,
            settings,
            messages: vec![first],
            counts: Counts::default(),
            steps: 0,
            end: None,
            grades: Vec::new(),
        }
    }

    /// The conversation so far: what the model is to go on with, or, at the end, all of it.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// How often the model did what.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How often the model was asked.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// The grades of all solutions that were judged, in order.
    pub fn grades(&self) -> &[Grade] {
        &self.grades
    }

    /// Takes the model's answer, which was cut at its stops, and answers it; the end, if this was one.
    ///
    /// A text with `<solution>` proposes what is in its closed elements, any other runs what is in its closed `<execute>`
    /// elements. After the end nothing happens any more.
    ///
    /// # Errors
    ///
    /// Trouble with the machine, never with the answer; the episode is then as it was, and the step can be taken again.
    pub fn step(&mut self, answer: &str, session: &mut Session) -> Result<Option<End>> {
        if self.end.is_some() {
            return Ok(self.end);
        }
        let proposes = answer.contains("<solution>");
        let observation = match proposes {
            true => match elements(answer, "<solution>", "</solution>") {
                Some(solution) => {
                    let grade = self.task.grade(&solution, self.settings.rules, session)?;
                    self.grades.push(grade);
                    WRONG.to_owned()
                }
                None => NOT_UNDERSTOOD.to_owned(),
            },
            false => match elements(answer, "<execute>", "</execute>") {
                Some(code) => {
                    let shown = session.execute(&code)?;
                    self.counts.use_tool += 1;
                    shown.render().to_owned()
                }
                None => {
                    self.counts.invalid_action += 1;
                    NOT_UNDERSTOOD.to_owned()
                }
            },
        };
        let is_right =
            proposes && observation == WRONG && self.grades.last().is_some_and(Grade::is_correct);
        self.counts.propose_solution += u32::from(proposes);
        self.steps += 1;
        self.say(Role::Assistant, spoken(answer));
        self.end = self.ended(is_right);
        if self.end.is_none() {
            let notice = self.notice(&observation);
            self.say(Role::User, notice);
        }
        Ok(self.end)
    }

    /// Ends the episode because the conversation no longer fits into the model's context.
    pub fn overflow(&mut self) -> End {
        if self.end.is_none() {
            self.steps += 1;
        }
        *self.end.get_or_insert(End::Error)
    }

    fn ended(&self, is_right: bool) -> Option<End> {
        if is_right {
            Some(End::TaskSuccess)
        } else if self.counts.propose_solution >= self.settings.max_proposals {
            Some(End::MaxProposeSteps)
        } else if self.counts.sum() >= self.settings.max_steps {
            Some(End::MaxSteps)
        } else {
            None
        }
    }

    fn notice(&self, observation: &str) -> String {
        let steps = self.settings.max_steps - self.counts.sum();
        let proposals = self.settings.max_proposals - self.counts.propose_solution;
        let last = if steps == 1 { LAST_STEP } else { "" };
        format!(
            "Observation:\n{observation}\nYou have {steps} steps left and {proposals} chances to propose solution left.{last}"
        )
    }

    fn say(&mut self, role: Role, content: String) {
        let content = content + "\n";
        self.messages.push(Message { role, content });
    }
}

/// The answer with its speaker's name before it.
fn spoken(answer: &str) -> String {
    match answer.trim_start().starts_with("Assistant:") {
        true => answer.to_owned(),
        false => format!("Assistant:\n{answer}"),
    }
}

/// What is in closed elements, each trimmed, by lines; nothing if there is nothing in them.
fn elements(text: &str, open: &str, close: &str) -> Option<String> {
    let found: Vec<&str> = enclosed(text, open, close)
        .into_iter()
        .map(str::trim)
        .collect();
    let joined = found.join("\n");
    (!joined.trim().is_empty()).then_some(joined)
}
