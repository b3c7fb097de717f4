//! A problem as a flat JSON object, with all that is wrong with one named at once.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use ultrainteract::Task;
use ultrainteract::action_text::python_blocks;

use super::{Gold, IoTest, Problem, check, letter};
use ultrainteract::nearest::nearest;

/// The keys of a problem.
pub(crate) const KEYS: [&str; 11] = [
    "id",
    "task",
    "instruction",
    "answer",
    "choices",
    "tests",
    "asserts",
    "entry_point",
    "unjudged",
    "solutions",
    "dataset",
];

/// From here on not every whole number is a floating-point number.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("task", &self.task)?;
        map.serialize_entry("instruction", &self.instruction)?;
        match &self.gold {
            Gold::Answer(answer) => map.serialize_entry("answer", answer)?,
            Gold::Choice { choices, answer } => {
                map.serialize_entry("choices", choices)?;
                // Not the letter, which may be the text of another choice.
                map.serialize_entry("answer", &choices.get(*answer))?;
            }
            Gold::Tests(tests) => map.serialize_entry("tests", tests)?,
            Gold::Asserts { code, entry_point } => {
                map.serialize_entry("asserts", code)?;
                map.serialize_entry("entry_point", entry_point)?;
            }
            Gold::Unjudged => map.serialize_entry("unjudged", &true)?,
        }
        if !self.solutions.is_empty() {
            map.serialize_entry("solutions", &self.solutions)?;
        }
        if !self.dataset.is_empty() {
            map.serialize_entry("dataset", &self.dataset)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Problem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Fields::deserialize(deserializer)?
            .problem()
            .map_err(|faults| D::Error::custom(faults.join("; ")))
    }
}

/// The fields of an object. A key that comes twice is remembered, as the values may differ.
#[derive(Debug, Default)]
pub(super) struct Fields {
    fields: Map<String, Value>,
    repeated: Vec<String>,
}

impl Fields {
    /// The problem that they describe, or everything that is wrong with it.
    pub fn problem(self) -> Result<Problem, Vec<String>> {
        let repeated = self.repeated.iter();
        let faults: Vec<String> = repeated
            .map(|key| format!("`{key}` is there twice; keep one"))
            .collect();
        match from_fields(self.fields) {
            Ok(problem) if faults.is_empty() => Ok(problem),
            Ok(_) => Err(faults),
            Err(others) => Err([faults, others].concat()),
        }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut read = Fields::default();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if read.fields.insert(key.clone(), value).is_some() {
                        read.repeated.push(key);
                    }
                }
                Ok(read)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The problem that an object describes, or everything that is wrong with it.
pub(crate) fn from_fields(fields: Map<String, Value>) -> Result<Problem, Vec<String>> {
    let mut object = Object {
        fields,
        faults: Vec::new(),
    };
    object.refuse_unknown_keys();
    let id = object.id();
    let task = object.task();
    let instruction = object.required_text("instruction");
    let gold = object.gold();
    let mut solutions = object.texts("solutions").unwrap_or_default();
    let dataset = object.text("dataset").unwrap_or_default();
    if object.faults.is_empty()
        && let (Some(id), Some(task), Some(instruction), Some(gold)) = (id, task, instruction, gold)
    {
        if matches!(gold, Gold::Tests(_) | Gold::Asserts { .. }) {
            solutions = solutions.into_iter().map(as_action).collect();
        }
        let problem = Problem {
            id,
            task,
            instruction,
            gold,
            solutions,
            dataset,
        };
        let faults = check(&problem);
        return match faults.is_empty() {
            true => Ok(problem),
            false => Err(faults),
        };
    }
    Err(object.faults)
}

/// A bare program becomes an action: it gets a fence.
fn as_action(solution: String) -> String {
    match python_blocks(&solution).is_empty() {
        true => fenced(&solution),
        false => solution,
    }
}

/// A program in a fence that none of its own backticks closes.
pub(crate) fn fenced(program: &str) -> String {
    let longest = program
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(3.max(longest + 1));
    format!("{fence}python\n{}\n{fence}", program.trim_end())
}

/// An object that is being read.
struct Object {
    fields: Map<String, Value>,
    faults: Vec<String>,
}

impl Object {
    fn fault<T>(&mut self, fault: impl Into<String>) -> Option<T> {
        self.faults.push(fault.into());
        None
    }

    fn refuse_unknown_keys(&mut self) {
        let unknown = |key: &&String| !KEYS.contains(&key.as_str());
        let faults = self.fields.keys().filter(unknown).map(|key| {
            let meant = match nearest(key, &KEYS) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known are {}", KEYS.join(", ")),
            };
            format!("unknown key `{key}`; {meant}")
        });
        let faults: Vec<String> = faults.collect();
        self.faults.extend(faults);
    }

    /// A field that is there; tables fill up what other rows have with nulls.
    fn take(&mut self, key: &str) -> Option<Value> {
        self.fields.remove(key).filter(|value| !value.is_null())
    }

    fn has(&self, key: &str) -> bool {
        self.fields.get(key).is_some_and(|value| !value.is_null())
    }

    fn text(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            other => self.fault(format!("`{key}` is {}; write a string", kind(&other))),
        }
    }

    fn required_text(&mut self, key: &str) -> Option<String> {
        match self.has(key) {
            true => self.text(key),
            false => self.fault(format!("`{key}` is missing; write it")),
        }
    }

    fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let list = match self.take(key)? {
            Value::Array(list) => list,
            other => {
                return self.fault(format!(
                    "`{key}` is {}; write a list of strings",
                    kind(&other)
                ));
            }
        };
        let mut texts = Vec::with_capacity(list.len());
        for (index, item) in list.into_iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text),
                Value::Number(number) => texts.push(number.to_string()),
                other => {
                    return self.fault(format!(
                        "`{key}[{index}]` is {}; write a string",
                        kind(&other)
                    ));
                }
            }
        }
        Some(texts)
    }

    fn id(&mut self) -> Option<String> {
        match self.take("id") {
            Some(Value::String(id)) => Some(id),
            Some(Value::Number(id)) => Some(id.to_string()),
            Some(other) => self.fault(format!("`id` is {}; write a string", kind(&other))),
            None => self.fault("`id` is missing; give the problem a name of its own"),
        }
    }

    fn task(&mut self) -> Option<Task> {
        let name = self.required_text("task")?;
        match name.parse() {
            Ok(task) => Some(task),
            Err(error) => {
                let names = Task::ALL.map(Task::as_str);
                let meant = nearest(&name, &names)
                    .map(|known| format!("; did you mean `{known}`?"))
                    .unwrap_or_default();
                self.fault(format!("`task`: {error}{meant}"))
            }
        }
    }

    fn gold(&mut self) -> Option<Gold> {
        let unjudged = match self.take("unjudged") {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(other) => {
                return self.fault(format!(
                    "`unjudged` is {}; write true or leave it out",
                    kind(&other)
                ));
            }
        };
        let asserted = self.has("asserts") || self.has("entry_point");
        let answered = match self.has("choices") {
            true => "choices",
            false => "answer",
        };
        let ways: Vec<&str> = [
            (answered, self.has("answer") || self.has("choices")),
            ("tests", self.has("tests")),
            ("asserts", asserted),
            ("unjudged", unjudged),
        ]
        .into_iter()
        .filter_map(|(way, there)| there.then_some(way))
        .collect();
        match ways[..] {
            ["answer"] => self.answer().map(Gold::Answer),
            ["choices"] => self.choice(),
            ["tests"] => self.tests(),
            ["asserts"] => self.asserts(),
            ["unjudged"] => Some(Gold::Unjudged),
            [] => self.fault(
                "nothing says what is right; give `answer`, `choices` and `answer`, `tests`, or `asserts` and \
                 `entry_point`",
            ),
            [..] => self.fault(format!(
                "has `{}`; keep the one that is to decide",
                ways.join("` and `")
            )),
        }
    }

    fn answer(&mut self) -> Option<String> {
        match self.take("answer")? {
            Value::String(answer) => Some(answer),
            // Digits beyond these are lost already.
            Value::Number(answer) if answer.is_f64() && answer.as_f64().is_some_and(|it| it.abs() >= EXACT) => {
                self.fault("`answer` is a number with more digits than JSON readers keep; write it as a string")
            }
            Value::Number(answer) => Some(answer.to_string()),
            other => self.fault(format!(
                "`answer` is {}; write it as a string",
                kind(&other)
            )),
        }
    }

    fn choice(&mut self) -> Option<Gold> {
        let choices = self.texts("choices")?;
        if !self.has("answer") {
            return self.fault("`choices` has no `answer` beside it; write the right choice");
        }
        let answer = self.answer()?;
        match find_choice(&choices, &answer) {
            Some(answer) => Some(Gold::Choice { choices, answer }),
            None => {
                let names: Vec<&str> = choices.iter().map(String::as_str).collect();
                let last = choices.len().checked_sub(1).and_then(letter).unwrap_or('?');
                let meant = nearest(&answer, &names)
                    .map(|choice| format!("; did you mean `{choice}`?"))
                    .unwrap_or_default();
                self.fault(format!(
                    "`answer` is `{answer}`, which is none of `choices`; write a choice, its letter (A to {last}), or \
                     its number from 1{meant}"
                ))
            }
        }
    }

    fn tests(&mut self) -> Option<Gold> {
        let list = match self.take("tests")? {
            Value::Array(list) => list,
            other => {
                return self.fault(format!(
                    "`tests` is {}; write a list of {{\"input\", \"output\"}}",
                    kind(&other)
                ));
            }
        };
        let mut tests = Vec::with_capacity(list.len());
        for (index, test) in list.into_iter().enumerate() {
            match serde_json::from_value::<IoTest>(test) {
                Ok(test) => tests.push(test),
                Err(error) => self.faults.push(format!(
                    "`tests[{index}]`: {error}; write {{\"input\": \"...\", \"output\": \"...\"}}"
                )),
            }
        }
        Some(Gold::Tests(tests))
    }

    fn asserts(&mut self) -> Option<Gold> {
        let code = match self.fields.get("asserts") {
            Some(Value::Array(_)) => self.texts("asserts").map(|lines| lines.join("\n")),
            _ => self.text("asserts"),
        };
        let entry_point = self.text("entry_point");
        match (code, entry_point) {
            (Some(code), Some(entry_point)) => Some(Gold::Asserts { code, entry_point }),
            (Some(_), None) => {
                self.fault("`asserts` has no `entry_point`; name the function that they test")
            }
            (None, Some(_)) => {
                self.fault("`entry_point` has no `asserts`; write what it must pass")
            }
            (None, None) => None,
        }
    }
}

/// The choice that an answer means: the one with its text, else with its letter, else with its number from 1.
pub(crate) fn find_choice(choices: &[String], answer: &str) -> Option<usize> {
    let answer = answer.trim();
    if let Some(own) = choices.iter().position(|choice| choice.trim() == answer) {
        return Some(own);
    }
    let bare = answer.trim_matches(['(', ')', '.']);
    let mut chars = bare.chars();
    let by_letter = match (chars.next(), chars.next()) {
        (Some(c), None) if c.is_ascii_alphabetic() => {
            Some(usize::from(c.to_ascii_uppercase() as u8 - b'A'))
        }
        _ => bare.parse::<usize>().ok()?.checked_sub(1),
    };
    by_letter.filter(|index| *index < choices.len())
}

/// What a value is, for a message.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
