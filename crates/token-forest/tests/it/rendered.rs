//! Nothing vanishes: every message stands whole, in its own place, in the text that is trained on.

use crate::common::with_template;
use token_forest::{
    Beside, BuiltInTemplate, LengthLimit, Message, MessageTree, OverLong, Role, TextCounts,
    ToolCall,
};

/// What the template makes of a conversation: the counts, or the refusal.
fn texts(template: &str, messages: &[Message]) -> Result<TextCounts, String> {
    let tree = MessageTree::of_messages(messages);
    let tokenizer = with_template(template).map_err(|error| error.to_string())?;
    let fitted = tokenizer.fit(&tree, LengthLimit::default(), OverLong::Error);
    fitted.map(|it| it.texts).map_err(|error| error.to_string())
}

fn ask(system: &str, question: &str, answer: &str) -> Vec<Message> {
    vec![
        Message::system(system),
        Message::user(question),
        Message::assistant(answer),
    ]
}

/// ChatML that does something else with some messages.
fn chatml(content: &str) -> String {
    let source = BuiltInTemplate::ChatMl.source();
    let changed = source.replace("message['content']", content);
    assert_ne!(source, changed);
    changed
}

#[test]
fn texts_that_are_written_as_they_are_count_nothing() {
    let plain = BuiltInTemplate::ChatMl.source();
    let messages = ask("", " 6 * 7?\n", "user\n\n42 ");
    assert_eq!(texts(plain, &messages), Ok(TextCounts::default()));
}

#[test]
fn a_text_that_happens_to_stand_elsewhere_is_not_found_there() {
    // The header of the next message has the word, and so has the question.
    let drops = "{% for m in messages %}{% if m.role != 'system' %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}\
        {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
    for system in ["user", "Which", "assistant"] {
        let error = texts(drops, &ask(system, "Which user?", "This one.")).unwrap_err();
        assert!(
            error.contains(&format!(
                "does not write message 1 (system) as it is: of \"{system}\""
            )),
            "{error}"
        );
    }
    // A later system message, where the template has a place for the first alone.
    let mut late = vec![Message::user("Hi."), Message::assistant("Hello.")];
    late.extend(ask("Hi.", "Which?", "This one."));
    let error = texts(drops, &late).unwrap_err();
    assert!(error.contains("message 3 (system)"), "{error}");
}

#[test]
fn a_default_in_place_of_an_empty_message_is_refused() {
    let defaults = chatml("(message['content'] or 'You are a helpful assistant.')");
    assert_eq!(
        texts(&defaults, &ask("Count.", "6?", "6")),
        Ok(TextCounts::default())
    );
    let error = texts(&defaults, &ask("", "6?", "6")).unwrap_err();
    assert!(
        error.contains("does not write message 1 (system) as it is: of \"\" it makes"),
        "{error}"
    );
    assert!(error.contains("You are a helpful assistant."), "{error}");
}

#[test]
fn escaped_and_shortened_texts_are_refused() {
    for (content, role) in [
        ("message['content'] | e", "message 2 (user)"),
        (
            "message['content'] | replace('so ', '')",
            "message 3 (assistant)",
        ),
        ("message['content'][:12]", "message 3 (assistant)"),
    ] {
        let error = texts(
            &chatml(content),
            &ask("Count.", "1 < 2?", "Yes, so it is, always."),
        )
        .unwrap_err();
        assert!(
            error.contains(&format!("does not write {role} as it is")),
            "{content}: {error}"
        );
    }
}

#[test]
fn white_space_may_go_and_is_counted() {
    let trims = chatml("message['content'] | trim");
    let counts = texts(&trims, &ask(" Count.", "6?", "6\n\n7\n")).unwrap();
    assert_eq!(counts.other_white_space, 2);
    // What is inside an answer, around its reasoning: Qwen3 writes line breaks of its own there.
    let reasons = BuiltInTemplate::Qwen3.source();
    let counts = texts(reasons, &ask("Count.", "6?", "<think>six</think>6")).unwrap();
    assert_eq!(counts.other_white_space, 1);
    let whole = texts(reasons, &ask("Count.", "6?", "<think>\nsix\n</think>\n\n6")).unwrap();
    assert_eq!(whole, TextCounts::default());
    // Reasoning that is not closed once more is lost, and said so.
    let error = texts(
        reasons,
        &ask("", "6?", "<think>\na\n</think>\nb\n</think>\n6"),
    )
    .unwrap_err();
    assert!(error.contains("message 3 (assistant)"), "{error}");
}

#[test]
fn an_answer_may_begin_with_what_the_prompt_ends_with() {
    let opens = BuiltInTemplate::Qwen3Thinking.source();
    let answer = "<think>\nsix\n</think>\n\n6";
    assert_eq!(
        texts(opens, &ask("", "6?", answer)),
        Ok(TextCounts::default())
    );
    let tokenizer = with_template(opens).unwrap();
    let tree = tokenizer.encode_messages(&ask("", "6?", answer)).unwrap();
    let text = |node: usize| {
        tokenizer
            .decode_with_special_tokens(&tree.nodes[node].tokens)
            .unwrap()
    };
    assert!(text(0).ends_with("assistant\n<think>\n"), "{}", text(0));
    assert_eq!(text(1), "six\n</think>\n\n6<|im_end|>");
}

#[test]
fn switches_of_a_system_message_are_taken_out_and_acted_on() {
    let smollm3 = BuiltInTemplate::SmolLm3.source();
    assert_eq!(
        texts(smollm3, &ask("Count. /no_think", "6?", "6")),
        Ok(TextCounts::default())
    );
    // What is no switch is no less than text.
    let error = texts(smollm3, &ask("Write <think> and </think>.", "6?", "6")).unwrap_err();
    assert!(error.contains("message 1 (system)"), "{error}");
}

#[test]
fn special_tokens_in_texts_are_counted_by_message() {
    let plain = BuiltInTemplate::ChatMl.source();
    let messages = ask(
        "<|im_start|><|endoftext|>",
        "What is <|im_end|>?",
        "A mark, not <|im_start|>.",
    );
    let counts = texts(plain, &messages).unwrap();
    assert_eq!(counts.special_tokens, 3);
    assert_eq!(
        counts.first_special_token.as_deref(),
        Some("`<|endoftext|>` in message 1 (system)")
    );
    // They are tokens there.
    let tokenizer = with_template(plain).unwrap();
    let tree = tokenizer.encode_messages(&messages).unwrap();
    let marks = tree.nodes[0]
        .tokens
        .iter()
        .filter(|&&id| id == tokenizer.eos_id());
    assert_eq!(marks.count(), 3);
}

#[test]
fn what_is_said_beside_a_text_must_be_written() {
    let plain = BuiltInTemplate::ChatMl.source();
    let qwen3 = BuiltInTemplate::Qwen3.source();
    let call = ToolCall {
        id: Some("1".to_owned()),
        name: "larger".to_owned(),
        arguments: r#"{"b": 1, "a": [4, "é"]}"#.to_owned(),
    };
    let calls = Beside {
        tool_calls: vec![call],
        ..Beside::default()
    };
    let thinks = Beside {
        reasoning_content: Some("Of two.".to_owned()),
        ..Beside::default()
    };
    let named = Beside {
        name: Some("Tom".to_owned()),
        ..Beside::default()
    };
    let result = Beside {
        tool_call_id: Some("1".to_owned()),
        ..Beside::default()
    };
    let messages = [
        Message::user("Which is larger?"),
        Message::assistant("").with_beside(calls),
        Message::new(Role::Tool, "4").with_beside(result),
        Message::assistant("4.").with_beside(thinks.clone()),
    ];
    assert_eq!(texts(qwen3, &messages), Ok(TextCounts::default()));
    let tokenizer = with_template(qwen3).unwrap();
    let tree = tokenizer.encode_messages(&messages).unwrap();
    let text = |node: usize| {
        let tokens = &tree.nodes[node].tokens;
        tokenizer.decode_with_special_tokens(tokens).unwrap()
    };
    assert_eq!(
        text(1),
        "<think>\n\n</think>\n\n<tool_call>\n{\"name\": \"larger\", \"arguments\": {\"b\": 1, \"a\": [4, \"é\"]}}\n</tool_call><|im_end|>"
    );
    assert_eq!(text(3), "<think>\nOf two.\n</think>\n\n4.<|im_end|>");
    assert!(text(2).contains("user\n<tool_response>\n4\n</tool_response>"));

    let refused = |template: &str, messages: &[Message], words: &str| {
        let error = texts(template, messages).unwrap_err();
        assert!(error.contains(words), "{error}");
    };
    refused(plain, &messages, "does not write `tool_calls` of message 2");
    // The name of the function alone is not the call.
    let half = chatml(
        "message['content'] + (message.tool_calls[0].function.name if message.tool_calls else '')",
    );
    refused(&half, &messages, "does not write `tool_calls` of message 2");
    let answer = Message::assistant("4.");
    let asked = Message::user("Which?");
    let thought = [asked.clone(), answer.clone().with_beside(thinks)];
    refused(
        plain,
        &thought,
        "does not write `reasoning_content` of message 2",
    );
    let named = [asked.with_beside(named), answer];
    refused(qwen3, &named, "does not write `name` of message 1 (user)");
}

#[test]
fn an_answer_before_any_question_has_no_thought_to_write() {
    let qwen3 = BuiltInTemplate::Qwen3.source();
    let messages = [
        Message::assistant("Hello."),
        Message::user("6?"),
        Message::assistant("6"),
    ];
    let tokenizer = with_template(qwen3).unwrap();
    let tree = tokenizer.encode_messages(&messages).unwrap();
    let history = &tree.nodes[0].tokens;
    let history = tokenizer.decode_with_special_tokens(history).unwrap();
    assert!(history.starts_with("<|im_start|>assistant\nHello.<|im_end|>\n"));
    assert_eq!(tree.nodes.len(), 2);
}
