//! The prompts of the built-in tasks, as they are sent.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::{Context, Result, bail, ensure};
use eurus_eval::tasks::{DataPlace, Item, Items, Task};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use test_support::folders;
use token_forest::{ChatTemplate, Message};

use super::family::{GoldenGrader, Judged};

pub fn graders() -> Vec<GoldenGrader> {
    const COT: &str = "prompt:3shot-cot (text built from public cot-prompts, see eval.md)";
    vec![
        GoldenGrader::exact("prompt:0shot", |row| prompt(row, None)),
        GoldenGrader::exact("prompt:chat", |row| prompt(row, None)),
        GoldenGrader::exact("prompt:cot", |row| prompt(row, Some("cot"))),
        GoldenGrader::exact("prompt:pot", |row| prompt(row, Some("pot"))),
        GoldenGrader::exact(COT, |row| prompt(row, None)),
        GoldenGrader::exact("prompt:5shot", |row| prompt(row, None)),
        GoldenGrader::exact("prompt", mmlu),
        GoldenGrader::exact("prompt_to_messages", bbh),
    ]
}

/// Name of the task, its data here, and the setting.
type Key = (&'static str, Option<&'static str>);

static LOADED: LazyLock<Result<BTreeMap<Key, Items>, String>> =
    LazyLock::new(|| load().map_err(|error| format!("{error:#}")));

const TASKS: [(&str, &str, &str); 11] = [
    ("HumanEval", "humaneval", "humaneval"),
    ("MBPP", "mbpp", "mbpp"),
    ("LeetCode", "leetcode", "leetcode"),
    ("MATH", "math", "math"),
    ("SVAMP", "svamp", "numeric"),
    ("ASDiv", "asdiv", "numeric"),
    ("GSM-Plus", "gsmplus", "gsmplus"),
    ("TheoremQA", "theoremqa", "theoremqa"),
    ("IFEval", "ifeval", "ifeval"),
    ("BBH", "bbh", "bbh"),
    ("MMLU", "mmlu", "mmlu"),
];

fn load() -> Result<BTreeMap<Key, Items>> {
    let data = folders::data().context("prompts are made of published rows")?;
    let mut loaded = BTreeMap::new();
    for (_, name, folder) in TASKS {
        let task = Task::built_in(name)?;
        let place = DataPlace::new(data.join("eval").join(folder));
        if task.settings().is_empty() {
            loaded.insert((name, None), task.load(&place)?);
        } else {
            for setting in ["cot", "pot"] {
                let items = task.with_setting(setting)?.load(&place)?;
                loaded.insert((name, Some(setting)), items);
            }
        }
    }
    Ok(loaded)
}

fn items(name: &str, setting: Option<&str>) -> Result<&'static [Item]> {
    let loaded = LOADED
        .as_ref()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut all = loaded.iter();
    let found = all.find(|((task, of), _)| *task == name && *of == setting);
    let (_, items) = found.context("the task is loaded")?;
    Ok(&items.items)
}

fn example(row: &Value, setting: Option<&str>) -> Result<&'static Item> {
    let benchmark = row["benchmark"].as_str().context("a benchmark")?;
    let known = TASKS.iter().find(|(title, ..)| *title == benchmark);
    let (_, name, _) = known.with_context(|| format!("no task for {benchmark}"))?;
    let id = match &row["example"] {
        Value::String(id) => id.clone(),
        other => other.to_string(),
    };
    let items = items(name, setting)?;
    if let Some(item) = items.iter().find(|item| item.id == id) {
        return Ok(item);
    }
    // Rows without a name of their own are counted within their split.
    let index = id
        .split_once('[')
        .and_then(|(_, index)| index.strip_suffix(']'));
    let index: usize = index.context("an item or its number")?.parse()?;
    items.get(index).with_context(|| format!("no item {id}"))
}

fn sha256(text: &str) -> String {
    let hash = Sha256::digest(text);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

const TEMPLATES: [(&str, &str); 2] = [
    (
        "mistral_instruct",
        include_str!("templates/mistral_instruct.jinja"),
    ),
    (
        "llama_default",
        include_str!("templates/llama_default.jinja"),
    ),
];

/// The text that a template makes of a request, and its messages. A template that refuses the system gets none.
fn rendered(item: &Item, name: &str) -> Result<(String, Vec<chat_model::Message>)> {
    let (_, source) = TEMPLATES
        .into_iter()
        .find(|(known, _)| *known == name)
        .context("a known template")?;
    let tokens = [("bos_token", "<s>"), ("eos_token", "</s>")];
    let tokens = tokens.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let template = ChatTemplate::new(name, source, tokens.into())?;
    let render = |messages: &[chat_model::Message]| {
        let messages: Vec<Message> = messages
            .iter()
            .map(|message| match message.role {
                chat_model::Role::System => Message::system(&message.content),
                chat_model::Role::User => Message::user(&message.content),
                chat_model::Role::Assistant => Message::assistant(&message.content),
            })
            .collect();
        template.render(&messages, true)
    };
    let (text, messages) = match render(&item.request.messages) {
        Ok(text) => (text, item.request.messages.clone()),
        Err(_) => {
            let messages = item.request_without_system().messages;
            (render(&messages)?, messages)
        }
    };
    let prefix = item.request.answer_prefix.as_deref().unwrap_or_default();
    Ok((text + prefix, messages))
}

fn role(message: &chat_model::Message) -> Value {
    serde_json::to_value(message.role).unwrap_or_default()
}

/// A row with hashes, or with whole texts.
fn prompt(row: &Value, setting: Option<&str>) -> Result<Judged> {
    let item = example(row, setting)?;
    let verdict = &row["verdict"];
    if let Some(raw) = verdict["prompt"].as_str() {
        return Ok(Judged::compare(
            &item.request.raw_prompt.as_deref(),
            &Some(raw),
        ));
    }
    let (text, messages) = rendered(item, "mistral_instruct")?;
    // IFEval's script takes the token that begins a text out.
    let cut = |text: &str| match row["benchmark"] == "IFEval" {
        true => text.trim_start_matches("<s>").to_owned(),
        false => text.to_owned(),
    };
    if let Some(wanted) = verdict["messages"].as_array() {
        let got: Vec<Value> = messages
            .iter()
            .map(|it| json!({ "role": role(it), "content": it.content }))
            .collect();
        if got != *wanted {
            return Ok(Judged::compare(&got, wanted));
        }
        let wanted = verdict["rendered_mistral_instruct"].as_str();
        return Ok(Judged::compare(&Some(cut(&text).as_str()), &wanted));
    }
    let hashes = |messages: &[chat_model::Message]| -> Vec<Value> {
        let hash = |it: &chat_model::Message| json!([role(it), sha256(&it.content)]);
        messages.iter().map(hash).collect()
    };
    let wanted = verdict["messages_mistral"].as_array().context("messages")?;
    let wanted: Vec<Value> = wanted
        .iter()
        .map(|it| json!([it["role"], it["sha256"]]))
        .collect();
    let got = hashes(&messages);
    if got != wanted {
        return Ok(Judged::compare(&got, &wanted));
    }
    for (name, _) in TEMPLATES {
        let (text, messages) = rendered(item, name)?;
        let text = cut(&text);
        let got = json!({ "sha256": sha256(&text), "chars": text.chars().count() });
        let wanted = &verdict["rendered"][name];
        if got != *wanted {
            return Ok(Judged::Differs(format!(
                "{name}: got {got} for {text:?}, right is {wanted}"
            )));
        }
        if name == "llama_default" {
            let roles: Vec<Value> = messages.iter().map(role).collect();
            let wanted = verdict["roles_llama_default"].as_array().context("roles")?;
            ensure!(roles == *wanted, "roles {roles:?} instead of {wanted:?}");
        }
    }
    Ok(Judged::Agrees)
}

/// A raw prompt and its right letter.
fn mmlu(row: &Value) -> Result<Judged> {
    let id = format!(
        "{}[{}]",
        row["subject"].as_str().context("a subject")?,
        row["index"]
    );
    let items = items("mmlu", None)?;
    let item = items
        .iter()
        .find(|item| item.id == id)
        .context("no such item")?;
    let raw = item.request.raw_prompt.as_deref().context("a raw prompt")?;
    let got = (sha256(raw), &item.gold);
    let verdict = &row["verdict"];
    let hash = verdict["sha256"].as_str().context("a hash")?;
    Ok(Judged::compare(&got, &(hash.to_owned(), &verdict["label"])))
}

/// The messages of the first question of a task.
fn bbh(row: &Value) -> Result<Judged> {
    let id = format!("{}[0]", row["task"].as_str().context("a task")?);
    let items = items("bbh", None)?;
    let item = items
        .iter()
        .find(|item| item.id == id)
        .context("no such item")?;
    let verdict = &row["verdict"];
    let messages = &item.request.messages;
    let roles: Vec<Value> = messages.iter().map(role).collect();
    let Some(wanted) = verdict["roles"].as_array() else {
        bail!("no roles");
    };
    if roles != *wanted {
        return Ok(Judged::compare(&roles, wanted));
    }
    let contents: Vec<&str> = messages.iter().map(|it| it.content.as_str()).collect();
    let got = sha256(&contents.join("\0"));
    let wanted = verdict["sha256_of_contents_joined_by_NUL"].as_str();
    Ok(Judged::compare(&Some(got.as_str()), &wanted))
}
