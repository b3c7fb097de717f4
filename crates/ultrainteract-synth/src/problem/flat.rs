//! A problem as a flat JSON object, with all that is wrong with one named at once.

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use ultrainteract::Task;
use ultrainteract::action_text::python_blocks;

use super::{Gold, IoTest, MOST_CHOICES, Problem, letter, nearest};

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
        let fields = Map::deserialize(deserializer)?;
        from_fields(fields).map_err(|faults| D::Error::custom(faults.join("; ")))
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

/// What no reader of a problem could do anything with, whoever made it.
pub(crate) fn check(problem: &Problem) -> Vec<String> {
    let mut faults = Vec::new();
    if problem.id.trim().is_empty() || problem.id.contains(char::is_control) {
        faults.push(
            "`id` is blank or has control characters; give the problem a name of its own"
                .to_owned(),
        );
    }
    if problem.instruction.trim().is_empty() {
        faults.push("`instruction` is empty; write the question".to_owned());
    }
    if problem.solutions.iter().any(|it| it.trim().is_empty()) {
        faults.push("a text in `solutions` is empty; leave it out".to_owned());
    }
    check_gold(&problem.gold, &mut faults);
    faults
}

fn check_gold(gold: &Gold, faults: &mut Vec<String>) {
    match gold {
        Gold::Answer(answer) if answer.trim().is_empty() => {
            faults.push("`answer` is empty; write the right answer".to_owned());
        }
        Gold::Choice { choices, answer } => {
            if !(2..=MOST_CHOICES).contains(&choices.len()) {
                faults.push(format!(
                    "`choices` has {} entries; it must have 2 to {MOST_CHOICES}",
                    choices.len()
                ));
            }
            if choices.iter().any(|choice| choice.trim().is_empty()) {
                faults.push("a text in `choices` is empty; write it, or leave it out".to_owned());
            }
            let repeated = choices.iter().enumerate().find(|(index, choice)| {
                choices[..*index]
                    .iter()
                    .any(|other| other.trim() == choice.trim())
            });
            if let Some((_, choice)) = repeated {
                faults.push(format!(
                    "`choices` has `{choice}` twice, so that a letter does not tell right from wrong; leave one out"
                ));
            }
            if *answer >= choices.len() {
                faults.push("`answer` is beyond the last of `choices`".to_owned());
            }
        }
        Gold::Tests(tests) if tests.is_empty() => {
            faults.push("`tests` is empty; give at least one input and output".to_owned());
        }
        Gold::Tests(tests) if tests.iter().all(|test| test.output.trim().is_empty()) => {
            faults.push(
                "every output of `tests` is empty, and so any program would pass; give outputs"
                    .to_owned(),
            );
        }
        Gold::Asserts { code, entry_point } => {
            if !is_entry_point(entry_point) {
                faults.push(format!(
                    "`entry_point` is `{entry_point}`; it must be the name of a function, or an expression like \
                     `Solution().solve`"
                ));
            } else if !code.contains("assert") && !code.contains("def check") {
                faults.push("`asserts` asserts nothing; write `assert` statements".to_owned());
            } else if !mentions(code, entry_point) && !mentions(code, "candidate") {
                faults.push(format!(
                    "`asserts` never calls `{entry_point}`; name the function that they test in `entry_point`"
                ));
            }
        }
        _ => {}
    }
}

/// Names with dots between them; each may be called without arguments.
fn is_entry_point(text: &str) -> bool {
    let is_name = |name: &str| {
        let mut chars = name.chars();
        chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && chars.all(|c| c.is_alphanumeric() || c == '_')
    };
    text.split('.')
        .all(|part| is_name(part.strip_suffix("()").unwrap_or(part)))
        && !text.ends_with("()")
}

/// Whether code has this name, and not as a part of another.
fn mentions(code: &str, name: &str) -> bool {
    let of_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        !code[..at].ends_with(of_name) && !code[at + name.len()..].starts_with(of_name)
    })
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
mod tests {
    use super::*;

    fn read(gold: &str) -> Result<Problem, Vec<String>> {
        let text = format!(r#"{{"id": "p", "task": "Coding", "instruction": "Do it.", {gold}}}"#);
        from_fields(serde_json::from_str(&text).unwrap())
    }

    fn faults(gold: &str) -> String {
        read(gold).unwrap_err().join("; ")
    }

    #[test]
    fn every_gold_is_read_back_as_it_was_written() {
        for gold in [
            r#""answer": "1/2""#,
            r#""answer": 12"#,
            r#""choices": ["C", "A", "B"], "answer": "B""#,
            r#""tests": [{"input": "1\n", "output": "2\n", "time_limit_ms": 1500}]"#,
            r#""asserts": ["assert f(1) == 2", "assert f(2) == 3"], "entry_point": "f", "solutions": ["def f(x): return x + 1"]"#,
            r#""unjudged": true, "dataset": "d""#,
        ] {
            let problem = read(gold).unwrap();
            let text = serde_json::to_string(&problem).unwrap();
            assert_eq!(
                serde_json::from_str::<Problem>(&text).unwrap(),
                problem,
                "{text}"
            );
        }
    }

    #[test]
    fn a_choice_is_meant_by_its_text_before_its_letter_before_its_number() {
        let index = |answer: &str| {
            let gold = format!(r#""choices": ["C", "7", "red"], "answer": {answer}"#);
            match read(&gold).unwrap().gold {
                Gold::Choice { answer, .. } => answer,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(index(r#""C""#), 0);
        assert_eq!(index(r#""c""#), 2);
        assert_eq!(index(r#""(B)""#), 1);
        assert_eq!(index("7"), 1);
        assert_eq!(index("3"), 2);
        assert_eq!(index(r#"" red ""#), 2);
    }

    #[test]
    fn a_bare_program_becomes_an_action_and_a_written_action_stays() {
        let solution = |text: &str| {
            let gold = format!(
                r#""tests": [{{"input": "", "output": "1"}}], "solutions": [{}]"#,
                serde_json::to_string(text).unwrap()
            );
            read(&gold).unwrap().solutions.remove(0)
        };
        assert_eq!(solution("print(1)\n"), "```python\nprint(1)\n```");
        let action = "Print it.\n```python\nprint(1)\n```";
        assert_eq!(solution(action), action);
        let program = "s = '''\n```\n'''\nprint(1)";
        assert_eq!(python_blocks(&solution(program)), [format!("{program}\n")]);
    }

    #[test]
    fn what_cannot_be_judged_by_is_refused_with_its_remedy() {
        for (gold, said) in [
            (r#""dataset": "d""#, "give `answer`"),
            (r#""answer": " ""#, "`answer` is empty"),
            (r#""answer": true"#, "`answer` is a boolean"),
            (
                r#""answer": 123456789012345678901234567890"#,
                "write it as a string",
            ),
            (
                r#""answer": -123456789012345678901234567890"#,
                "write it as a string",
            ),
            (
                r#""answer": "1", "tests": []"#,
                "has `answer` and `tests`; keep the one",
            ),
            (
                r#""choices": ["red", "blue"], "answer": "bleu""#,
                "none of `choices`; write a choice, its letter (A to B), or its number from 1; did you mean `blue`?",
            ),
            (r#""choices": ["red", "blue"]"#, "no `answer` beside it"),
            (r#""choices": ["red", "red "], "answer": "A""#, "twice"),
            (r#""choices": ["red"], "answer": "A""#, "has 1 entries"),
            (
                r#""choices": "red", "answer": "A""#,
                "`choices` is a string",
            ),
            (r#""tests": []"#, "`tests` is empty"),
            (
                r#""tests": [{"input": "1", "output": ""}]"#,
                "any program would pass",
            ),
            (
                r#""tests": [{"input": "1"}]"#,
                "`tests[0]`: missing field `output`",
            ),
            (r#""asserts": "assert f(1)""#, "no `entry_point`"),
            (r#""entry_point": "f""#, "no `asserts`"),
            (
                r#""asserts": "assert g(1)", "entry_point": "f""#,
                "never calls `f`",
            ),
            (
                r#""asserts": "f(1)", "entry_point": "f""#,
                "asserts nothing",
            ),
            (
                r#""asserts": "assert f(1)", "entry_point": "f(1)""#,
                "must be the name of a function",
            ),
            (
                r#""answer": "1", "solutons": []"#,
                "unknown key `solutons`; did you mean `solutions`?",
            ),
            (
                r#""answer": "1", "colour": 1"#,
                "unknown key `colour`; known are id, task",
            ),
            (
                r#""answer": "1", "solutions": [""]"#,
                "`solutions` is empty",
            ),
        ] {
            assert!(faults(gold).contains(said), "{gold}: {}", faults(gold));
        }
    }

    #[test]
    fn all_faults_of_a_problem_are_named_at_once() {
        let fields = serde_json::from_str(r#"{"task": "Maths_CoT", "instruction": 3, "anser": 1}"#);
        let faults = from_fields(fields.unwrap()).unwrap_err().join("\n");
        for said in [
            "unknown key `anser`; did you mean `answer`?",
            "`id` is missing",
            "did you mean `Math_CoT`?",
            "`instruction` is a number",
            "nothing says what is right",
        ] {
            assert!(faults.contains(said), "{faults}");
        }
    }
}
