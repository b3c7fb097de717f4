//! Templates and rows that a seeded mutator has changed: nothing panics, no message vanishes from what is rendered, and every
//! row is trained on or counted among those that are not.
//!
//! `EURUS_MUTATIONS` sets how many there are; `--nocapture` prints how they ended.

#![allow(clippy::print_stdout, reason = "the counts are the result")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use crate::common::{trained_folder, with_template};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use test_support::count;
use token_forest::rows::{RowOptions, read};
use token_forest::{
    BuiltInTemplate, ChatTokenizer, Error, LabelKind, LengthLimit, Message, MessageTree, OverLong,
    Role,
};

/// Changes a text in up to three places, by characters.
fn damage(text: &str, random: &mut impl Rng) -> String {
    const PIECES: [&str; 14] = [
        "{", "}", "{%", "%}", "{{", "}}", "'", "\n", " | trim", "not ", "-", "message", "0", "é",
    ];
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..letters.len());
        let end = (at + random.random_range(1..20)).min(letters.len());
        match random.random_range(0..4) {
            0 => drop(letters.drain(at..end)),
            1 => {
                let piece = PIECES[random.random_range(0..PIECES.len())];
                letters.splice(at..at, piece.chars());
            }
            2 => {
                let copy = letters[at..end].to_vec();
                letters.splice(at..at, copy);
            }
            _ => {
                let other = random.random_range(0..letters.len());
                letters.swap(at, other);
            }
        }
        if letters.is_empty() {
            break;
        }
    }
    letters.into_iter().collect()
}

/// Puts a word of templates in the place of another one: what is left is a template more often than not.
fn reword(text: &str, random: &mut impl Rng) -> String {
    const WORDS: [&str; 20] = [
        "user",
        "assistant",
        "system",
        "content",
        "role",
        "messages[0]",
        "messages[1:]",
        "messages",
        "message",
        "strip()",
        "upper()",
        "loop.first",
        "loop.last",
        " == ",
        " != ",
        " not ",
        "add_generation_prompt",
        "\\n",
        "'<",
        " + ",
    ];
    let there: Vec<&str> = WORDS.into_iter().filter(|it| text.contains(it)).collect();
    let word = there[random.random_range(0..there.len())];
    let other = WORDS[random.random_range(0..WORDS.len())];
    let places: Vec<usize> = text.match_indices(word).map(|(at, _)| at).collect();
    let at = places[random.random_range(0..places.len())];
    format!("{}{other}{}", &text[..at], &text[at + word.len()..])
}

#[test]
fn a_template_that_was_changed_renders_every_message_or_is_refused() {
    let messages = [
        Message::system("Speak plainly, sir."),
        Message::user("How many are six by seven?"),
        Message::assistant("Forty-three, I think."),
        Message::user("No; count again."),
        Message::assistant("Forty-two it is."),
    ];
    let templates = BuiltInTemplate::ALL;
    let mutations = count("EURUS_MUTATIONS", 150);
    let (mut rendered, mut refused) = (0, 0);
    let mut reasons = BTreeMap::new();
    for seed in 0..mutations {
        let mut random = ChaCha8Rng::seed_from_u64(seed as u64);
        let source = templates[seed % templates.len()].source();
        let template = match random.random_bool(0.7) {
            true => reword(source, &mut random),
            false => damage(source, &mut random),
        };
        // Not every template has a place for the system.
        let messages = &messages[usize::from(random.random_bool(0.5))..];
        let tree = MessageTree::of_messages(messages);
        let run = || {
            let tokenizer = with_template(&template)?;
            tokenizer.fit(&tree, LengthLimit::default(), OverLong::Error)?;
            let tokens = tokenizer.encode_messages(messages)?;
            let trained = tokens.nodes.iter().filter(|node| node.trainable);
            let trained = trained.map(|node| tokenizer.decode(&node.tokens));
            Ok::<_, Error>((
                tokenizer.template().render(messages, false)?,
                trained.collect::<Result<Vec<_>, _>>()?,
            ))
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Err(_) => panic!("seed {seed}: a panic on {template}"),
            Ok(Err(error)) => {
                refused += 1;
                let kind = format!("{error:?}");
                let kind = kind.split([' ', '(']).next().unwrap_or_default();
                *reasons.entry(kind.to_owned()).or_insert(0) += 1;
                assert!(!error.to_string().is_empty(), "seed {seed}");
            }
            Ok(Ok((text, trained))) => {
                rendered += 1;
                let mut rest = text.as_str();
                for message in messages {
                    let at = rest.find(&message.content);
                    let at = at.unwrap_or_else(|| panic!("seed {seed}: {template}\n{text}"));
                    rest = &rest[at + message.content.len()..];
                }
                let answers = messages.iter().filter(|it| it.role == Role::Assistant);
                assert_eq!(answers.clone().count(), trained.len(), "seed {seed}");
                for (answer, span) in answers.zip(trained) {
                    assert!(span.contains(&answer.content), "seed {seed}: {span:?}");
                }
            }
        }
    }
    println!(
        "{mutations} changed templates: {rendered} render every message, {refused} are refused, 0 panics"
    );
    for (reason, count) in reasons {
        println!("  {reason}: {count}");
    }
    assert!(rendered * 10 > mutations && refused * 10 > mutations);
}

static TOKENIZER: LazyLock<ChatTokenizer> =
    LazyLock::new(|| ChatTokenizer::from_folder(trained_folder().path()).expect("a tokenizer"));

/// Puts another value of any kind in the place of one, or takes it away.
fn rewrite(value: &mut Value, random: &mut impl Rng) {
    let others = [
        json!(null),
        json!(""),
        json!(" "),
        json!(7),
        json!(-0.5),
        json!(true),
        json!([]),
        json!({}),
        json!("answer 1"),
        json!([{"role": "tool", "content": "7"}]),
        json!([{"from": "GPT", "value": "6"}]),
    ];
    match value {
        Value::Object(fields) if !fields.is_empty() && random.random_bool(0.8) => {
            let place = random.random_range(0..fields.len());
            let name = fields.keys().nth(place).cloned().unwrap_or_default();
            if random.random_bool(0.2) {
                fields.remove(&name);
            } else if let Some(value) = fields.get_mut(&name) {
                rewrite(value, random);
            }
        }
        Value::Array(items) if !items.is_empty() && random.random_bool(0.8) => {
            let place = random.random_range(0..items.len());
            rewrite(&mut items[place], random);
        }
        other => *other = others[random.random_range(0..others.len())].clone(),
    }
}

/// A row that makes one group of its kind.
fn row(kind: LabelKind, n: usize) -> Value {
    let said = |role: &str, text: String| json!({"role": role, "content": text});
    let prompt = json!([said("user", format!("question {n}"))]);
    let right = json!([said("assistant", format!("answer {n}"))]);
    match kind {
        LabelKind::Pair => {
            let wrong = json!([said("assistant", format!("answer {}", n + 1))]);
            json!({"id": n, "prompt": prompt, "chosen": right, "rejected": wrong})
        }
        LabelKind::Verdict => {
            json!({"id": n, "prompt": prompt, "completion": right, "label": n.is_multiple_of(2)})
        }
        _ => json!({"id": n, "prompt": prompt, "completion": right}),
    }
}

#[test]
fn a_row_that_was_changed_is_trained_on_or_counted() {
    let kinds = [LabelKind::Pair, LabelKind::Verdict, LabelKind::Imitated];
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rows.jsonl");
    let mutations = count("EURUS_MUTATIONS", 150);
    let (mut used, mut left_out) = (0, 0);
    for seed in 0..mutations {
        let mut random = ChaCha8Rng::seed_from_u64(seed as u64);
        let kind = kinds[seed % kinds.len()];
        let mut lines = String::new();
        const ROWS: usize = 6;
        for n in 0..ROWS {
            let mut row = row(kind, n);
            if random.random_bool(0.5) {
                rewrite(&mut row, &mut random);
            }
            let mut line = row.to_string();
            if random.random_bool(0.1) {
                line = damage(&line, &mut random).replace('\n', " ");
            }
            if line.trim().is_empty() {
                line = "{".to_owned();
            }
            lines += &format!("{line}\n");
        }
        std::fs::write(&file, &lines).expect("written");
        let options = RowOptions {
            drop_unusable: true,
            ..RowOptions::new(kind)
        };
        let files = [file.clone()];
        let result = catch_unwind(AssertUnwindSafe(|| read(&files, &TOKENIZER, &options)));
        let Ok(result) = result else {
            panic!("seed {seed}: a panic on\n{lines}");
        };
        match result {
            Ok(rows) => {
                let report = &rows.report;
                let counted = report.invalid.rows
                    + report.empty.rows
                    + report.identical_pairs.rows
                    + report.without_examples.rows
                    + report.duplicates.rows;
                assert_eq!(report.read, ROWS, "seed {seed}: {report}\n{lines}");
                assert_eq!(
                    rows.groups() + counted,
                    ROWS,
                    "seed {seed}: {report}\n{lines}"
                );
                used += rows.groups();
                left_out += counted;
            }
            // The whole file is told of.
            Err(Error::NoRows { .. } | Error::Data { .. } | Error::InRow { .. }) => {
                left_out += ROWS;
            }
            Err(other) => panic!("seed {seed}: {other}\n{lines}"),
        }
    }
    println!(
        "{mutations} changed files: {used} rows are trained on, {left_out} are counted as left out, 0 panics"
    );
    assert!(used > left_out / 4 && left_out > 0);
}
