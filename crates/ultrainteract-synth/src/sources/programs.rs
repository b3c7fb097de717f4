//! CodeContests, TACO and Magicoder: programs.

use std::collections::HashSet;

use serde_json::Value;

use super::row::{Draft, Reason, Row};
use crate::problem::{Gold, IoTest, fenced};

/// CodeContests: every test, and the solutions in Python 3. Nested lists are lists of objects, or objects of parallel lists as on
/// the Hub.
pub(super) fn code_contests(row: &Row, most_solutions: usize) -> Result<Draft, Reason> {
    for file in ["input_file", "output_file"] {
        if let Some(name) = row.optional(file)? {
            return Err(format!(
                "field `{file}` is `{name}`, and tests go by standard input and output"
            ));
        }
    }
    let time_limit_ms = seconds(row.value("time_limit")).map(milliseconds);
    let memory_limit_bytes = row
        .value("memory_limit_bytes")
        .and_then(|limit| limit.as_u64().or_else(|| limit.as_str()?.parse().ok()))
        .filter(|limit| *limit > 0);
    let mut tests = Vec::new();
    for name in ["public_tests", "private_tests", "generated_tests"] {
        for [input, output] in parallel(row, name, ["input", "output"])? {
            tests.push(IoTest {
                input: as_text(input, name)?,
                output: as_text(output, name)?,
                time_limit_ms,
                memory_limit_bytes,
            });
        }
    }
    let mut programs = Vec::new();
    for [language, solution] in parallel(row, "solutions", ["language", "solution"])? {
        let is_python_3 = match &language {
            Value::Number(number) => number.as_u64() == Some(3),
            Value::String(name) => matches!(&**name, "PYTHON3" | "3"),
            _ => false,
        };
        if is_python_3 {
            programs.push(as_text(solution, "solutions")?);
        }
    }
    Ok(Draft {
        id: row.optional("name")?.map(str::to_owned),
        instruction: row.text("description")?.trim().to_owned(),
        gold: tested(tests)?,
        solutions: as_solutions(programs, most_solutions),
    })
}

/// TACO: its lists and objects are JSON inside strings. Tests are inputs and outputs of a program, or arguments and results of a
/// function; the starter code is shown after the question.
pub(super) fn taco(row: &Row, most_solutions: usize) -> Result<Draft, Reason> {
    let starter = row.optional("starter_code")?.map(str::trim_end);
    let mut instruction = row.text("question")?.trim().to_owned();
    if let Some(starter) = starter {
        instruction += &format!("\n\n{}", fenced(starter.trim_start_matches('\n')));
    }
    let text = row
        .optional("input_output")?
        .ok_or("field `input_output` is missing or empty: there are no tests")?;
    let tests: Value = serde_json::from_str(text)
        .map_err(|error| format!("field `input_output` is no JSON: {error}"))?;
    let list = |name: &str| match tests.get(name) {
        Some(Value::Array(items)) => Ok(items.as_slice()),
        None | Some(Value::Null) => Ok(&[][..]),
        Some(_) => Err(format!("field `input_output`: `{name}` is no list")),
    };
    let (inputs, outputs) = (list("inputs")?, list("outputs")?);
    if inputs.len() != outputs.len() {
        return Err(format!(
            "field `input_output` has {} inputs and {} outputs",
            inputs.len(),
            outputs.len()
        ));
    }
    if inputs.is_empty() {
        return Err("field `input_output` has no tests".to_owned());
    }
    let gold = match tests.get("fn_name").and_then(Value::as_str) {
        Some(name) if !name.trim().is_empty() => calls(name.trim(), starter, text, inputs)?,
        _ => {
            let time_limit_ms = seconds(row.value("time_limit")).map(milliseconds);
            let memory_limit_bytes = row.optional("memory_limit").ok().flatten().and_then(bytes);
            let mut pairs = Vec::with_capacity(inputs.len());
            for (input, output) in inputs.iter().zip(outputs) {
                pairs.push(IoTest {
                    input: lines(input)?,
                    output: lines(output)?,
                    time_limit_ms,
                    memory_limit_bytes,
                });
            }
            tested(pairs)?
        }
    };
    Ok(Draft {
        id: None,
        instruction,
        gold,
        solutions: as_solutions(programs(row)?, most_solutions),
    })
}

/// Magicoder: the response as a solution, and nothing to judge others by.
pub(super) fn magicoder(row: &Row) -> Result<Draft, Reason> {
    Ok(Draft {
        id: None,
        instruction: row.text("instruction")?.trim().to_owned(),
        gold: Gold::Unjudged,
        solutions: vec![row.text("response")?.trim().to_owned()],
    })
}

/// The solutions of TACO: a list, mostly as JSON in a string.
fn programs(row: &Row) -> Result<Vec<String>, Reason> {
    let list = match row.value("solutions") {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(Vec::new()),
        Some(Value::String(text)) => serde_json::from_str(text)
            .map_err(|error| format!("field `solutions` is no JSON: {error}"))?,
        Some(other) => other.clone(),
    };
    let Value::Array(items) = list else {
        return Err("field `solutions` is no list".to_owned());
    };
    items
        .into_iter()
        .map(|item| as_text(item, "solutions"))
        .collect()
}

/// Calls of a function, with its arguments and results as the data set has them: they stay JSON, so that Python reads whole
/// numbers of any size. A result may stand in a list of its own, and a tuple counts as a list, as for the authors of APPS, from
/// where these tests come.
fn calls(name: &str, starter: Option<&str>, tests: &str, inputs: &[Value]) -> Result<Gold, Reason> {
    if !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Err(format!(
            "field `input_output`: `fn_name` is `{name}`, which is no name"
        ));
    }
    if inputs.iter().any(|input| !input.is_array()) {
        return Err(
            "field `input_output`: an entry of `inputs` is no list of arguments".to_owned(),
        );
    }
    let in_class = starter.is_some_and(|code| code.contains("class Solution"));
    let entry_point = match in_class {
        true => format!("Solution().{name}"),
        false => name.to_owned(),
    };
    // A string in JSON is one in Python, except for what is beyond its control characters and both leave as it is.
    let literal = serde_json::to_string(tests).map_err(|error| error.to_string())?;
    let code = format!(
        "import json\n\
         \n\
         TESTS = json.loads({literal})\n\
         \n\
         def plain(value):\n    \
             if isinstance(value, (list, tuple)):\n        \
                 return [plain(item) for item in value]\n    \
             return value\n\
         \n\
         def check(candidate):\n    \
             for arguments, expected in zip(TESTS[\"inputs\"], TESTS[\"outputs\"]):\n        \
                 found = plain(candidate(*arguments))\n        \
                 assert found == expected or [found] == expected, (arguments, found, expected)\n"
    );
    Ok(Gold::Asserts { code, entry_point })
}

/// The tests of a program, if there are any that tell programs apart.
fn tested(tests: Vec<IoTest>) -> Result<Gold, Reason> {
    match tests.is_empty() {
        true => Err("there are no tests".to_owned()),
        false => Ok(Gold::Tests(tests)),
    }
}

/// Different programs as actions, the first ones.
fn as_solutions(programs: Vec<String>, most: usize) -> Vec<String> {
    let mut seen = HashSet::new();
    programs
        .into_iter()
        .filter(|program| !program.trim().is_empty() && seen.insert(program.trim().to_owned()))
        .take(most)
        .map(|program| fenced(&program))
        .collect()
}

/// The pairs of a nested list: `[{"a": 1, "b": 2}]` or `{"a": [1], "b": [2]}`.
fn parallel(row: &Row, name: &str, keys: [&str; 2]) -> Result<Vec<[Value; 2]>, Reason> {
    let wrong = || {
        format!(
            "field `{name}` has no `{}` and `{}` of the same number",
            keys[0], keys[1]
        )
    };
    let pair = |item: &Value| Some([item.get(keys[0])?.clone(), item.get(keys[1])?.clone()]);
    match row.value(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(pair)
            .collect::<Option<_>>()
            .ok_or_else(wrong),
        Some(Value::Object(lists)) => {
            let list = |key| match lists.get(key) {
                Some(Value::Array(items)) => Some(items),
                _ => None,
            };
            match (list(keys[0]), list(keys[1])) {
                (Some(first), Some(second)) if first.len() == second.len() => Ok(first
                    .iter()
                    .zip(second)
                    .map(|(first, second)| [first.clone(), second.clone()])
                    .collect()),
                _ if lists.is_empty() => Ok(Vec::new()),
                _ => Err(wrong()),
            }
        }
        Some(_) => Err(wrong()),
    }
}

fn as_text(value: Value, name: &str) -> Result<String, Reason> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(format!("field `{name}` has an entry that is no string")),
    }
}

/// An input or output: a text, or its lines.
fn lines(value: &Value) -> Result<String, Reason> {
    let line = |item: &Value| match item {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err("field `input_output` has an input or output that is no text".to_owned()),
    };
    match value {
        Value::Array(items) => Ok(items
            .iter()
            .map(line)
            .collect::<Result<Vec<_>, _>>()?
            .join("\n")),
        other => line(other),
    }
}

/// Seconds: a number, `2.5 seconds`, or an object of seconds and nanoseconds.
fn seconds(value: Option<&Value>) -> Option<f64> {
    let seconds = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.split_whitespace().next()?.parse().ok()?,
        Value::Object(parts) => {
            let part = |name| parts.get(name).and_then(Value::as_f64).unwrap_or_default();
            part("seconds") + part("nanos") / 1e9
        }
        _ => return None,
    };
    Some(seconds).filter(|it| it.is_finite() && *it > 0.0)
}

fn milliseconds(seconds: f64) -> u64 {
    // The conversion saturates.
    (seconds * 1000.0).ceil() as u64
}

/// Bytes of `256.0 megabytes`.
fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let scale = match unit.trim().to_lowercase().trim_end_matches('s') {
        "byte" => 1.0,
        "kilobyte" | "kb" => 1024.0,
        "megabyte" | "mb" => 1024.0 * 1024.0,
        "gigabyte" | "gb" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    (number > 0.0).then_some((number * scale) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_in_every_form() {
        let of = |text: &str| seconds(Some(&serde_json::from_str(text).unwrap())).map(milliseconds);
        assert_eq!(of(r#"{"seconds": 2, "nanos": 500000000}"#), Some(2500));
        assert_eq!(of(r#""1.5 seconds""#), Some(1500));
        assert_eq!(of("3"), Some(3000));
        assert_eq!(of("0"), None);
        assert_eq!(of(r#""fast""#), None);
        assert_eq!(bytes("256.0 megabytes"), Some(256 << 20));
        assert_eq!(bytes("many"), None);
    }
}
