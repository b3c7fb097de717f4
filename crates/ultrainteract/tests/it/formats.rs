//! Every format: what is written comes back, whatever the file.

use std::path::Path;

use crate::support::{fixed_examples, format_and_examples};
use proptest::prelude::*;
use ultrainteract::Error;
use ultrainteract::example::Example;
use ultrainteract::formats::Format;
use ultrainteract::input::{self, Place};
use ultrainteract::output::Output;

fn write(path: &Path, format: Format, examples: &[Example]) -> usize {
    let mut out = Output::create(path, format).unwrap();
    for example in examples {
        assert_eq!(out.write(example).unwrap(), 1, "{example:?}");
    }
    out.finish().unwrap()
}

fn read(path: &Path, format: Format) -> Vec<Example> {
    input::read(vec![path.to_path_buf()], move |record| format.parse(record))
        .map(|record| record.map_err(|rejected| rejected.error).unwrap().value)
        .collect()
}

#[cfg(feature = "parquet")]
fn holds_parquet(format: Format) -> bool {
    !matches!(
        format,
        Format::Tree | Format::UltraFeedback | Format::UltraSafety
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_written_comes_back((format, examples) in format_and_examples()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.jsonl");
        prop_assert_eq!(write(&path, format, &examples), examples.len());
        prop_assert_eq!(Format::of_file(&path).unwrap(), Some(format));
        prop_assert_eq!(read(&path, format), examples);
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn parquet_holds_the_same((format, examples) in format_and_examples()) {
        prop_assume!(holds_parquet(format));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.parquet");
        prop_assert_eq!(write(&path, format, &examples), examples.len());
        prop_assert_eq!(Format::of_file(&path).unwrap(), Some(format));
        prop_assert_eq!(read(&path, format), examples);
    }
}

#[test]
fn compression_and_arrays_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for format in Format::ALL {
        let examples = fixed_examples(format, 9);
        let at = |name: &str| folder.path().join(name);
        write(&at("plain.jsonl"), format, &examples);
        let lines = std::fs::read_to_string(at("plain.jsonl")).unwrap();
        let array = format!("\u{feff}[\n{}\n]\n", lines.trim_end().replace('\n', ",\n"));
        std::fs::write(at("array.json"), array).unwrap();
        for name in ["rows.jsonl.gz", "rows.jsonl.zst"] {
            write(&at(name), format, &examples);
            assert!(
                std::fs::read(at(name)).unwrap()[0] != b'{',
                "{name} is compressed"
            );
        }
        // Two compressed files behind each other are one.
        let mut twice = std::fs::read(at("rows.jsonl.gz")).unwrap();
        twice.extend(twice.clone());
        std::fs::write(at("twice.gz"), twice).unwrap();
        for name in ["array.json", "rows.jsonl.gz", "rows.jsonl.zst"] {
            assert_eq!(
                Format::of_file(&at(name)).unwrap(),
                Some(format),
                "{format} {name}"
            );
            assert_eq!(read(&at(name), format), examples, "{format} {name}");
        }
        assert_eq!(read(&at("twice.gz"), format).len(), 18);
    }
}

#[test]
fn the_reader_of_single_lines_decompresses_too() {
    use ultrainteract::formats::{self, PairRow};
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<PairRow> = fixed_examples(Format::Pair, 5)
        .into_iter()
        .filter_map(|example| match example {
            Example::Pair(row) => Some(row),
            _ => None,
        })
        .collect();
    for name in ["rows.jsonl", "rows.jsonl.gz", "rows.jsonl.zst"] {
        let path = folder.path().join(name);
        formats::write_jsonl(&path, &rows).unwrap();
        let back: Result<Vec<PairRow>, Error> = formats::read_jsonl(&path).unwrap().collect();
        assert_eq!(back.unwrap(), rows, "{name}");
    }
}

#[test]
fn records_keep_their_order_and_place_over_many_batches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    let long = "x".repeat(2000);
    let lines: String = (0..5000)
        .map(|n| format!("{{\"question\": \"{n}\", \"response\": \"{long}\"}}\n\n"))
        .collect();
    std::fs::write(&path, &lines).unwrap();
    let records = input::read(vec![path.clone(), path], |record| {
        Format::OpenOrca.parse(record)
    });
    let read_bytes = records.read_bytes();
    for (index, record) in records.enumerate() {
        let record = record.unwrap();
        assert_eq!(record.value.instruction(), (index % 5000).to_string());
        let line = 2 * (index as u64 % 5000) + 1;
        assert_eq!(record.location.place, Place::Line(line));
    }
    assert_eq!(read_bytes.get(), 2 * lines.len() as u64);
}

#[test]
fn spellings_of_other_tools_are_understood() {
    let parse = |format: Format, row: serde_json::Value| {
        assert_eq!(Format::of_record(&row), Some(format), "{row}");
        format.parse(row.to_string().as_bytes()).unwrap()
    };
    let chat = |example: &Example| -> Vec<(String, String)> {
        example.conversations().unwrap()[0]
            .messages
            .iter()
            .map(|said| (said.role.as_str().to_string(), said.content.clone()))
            .collect()
    };
    let say = |role: &str, text: &str| (role.to_string(), text.to_string());
    use serde_json::json;

    let row = json!({"id": 7, "items": [{"from": "user", "value": "a"}, {"from": "chatgpt", "value": "b"}]});
    let example = parse(Format::ShareGpt, row);
    assert_eq!(chat(&example), [say("user", "a"), say("assistant", "b")]);
    assert_eq!(example.origin().id.as_deref(), Some("7"));

    let row = json!({"id": "flan.1", "system_prompt": "", "question": "a", "response": "b"});
    assert_eq!(
        chat(&parse(Format::OpenOrca, row)),
        [say("user", "a"), say("assistant", "b")]
    );

    let row = json!({"prompt": "a", "prompt_id": "x", "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]});
    assert_eq!(
        parse(Format::TrlMessages, row).origin().id.as_deref(),
        Some("x")
    );

    // UltraFeedback-binarized repeats the prompt; TRL's implicit prompt has it in the answers only.
    let both = |answer: &str| json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": answer}]);
    for row in [
        json!({"prompt": "a", "prompt_id": "x", "chosen": both("b"), "rejected": both("c"), "score_chosen": 9.0, "score_rejected": 1.5}),
        json!({"chosen": both("b"), "rejected": both("c"), "score_chosen": 9, "score_rejected": 1.5}),
    ] {
        let Example::Preference(pair) = parse(Format::TrlPreferenceChat, row) else {
            panic!("a preference");
        };
        assert_eq!(
            (
                pair.prompt.len(),
                &pair.chosen[0].content[..],
                &pair.rejected[0].content[..]
            ),
            (1, "b", "c")
        );
        assert_eq!(pair.scores, Some((9.0, 1.5)));
    }

    // UltraSafety rates with words inside lists.
    let rated = |response: &str, rating: &str| json!({"model": "m", "response": response, "annotations": {"harmlessness": [{"Rating": rating}]}});
    let row = json!({"source": "s", "prompt": "jailbreak", "instruction": "a", "models": ["m"], "completions": [rated("no", "1"), rated("yes", "0")]});
    let pairs = parse(Format::UltraSafety, row).preferences().unwrap();
    assert_eq!((pairs.len(), &pairs[0].chosen[0].content[..]), (1, "no"));
}

#[test]
fn what_messages_say_beside_their_text_is_kept_by_formats_that_have_a_place_for_it() {
    use serde_json::json;
    let call = json!({"id": "c1", "type": "function", "function": {"name": "larger", "arguments": "{\"b\": 1, \"a\": 4}"}});
    let row = json!({"messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Which?", "name": "Tom"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "4", "tool_call_id": "c1"},
        {"role": "assistant", "content": "4.", "reasoning_content": "4 > 1"}]});
    let parsed = |format: Format, row: &serde_json::Value| format.parse(row.to_string().as_bytes());
    let example = parsed(Format::TrlMessages, &row).unwrap();
    let messages = &example.conversations().unwrap()[0].messages;
    let roles: Vec<&str> = messages.iter().map(|it| it.role.as_str()).collect();
    assert_eq!(
        roles,
        ["developer", "user", "assistant", "tool", "assistant"]
    );
    assert_eq!(messages[2].tool_calls()[0].arguments, r#"{"b": 1, "a": 4}"#);
    let mut lines = Vec::new();
    for format in [Format::TrlMessages, Format::TrlCompletionChat] {
        lines.clear();
        format.encode(&example, &mut lines).unwrap();
        let again = format.parse(&lines).unwrap().conversations().unwrap();
        assert_eq!(&again[0].messages, messages);
    }
    lines.clear();
    Format::TrlMessages.encode(&example, &mut lines).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&lines).unwrap();
    assert_eq!(written, row);
    for format in [
        Format::ShareGpt,
        Format::OpenOrca,
        Format::TrlCompletion,
        Format::Sft,
    ] {
        let error = format.encode(&example, &mut Vec::new()).unwrap_err();
        let words = "its messages have no place for `name`";
        assert!(error.to_string().ends_with(words), "{error}");
    }
    #[cfg(feature = "parquet")]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        let mut out = Output::create(&path, Format::TrlMessages).unwrap();
        let error = out.write(&example).and_then(|_| out.finish()).unwrap_err();
        assert!(
            error.to_string().contains("'name' missing from schema"),
            "{error}"
        );
        assert!(!path.exists());
    }

    // Calls without what stands around their function, arguments as an object, ShareGPT's calls.
    let calls = json!([{"name": "f", "arguments": {"a": 1}}]);
    let row = json!({"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": null, "tool_calls": calls}]});
    let example = parsed(Format::TrlMessages, &row).unwrap();
    let call = &example.conversations().unwrap()[0].messages[1].tool_calls()[0].clone();
    assert_eq!((&call.name[..], &call.arguments[..]), ("f", r#"{"a":1}"#));
    for (message, words) in [
        (
            json!({"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]}),
            "`tool_calls` of a message is no list of calls",
        ),
        (
            json!({"role": "user", "content": "?", "tool_calls": [{"name": "f"}]}),
            "the assistant alone calls tools",
        ),
        (
            json!({"role": "assistant", "content": "!", "name": 7}),
            "`name` of a message is no string",
        ),
        (
            json!({"role": "function_call", "content": "f(1)"}),
            "a message of `function_call` is no call",
        ),
    ] {
        let row = json!({"messages": [{"role": "user", "content": "?"}, message]});
        let error = parsed(Format::TrlMessages, &row).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn rows_of_ultrainteract_may_lack_names() {
    let row = br#"{"task": "math_cot", "trajectory": [{"from": "user", "value": "abc"}], "chosen": "a", "rejected": "b"}"#;
    let Example::Pair(row) = Format::Pair.parse(row).unwrap() else {
        panic!("a pair")
    };
    assert!(row.parent_id.starts_with("ba7816bf8f01cfea"));
    assert_eq!(row.id, format!("{}_1_1", row.parent_id));
    assert_eq!(row.dataset, "unknown");
    assert_eq!(row.task.as_str(), "Math_CoT");
}

#[test]
fn what_a_format_cannot_hold_is_refused_with_the_reason() {
    let refused = |format: Format, example: &Example| {
        let error = format.encode(example, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, Error::NotHeld { .. }), "{error}");
        error.to_string()
    };
    let chat = fixed_examples(Format::TrlMessages, 40);
    let with_system = chat
        .iter()
        .find(|example| {
            example.conversations().unwrap()[0].messages[0]
                .role
                .as_str()
                == "system"
        })
        .unwrap();
    assert!(refused(Format::UltraChat, with_system).contains("user, assistant"));
    assert!(refused(Format::TrlPreference, &chat[0]).contains("no preference"));
    assert!(refused(Format::Tree, &chat[0]).contains("rebuilt from pair rows"));
    assert!(refused(Format::UltraFeedback, &chat[0]).contains("scores"));
    let pair = &fixed_examples(Format::TrlPreferenceChat, 1)[0];
    assert!(refused(Format::Sft, pair).contains("no answer to learn"));
}

#[test]
fn rows_without_names_get_them_of_their_instruction_when_they_are_written() {
    for (from, row, to, written) in [
        (
            Format::TrlPreference,
            r#"{"prompt": "a", "chosen": "b", "rejected": "c"}"#,
            Format::Pair,
            r#"{"id":"HASH_1_1","parent_id":"HASH","dataset":"unknown","trajectory":[{"from":"user","value":"a"}],"chosen":"b","rejected":"c"}"#,
        ),
        (
            Format::TrlCompletion,
            r#"{"prompt": "a", "completion": "b", "task": "logic", "id": 7}"#,
            Format::Sft,
            r#"{"id":"7","parent_id":"HASH","task":"Logic","dataset":"unknown","instruction":"a","response":"b"}"#,
        ),
    ] {
        let example = from.parse(row.as_bytes()).unwrap();
        let mut line = Vec::new();
        assert_eq!(to.encode(&example, &mut line).unwrap(), 1);
        let hash = ultrainteract::derive::instruction_hash("a");
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line.trim_end(), written.replace("HASH", &hash));
        let back = to.parse(line.as_bytes()).unwrap();
        assert_eq!(back.instruction(), "a");
    }
}

#[test]
fn pair_rows_survive_the_way_through_trl_and_back() {
    for example in fixed_examples(Format::Pair, 20) {
        let mut lines = Vec::new();
        Format::TrlPreferenceChat
            .encode(&example, &mut lines)
            .unwrap();
        let there = Format::TrlPreferenceChat.parse(&lines).unwrap();
        lines.clear();
        Format::Pair.encode(&there, &mut lines).unwrap();
        assert_eq!(Format::Pair.parse(&lines).unwrap(), example);
    }
}

#[test]
fn a_field_that_says_two_things_is_refused_by_name_in_a_record_and_in_a_message() {
    let answer = r#"{"role": "assistant", "content": "b"}"#;
    let said = |message: &str| format!(r#"{{"messages": [{message}, {answer}]}}"#);
    for (format, record, name) in [
        (
            Format::TrlMessages,
            said(r#"{"role": "user", "content": "a", "content": "z"}"#),
            "`content`",
        ),
        (
            Format::TrlMessages,
            said(r#"{"role": "user", "role": "system", "content": "a"}"#),
            "`role`",
        ),
        (
            Format::TrlPreference,
            r#"{"prompt": "a", "prompt": "z", "chosen": "b", "rejected": "c"}"#.to_owned(),
            "`prompt`",
        ),
    ] {
        let error = format.parse(record.as_bytes()).unwrap_err().to_string();
        assert!(
            error.contains(name) && error.contains("there twice"),
            "{record}: {error}"
        );
    }
    // The same twice, or nothing beside it, says one thing.
    for message in [
        r#"{"role": "user", "content": "a", "content": "a"}"#,
        r#"{"role": "user", "content": null, "content": "a"}"#,
    ] {
        let record = said(message);
        Format::TrlMessages.parse(record.as_bytes()).expect(message);
    }
}
