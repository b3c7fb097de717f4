//! Graders by the names that task files give them.

use code_interpreter::Interpreter;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Item, Task};
use crate::graders::generic::{self, Extraction};
use crate::graders::theorem_qa::{self, Form};
use crate::graders::{
    Grade, Rules, bbh, human_eval, ifeval, leetcode, math, mbpp, mmlu, program_of_thought,
};
use crate::{Error, Result};

/// When an answer is right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Grader {
    /// It is the right one, letter by letter but for white space around it.
    Exact {
        /// Whether capital and small letters are the same. Default false.
        #[serde(default)]
        ignore_case: bool,
    },
    /// The right one stands anywhere in it.
    Contains {
        /// Whether capital and small letters are the same. Default false.
        #[serde(default)]
        ignore_case: bool,
    },
    /// The right one is a regular expression that matches it.
    Regex {
        /// Whether all of it must be matched. Default false: any part.
        #[serde(default)]
        whole: bool,
    },
    /// It is the right number.
    Number {
        /// The share of the right number by which it may differ. Default 0.
        #[serde(default)]
        tolerance: f64,
    },
    /// It is equal to the right one as mathematics.
    Equal {},
    /// It chooses the right letter.
    Choice {},
    /// It is a program for which the right one, asserts in Python, holds.
    PythonAsserts {
        /// The field with the name of the function that is called. Default none: asserts and program share a process.
        #[serde(default)]
        entry_point: Option<String>,
    },
    /// As the released code grades mathematical answers.
    Math {
        /// Whether the answer's last program is run, and what it prints is graded. Default false.
        #[serde(default)]
        program: bool,
    },
    /// As the released code grades TheoremQA, by the field `Answer_type`.
    TheoremQa {
        /// Whether the answer's last program is run, and what it prints is graded. Default false.
        #[serde(default)]
        program: bool,
    },
    /// BIG-Bench Hard: the right answer stands in the text.
    Bbh {},
    /// MMLU: one token is the right letter.
    Mmlu {},
    /// IFEval: all instructions are followed, loosely.
    Ifeval {},
    /// HumanEval: the function passes `check`.
    HumanEval {},
    /// MBPP: the function passes the asserts.
    Mbpp {},
    /// LeetCode: the class passes the test.
    #[serde(rename = "leetcode")]
    LeetCode {},
    /// MINT: a proposal of a conversation in turns is right. Such a conversation is graded while it is led.
    Mint {},
    /// A model judges.
    Judge {},
}

/// What IFEval wants of a row.
#[derive(Deserialize)]
struct Instructions {
    instruction_id_list: Vec<String>,
    kwargs: Vec<Map<String, Value>>,
}

/// Two interpreters: one for tests, one for what a model wrote.
#[derive(Debug)]
pub struct Pythons<'a> {
    /// Runs the tests.
    pub tests: &'a mut Interpreter,
    /// Runs the programs of answers.
    pub candidate: &'a mut Interpreter,
}

impl Grader {
    /// Whether programs of answers are run.
    pub fn needs_python(&self) -> bool {
        match self {
            Self::PythonAsserts { .. }
            | Self::HumanEval {}
            | Self::Mbpp {}
            | Self::LeetCode {}
            | Self::Mint {} => true,
            Self::Math { program } | Self::TheoremQa { program } => *program,
            _ => false,
        }
    }

    /// Refuses options that nothing can be graded by.
    pub(super) fn check(&self, extraction: Option<&Extraction>) -> std::result::Result<(), String> {
        if let Some(extraction) = extraction {
            extraction.check()?;
        }
        match self {
            Self::Number { tolerance } if !(tolerance.is_finite() && *tolerance >= 0.0) => Err(
                format!("`grader.tolerance` is {tolerance}; a share of at least 0 is wanted"),
            ),
            _ => Ok(()),
        }
    }
}

impl Task {
    /// Grades an answer: the text that the model wrote, without what was begun for it.
    ///
    /// # Errors
    ///
    /// When programs are to be run and there is no interpreter, when the item lacks what its grader needs, or trouble with the
    /// machine; never for what is in the answer.
    pub fn grade(
        &self,
        item: &Item,
        answer: &str,
        rules: Rules,
        python: Option<Pythons<'_>>,
    ) -> Result<Grade> {
        let gold = &item.gold;
        match self.grader() {
            Grader::Exact { ignore_case } => {
                self.part(answer, |part| generic::exact(part, gold, *ignore_case))
            }
            Grader::Contains { ignore_case } => {
                self.part(answer, |part| generic::contains(part, gold, *ignore_case))
            }
            Grader::Regex { whole } => self.part(answer, |part| generic::regex(part, gold, *whole)),
            Grader::Number { tolerance } => {
                self.part(answer, |part| generic::number(part, gold, *tolerance))
            }
            Grader::Equal {} => self.part(answer, |part| generic::equal(part, gold)),
            Grader::Choice {} => self.part(answer, |part| generic::choice(part, gold)),
            Grader::PythonAsserts { entry_point } => {
                let entry_point = entry_point.as_ref().map(|field| self.text(item, field));
                let entry_point = entry_point.transpose()?;
                let Pythons { tests, candidate } = python.ok_or_else(|| self.no_python(item))?;
                match self.found(answer) {
                    Some(part) => {
                        generic::python_asserts(&part, gold, entry_point, tests, candidate)
                    }
                    None => Ok(nothing_found()),
                }
            }
            Grader::Math { program } => {
                let gold = plain(gold);
                self.worded_or_programmed(item, answer, python, *program, |text, is_output| {
                    match is_output {
                        true => math::grade_output(text, &gold, rules),
                        false => math::grade(text, &gold, rules),
                    }
                })
            }
            Grader::TheoremQa { program } => {
                let answer_type = self.text(item, "Answer_type")?;
                let form = match program {
                    true => Form::Output,
                    false => Form::Text,
                };
                self.worded_or_programmed(item, answer, python, *program, |text, _| {
                    theorem_qa::grade(text, form, gold, answer_type, rules)
                })
            }
            Grader::Bbh {} => Ok(bbh::grade(answer, &plain(gold), rules)),
            Grader::Mmlu {} => Ok(mmlu::grade(answer, &plain(gold))),
            Grader::Ifeval {} => {
                let prompt: Instructions = self.problem(item)?;
                let Instructions {
                    instruction_id_list,
                    kwargs,
                } = &prompt;
                Ok(ifeval::grade(answer, instruction_id_list, kwargs, rules)?.into())
            }
            Grader::HumanEval {} => {
                let problem = self.problem(item)?;
                let Pythons { tests, candidate } = python.ok_or_else(|| self.no_python(item))?;
                Ok(human_eval::grade(
                    &problem, answer, rules, tests, candidate,
                )?)
            }
            Grader::Mbpp {} => {
                let problem = self.problem(item)?;
                let Pythons { tests, candidate } = python.ok_or_else(|| self.no_python(item))?;
                Ok(mbpp::grade(&problem, answer, rules, tests, candidate)?)
            }
            Grader::LeetCode {} => {
                let problem = self.problem(item)?;
                let Pythons { tests, candidate } = python.ok_or_else(|| self.no_python(item))?;
                Ok(leetcode::grade(&problem, answer, rules, tests, candidate)?)
            }
            Grader::Mint {} => {
                let problem = "a conversation in turns is graded while it is led";
                Err(self.cannot_grade(item, problem.to_owned()))
            }
            Grader::Judge {} => {
                let problem = "a model judges it, and no text is right by a rule";
                Err(self.cannot_grade(item, problem.to_owned()))
            }
        }
    }

    /// The part of an answer that is graded.
    fn found(&self, answer: &str) -> Option<String> {
        match self.extraction() {
            Some(extraction) => extraction.apply(answer),
            None => Some(answer.to_owned()),
        }
    }

    /// Grades the part of an answer that the task takes.
    fn part(&self, answer: &str, grade: impl FnOnce(&str) -> Grade) -> Result<Grade> {
        Ok(self
            .found(answer)
            .map_or_else(nothing_found, |part| grade(&part)))
    }

    /// Grades the text of an answer, or what its last program prints; `grade` is told whether a program printed the text.
    fn worded_or_programmed(
        &self,
        item: &Item,
        answer: &str,
        python: Option<Pythons<'_>>,
        program: bool,
        grade: impl FnOnce(&str, bool) -> Grade,
    ) -> Result<Grade> {
        if !program {
            return Ok(grade(answer, false));
        }
        let python = python.ok_or_else(|| self.no_python(item))?;
        let answer = program_of_thought::answer(answer, python.candidate)?;
        Ok(answer.grade(|text| grade(text, answer.ended.is_some())))
    }

    /// What a benchmark's grader wants of a row.
    fn problem<T: DeserializeOwned>(&self, item: &Item) -> Result<T> {
        serde_json::from_value(Value::Object(item.row.clone()))
            .map_err(|error| self.cannot_grade(item, format!("its row is no problem: {error}")))
    }

    fn text<'a>(&self, item: &'a Item, field: &str) -> Result<&'a str> {
        item.row
            .get(field)
            .and_then(Value::as_str)
            .ok_or_else(|| self.cannot_grade(item, format!("its field `{field}` is no text")))
    }

    fn no_python(&self, item: &Item) -> Error {
        let problem = "its answers are programs, and there is no interpreter to run them in";
        self.cannot_grade(item, problem.to_owned())
    }

    fn cannot_grade(&self, item: &Item, problem: String) -> Error {
        Error::CannotGrade {
            task: self.name().to_owned(),
            item: item.id.clone(),
            problem,
        }
    }
}

/// A right answer as text.
fn plain(gold: &Value) -> String {
    match gold {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn nothing_found() -> Grade {
    Grade::new(false, None, "there is no answer in the text")
}
