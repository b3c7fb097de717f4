//! A trained tokenizer folder, and chat templates that come along, give the same text and ids in Python's
//! `transformers`.
//!
//! Needs `EURUS_TRANSFORMERS_PYTHON`, a Python that can import `transformers`; without it the test says so and
//! passes.

use std::env;
use std::ffi::OsString;
use std::process::Command;

use crate::common::{TEXTS, llama_like_folder, trained_folder};
use test_support::skip;
use token_forest::{BuiltInTemplate, ChatTokenizer, Message, TokenizerFiles};

const SCRIPT: &str = r#"
import json, sys
from transformers import AutoTokenizer
folder, texts, messages = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
t = AutoTokenizer.from_pretrained(folder)
print(json.dumps({
    "texts": [t(text)["input_ids"] for text in texts],
    "prompt": t.apply_chat_template(messages, add_generation_prompt=True, return_dict=False),
    "chat": t.apply_chat_template(messages, add_generation_prompt=True, tokenize=False),
    "decoded": [t.decode(t(text)["input_ids"]) for text in texts],
    "eos": t.eos_token_id, "pad": t.pad_token_id, "size": len(t),
}))
"#;

fn python() -> Option<OsString> {
    let python = env::var_os("EURUS_TRANSFORMERS_PYTHON");
    if python.is_none() {
        skip("set EURUS_TRANSFORMERS_PYTHON to a Python with transformers");
    }
    python
}

#[test]
fn python_reads_a_trained_folder_with_the_same_ids() {
    let Some(python) = python() else {
        return;
    };
    let folder = trained_folder();
    let tokenizer = ChatTokenizer::from_folder(folder.path()).unwrap();
    let texts: Vec<&str> = TEXTS
        .into_iter()
        .chain([
            "",
            " a  b\n\n\tc ",
            "naïve 日本 🙂 2024",
            "x<|im_end|>y",
            "don't , ok .",
        ])
        .collect();
    let messages = [
        Message::system("Be brief."),
        Message::user("12 + 30?\n"),
        Message::assistant("Answer: 42"),
        Message::user("  Out: 42"),
    ];
    let output = Command::new(python)
        .env("HF_HUB_OFFLINE", "1")
        .args(["-c", SCRIPT])
        .arg(folder.path())
        .arg(serde_json::to_string(&texts).unwrap())
        .arg(serde_json::to_string(&messages).unwrap())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let python: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();

    let ids: Vec<Vec<u32>> = texts
        .iter()
        .map(|text| tokenizer.encode_text(text).unwrap())
        .collect();
    assert_eq!(python["texts"], serde_json::to_value(&ids).unwrap());
    assert_eq!(python["decoded"], serde_json::to_value(&texts).unwrap());
    assert_eq!(
        python["chat"],
        tokenizer.template().render(&messages, true).unwrap()
    );
    assert_eq!(
        python["prompt"],
        serde_json::to_value(tokenizer.encode_prompt(&messages).unwrap()).unwrap()
    );
    assert_eq!(python["eos"], tokenizer.eos_id());
    assert_eq!(python["pad"], tokenizer.eos_id());
    assert_eq!(python["size"], tokenizer.vocab_size());
}

const TEMPLATES: &str = r#"
import json, sys
from transformers import AutoTokenizer
t = AutoTokenizer.from_pretrained(sys.argv[1])
print(json.dumps([{
    "text": t.apply_chat_template(messages, add_generation_prompt=True, tokenize=False),
    "ids": t.apply_chat_template(messages, add_generation_prompt=True, return_dict=False),
} for messages in json.loads(sys.argv[2])]))
"#;

#[test]
fn python_renders_the_templates_that_come_along_the_same() {
    let Some(python) = python() else {
        return;
    };
    let turns = [
        Message::user("6 * 7?\n"),
        Message::assistant("  41"),
        Message::user(" No, <b>think</b>. "),
        Message::assistant("42\n"),
        Message::user("Why?"),
    ];
    let mut with_system = vec![Message::system(" Be brief. ")];
    with_system.extend_from_slice(&turns);
    // The others need tokens that this vocabulary lacks.
    for template in [
        BuiltInTemplate::Mistral,
        BuiltInTemplate::Llama2,
        BuiltInTemplate::ChatMl,
    ] {
        let mut conversations = vec![&turns[..1], &turns[..3], &turns[..]];
        if template != BuiltInTemplate::Mistral {
            conversations.extend([&with_system[..2], &with_system[..]]);
        }
        let source = llama_like_folder();
        let files = TokenizerFiles::read(source.path()).unwrap();
        let files = files.with_built_in_template(template).unwrap();
        let folder = tempfile::tempdir().unwrap();
        files.write(folder.path()).unwrap();
        let output = Command::new(&python)
            .env("HF_HUB_OFFLINE", "1")
            .args(["-c", TEMPLATES])
            .arg(folder.path())
            .arg(serde_json::to_string(&conversations).unwrap())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let python: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let tokenizer = ChatTokenizer::from_files(files).unwrap();
        for (messages, python) in conversations.iter().zip(python.as_array().unwrap()) {
            let name = template.name();
            let text = tokenizer.template().render(messages, true).unwrap();
            assert_eq!(python["text"], text, "{name}");
            let ids = tokenizer.encode_prompt(messages).unwrap();
            assert_eq!(python["ids"], serde_json::json!(ids), "{name}: {text:?}");
        }
    }
}
