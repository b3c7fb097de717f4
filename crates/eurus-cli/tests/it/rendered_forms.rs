//! Forms of messages about which the chat template decides: what is rendered, what is trained, what is refused.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::common::{Workplace, ensure_says};
use crate::templates::{CHATML, place_with};

const QUESTION: &str = "Which of 1 and 4 is larger?";
const ANSWER: &str = "4 is larger.";

/// ChatML that refuses what most templates of instruct models refuse.
const STRICT: &str = "{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('a system message comes first') }}{% endif %}\
    {% if m.role != 'system' and loop.index0 > 0 and m.role == messages[loop.index0 - 1].role %}{{ raise_exception('roles must alternate') }}{% endif %}\
    {% if loop.first and m.role == 'assistant' %}{{ raise_exception('the user comes first') }}{% endif %}\
    {{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

fn say(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

fn asked_and_answered() -> [Value; 2] {
    [say("user", QUESTION), say("assistant", ANSWER)]
}

/// What `eurus plan sft` says of one row: responses, unique tokens and trained ones, and all that it tells.
fn planned(place: &Workplace, row: Value) -> Result<([usize; 3], String)> {
    place.write_rows("sft.jsonl", &[row])?;
    let output = place.run("plan sft --model model --data sft.jsonl")?;
    let told = String::from_utf8([output.stderr, output.stdout].concat())?;
    ensure_says(&told, &["1 rows read"])?;
    let number = |mark: &str| -> Result<usize> {
        let line = told.lines().find(|line| line.contains(mark));
        let line = line.with_context(|| format!("{mark}: {told}"))?;
        let number = line.split_whitespace().find_map(|word| word.parse().ok());
        number.with_context(|| line.to_owned())
    };
    let numbers = [
        number(" responses to imitate")?,
        number(" unique tokens ")?,
        number(" target tokens ")?,
    ];
    Ok((numbers, told))
}

/// What `eurus sft` says of a row that it must refuse.
fn refused(place: &Workplace, row: Value) -> Result<String> {
    place.write_rows("sft.jsonl", &[row])?;
    place.refusal("sft --model model --data sft.jsonl --out out --max-steps 1 --learning-rate 1e-3")
}

#[test]
fn forms_that_the_template_can_write_are_rendered_and_answers_to_questions_are_trained()
-> Result<()> {
    let place = place_with(Some(CHATML), "<|im_end|>")?;
    let brief = |role: &str| say(role, "Be brief.");
    let [hi, hello] = [say("user", "Hi."), say("assistant", "Hello.")];
    for (form, before, numbers) in [
        ("nothing before", vec![], [1, 59, 13]),
        ("empty_system", vec![say("system", "")], [1, 69, 13]),
        ("starts_with_assistant", vec![hello.clone()], [1, 78, 13]),
        ("two_users", vec![hi.clone()], [1, 70, 13]),
        ("system", vec![brief("system")], [1, 78, 13]),
        ("role_developer", vec![brief("developer")], [1, 78, 13]),
        (
            "system_late",
            vec![hi, hello, brief("system")],
            [2, 108, 20],
        ),
    ] {
        let messages = [before, asked_and_answered().to_vec()].concat();
        let (found, told) = planned(&place, json!({ "messages": messages }))?;
        ensure!(found == numbers, "{form}: {found:?}: {told}");
        let line = "texts: 1 of the role `developer` are written as `system`, since the template does not name that role";
        ensure!(
            told.contains(line) == (form == "role_developer"),
            "{form}: {told}"
        );
    }
    // ShareGPT's names for the same.
    let shared = json!([{"from": "gpt", "value": "Hello."}, {"from": "human", "value": QUESTION}, {"from": "gpt", "value": ANSWER}]);
    let (found, _) = planned(&place, json!({ "conversations": shared }))?;
    ensure!(found == [1, 78, 13], "sg_starts_gpt: {found:?}");
    // A template that has messages of the developer writes them.
    let knows = CHATML.replace(
        "m['role'] +",
        "('<s>' if m['role'] == 'developer' else m['role']) +",
    );
    let place = place_with(Some(&knows), "<|im_end|>")?;
    let messages = [vec![brief("developer")], asked_and_answered().to_vec()].concat();
    let (found, told) = planned(&place, json!({ "messages": messages }))?;
    ensure!(found == [1, 73, 13], "`<s>` for six letters: {found:?}");
    ensure!(!told.contains("written as `system`"), "{told}");
    Ok(())
}

#[test]
fn forms_that_the_template_refuses_are_refused_by_row() -> Result<()> {
    let place = place_with(Some(STRICT), "<|im_end|>")?;
    let (found, _) = planned(&place, json!({ "messages": asked_and_answered() }))?;
    ensure!(found == [1, 59, 13], "{found:?}");
    let [hi, hello] = [say("user", "Hi."), say("assistant", "Hello.")];
    for (before, reason) in [
        (vec![hello.clone()], "of 2 messages: the user comes first"),
        (vec![hi.clone()], "of 2 messages: roles must alternate"),
        (
            vec![hi, hello, say("system", "Be brief.")],
            "of 4 messages: a system message comes first",
        ),
    ] {
        let messages = [before, asked_and_answered().to_vec()].concat();
        let words = format!(
            "row 1 of sft.jsonl: field `messages`: chat template model/tokenizer_config.json, line 1, cannot render a conversation {reason}"
        );
        ensure_says(
            &refused(&place, json!({ "messages": messages }))?,
            &[&words],
        )?;
    }
    Ok(())
}

/// ChatML with Qwen's way of calls and results, names and reasoning.
const TOOLS: &str = "{% for m in messages %}{{ '<|im_start|>' + (m.name or m.role) + '\\n' }}\
    {% if m.reasoning_content is string %}{{ '<think>' + m.reasoning_content + '</think>' }}{% endif %}{{ m.content }}\
    {% for c in m.tool_calls or [] %}{{ '<call>' + c.function.name + ' ' + (c.function.arguments | tojson) + '</call>' }}{% endfor %}\
    {{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

#[test]
fn what_messages_say_beside_their_text_is_rendered_or_refused_by_name() -> Result<()> {
    let call = json!({"id": "1", "type": "function", "function": {"name": "larger", "arguments": "{\"b\": 1, \"a\": 4}"}});
    let [question, answer] = asked_and_answered();
    let with = |message: &Value, field: &str, value: Value| {
        let mut message = message.clone();
        message[field] = value;
        message
    };
    let calls = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    let result = json!({"role": "tool", "content": "4", "tool_call_id": "1"});
    let tool = json!({"messages": [question, calls, result, answer]});
    let shared = json!({"conversations": [{"from": "human", "value": QUESTION},
        {"from": "function_call", "value": "{\"name\": \"larger\", \"arguments\": {\"a\": 4, \"b\": 1}}"},
        {"from": "observation", "value": "4"}, {"from": "gpt", "value": ANSWER}]});
    let name = json!({"messages": [with(&question, "name", json!("Tom")), answer]});
    let reasoning =
        json!({"messages": [question, with(&answer, "reasoning_content", json!("4 > 1"))]});

    let place = place_with(Some(TOOLS), "<|im_end|>")?;
    let call_tokens = "<call>larger {\"b\": 1, \"a\": 4}</call>".len() + 1;
    for (form, row, responses, trained) in [
        ("tool", &tool, 2, 13 + call_tokens),
        ("sg_function", &shared, 2, 13 + call_tokens),
        ("name", &name, 1, 13),
        (
            "reasoning_content",
            &reasoning,
            1,
            13 + "<think>4 > 1</think>".len(),
        ),
    ] {
        let (found, told) = planned(&place, row.clone())?;
        ensure!(
            [found[0], found[2]] == [responses, trained],
            "{form}: {found:?}, not {responses} and {trained}: {told}"
        );
    }

    let place = place_with(Some(CHATML), "<|im_end|>")?;
    for (row, field, message) in [
        (&tool, "tool_calls", "2 (assistant)"),
        (&shared, "tool_calls", "2 (assistant)"),
        (&name, "name", "1 (user)"),
        (&reasoning, "reasoning_content", "2 (assistant)"),
    ] {
        let of = if row.get("messages").is_some() {
            "tokenizer_config.json"
        } else {
            ""
        };
        let words = format!(
            "{of} does not write `{field}` of message {message}; what is set must not be lost"
        );
        let told = refused(&place, row.clone())?;
        ensure_says(
            &told,
            &["row 1 of sft.jsonl: field `messages`", words.trim()],
        )?;
    }
    // What is there and says nothing is nothing.
    let nothing = with(
        &with(&answer, "tool_calls", Value::Null),
        "weight",
        json!(1),
    );
    let (found, _) = planned(&place, json!({"messages": [question, nothing]}))?;
    ensure!(found == [1, 59, 13], "{found:?}");
    let empty = json!({"conversations": [{"from": "human", "value": QUESTION}, {"from": "function_call", "value": "{}"},
        {"from": "gpt", "value": ANSWER}]});
    ensure_says(
        &refused(&place, empty)?,
        &[
            "row 1 of sft.jsonl: field `conversations[1]`: a message of `function_call` is no call: expected JSON with `name` and `arguments`",
        ],
    )
}
