//! Chat templates and node-wise encoding.

use std::fs;

use crate::common::{SPECIAL, trained_folder, with_template};
use proptest::prelude::*;
use serde_json::json;
use token_forest::{
    ChatTokenizer, Error, Message, MessageTree, TokenTree, train_bpe, write_tokenizer_folder,
};
use ultrainteract::{Action, ActionSource, Observation, PreferenceTree, Schema, Task, Verdict};

fn chatml() -> ChatTokenizer {
    ChatTokenizer::from_folder(trained_folder().path()).unwrap()
}

fn action(text: &str, verdict: Verdict) -> Action {
    Action {
        text: text.into(),
        verdict,
        actor: "test".into(),
        schema: Schema::ChainOfThought,
        source: ActionSource::Sampled,
    }
}

/// Two turns; the first wrong action is expanded.
fn two_turns(instruction: &str, right: &str, wrong: &str) -> PreferenceTree {
    let mut tree = PreferenceTree::new("p1", Task::MathCot, "toy", instruction).unwrap();
    let root = tree.root();
    tree.add_action(root, action(right, Verdict::Correct))
        .unwrap();
    let first = tree
        .add_action(root, action(wrong, Verdict::Incorrect))
        .unwrap();
    let observation = Observation {
        execution: Some("41".into()),
        feedback: "Your answer is wrong.".into(),
        critique: None,
    };
    let observation = tree.add_observation(first, observation).unwrap();
    tree.add_action(observation, action(right, Verdict::Correct))
        .unwrap();
    tree.add_action(
        observation,
        action(&format!("{wrong} again"), Verdict::Incorrect),
    )
    .unwrap();
    tree
}

fn spelled(tokenizer: &ChatTokenizer, tree: &TokenTree) -> Vec<String> {
    let decode = |path: Vec<u32>| tokenizer.decode_with_special_tokens(&path).unwrap();
    tree.paths().into_iter().map(decode).collect()
}

#[test]
fn each_node_carries_the_template_text_that_it_adds() {
    let tokenizer = chatml();
    let tree = two_turns("6 * 7?", "42", "41");
    let tokens = tokenizer
        .encode_tree(&tree, |node| tree.node(node).action().is_some())
        .unwrap();
    let pieces: Vec<String> = tokens
        .nodes
        .iter()
        .map(|node| tokenizer.decode_with_special_tokens(&node.tokens).unwrap())
        .collect();
    assert_eq!(
        pieces,
        [
            "<|im_start|>user\n6 * 7?<|im_end|>\n<|im_start|>assistant\n",
            "42<|im_end|>",
            "41<|im_end|>",
            "\n<|im_start|>user\nOut: 41\nYour answer is wrong.<|im_end|>\n<|im_start|>assistant\n",
            "42<|im_end|>",
            "41 again<|im_end|>",
        ]
    );
    let trainable: Vec<bool> = tokens.nodes.iter().map(|node| node.trainable).collect();
    assert_eq!(trainable, [false, true, true, false, true, true]);
    let parents: Vec<Option<usize>> = tokens.nodes.iter().map(|node| node.parent).collect();
    assert_eq!(parents, [None, Some(0), Some(0), Some(2), Some(3), Some(3)]);
}

#[test]
fn a_question_and_its_answer_are_a_path_of_prompt_and_response() {
    let tokenizer = chatml();
    let row = |answer| [Message::user("6 * 7?"), Message::assistant(answer)];
    let tree = tokenizer.encode_messages(&row("42")).unwrap();
    assert_eq!(tree.nodes.len(), 2);
    assert_eq!(tree.nodes[1].tokens, tokenizer.encode_action("42").unwrap());
    assert_eq!(
        tree.nodes[0].tokens,
        tokenizer.encode_prompt(&[Message::user("6 * 7?")]).unwrap()
    );
    let ends_turn = tokenizer.encode_messages(&row("4<|im_end|>2"));
    assert_eq!(
        ends_turn.unwrap_err().to_string(),
        "message 2 (assistant) contains the eos token `<|im_end|>`, \
         which would end the turn inside it; remove it"
    );
}

#[test]
fn messages_between_two_answers_are_one_node() {
    let tokenizer = chatml();
    let messages = [
        Message::system("Be brief."),
        Message::user("6 * 7?"),
        Message::assistant("42"),
        Message::user("7 * 7?"),
    ];
    let tree = tokenizer.encode_messages(&messages).unwrap();
    let trainable: Vec<bool> = tree.nodes.iter().map(|node| node.trainable).collect();
    assert_eq!(trainable, [false, true, false]);
    assert_eq!(
        spelled(&tokenizer, &tree),
        [tokenizer.template().render(&messages, true).unwrap()]
    );
    let prompt = tokenizer.encode_prompt(&messages).unwrap();
    assert_eq!(prompt, tree.paths()[0]);
}

#[test]
fn an_answer_without_a_question_is_refused() {
    let tokenizer = chatml();
    let alone = tokenizer.encode_messages(&[Message::assistant("42")]);
    assert!(matches!(alone, Err(Error::MessageOrder { message: 1, .. })));
    let twice = ["42", "43"].map(Message::assistant);
    let twice: Vec<Message> = [Message::user("6 * 7?")].into_iter().chain(twice).collect();
    let twice_tree = tokenizer.encode_messages(&twice);
    assert!(matches!(
        twice_tree,
        Err(Error::MessageOrder { message: 3, .. })
    ));
    let prompt = tokenizer.encode_prompt(&twice[..2]);
    assert!(matches!(
        prompt,
        Err(Error::MessageOrder { message: 2, .. })
    ));
    assert!(matches!(
        tokenizer.encode_messages(&[]),
        Err(Error::Empty { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_tokens_of_a_path_spell_the_rendered_conversation(
        instruction in "[a-z0-9 \n.é🙂]{1,20}[a-z]",
        right in "[a-zA-Z0-9 \n+=é]{0,20}[a-z]",
    ) {
        let tokenizer = chatml();
        let tree = two_turns(&instruction, &right, "wrong!");
        let tokens = tokenizer.encode_tree(&tree, |_| true).unwrap();
        let texts = spelled(&tokenizer, &tokens);
        for ((id, _), text) in tree.nodes().filter(|(id, _)| tree.children(*id).is_empty()).zip(texts) {
            let messages = tree.messages(id);
            let whole = tokenizer.template().render(&messages, false).unwrap();
            prop_assert_eq!(text + "\n", whole);
        }
    }

    #[test]
    fn a_node_does_not_depend_on_its_siblings(other in "[a-z0-9 \n]{0,12}[A-Z]") {
        let tokenizer = chatml();
        let encode = |wrong: &str| tokenizer.encode_tree(&two_turns("6 * 7?", "forty two", wrong), |_| true).unwrap();
        let (a, b) = (encode("41"), encode(&other));
        prop_assert_eq!(&a.nodes[0], &b.nodes[0]);
        prop_assert_eq!(&a.nodes[1], &b.nodes[1]);
    }

    #[test]
    fn decoding_gives_the_action_back(text in "[a-zA-Z0-9 \n+=é🙂`#]{1,40}") {
        let tokenizer = chatml();
        let ids = tokenizer.encode_action(&text).unwrap();
        prop_assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        prop_assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
    }
}

#[test]
fn a_border_that_the_tokenizer_would_join_is_counted() {
    let tokenizer = chatml();
    let clean = tokenizer
        .boundary_differences(&MessageTree::from(&two_turns("6 * 7?", "42", "41")))
        .unwrap();
    assert_eq!(
        (clean.paths, clean.different_paths, clean.different_tokens),
        (3, 0, 0)
    );

    // "\n" ends the generation prompt and starts the action: a merge of two newlines would join them.
    let folder = tempfile::tempdir().unwrap();
    let bpe = train_bpe(["\n\n"; 4], 260, &SPECIAL).unwrap();
    write_tokenizer_folder(folder.path(), &bpe).unwrap();
    let tokenizer = ChatTokenizer::from_folder(folder.path()).unwrap();
    let joined = tokenizer
        .boundary_differences(&MessageTree::from(&two_turns("6 * 7?", "\n42", "41")))
        .unwrap();
    assert_eq!((joined.paths, joined.different_paths), (3, 2));
    assert_eq!(joined.different_tokens, 2 * 2);
    assert_eq!(joined.places.len(), 2);
    let place = &joined.places[0];
    assert_eq!((&place.tree[..], place.leaf), ("p1", 1));
    assert_eq!(place.node_by_node, ["Ċ", "Ċ"]);
    assert_eq!(place.whole, ["ĊĊ"]);
    assert!(place.before.ends_with("istant"), "{place}");
    assert!(place.after.starts_with("42"), "{place}");
    let mut sum = clean;
    sum += joined;
    assert_eq!(
        (sum.paths, sum.different_paths, sum.places.len()),
        (6, 2, 2)
    );
}

// ---- templates of other families

const LLAMA2: &str = "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}\
    {% else %}{% set rest = messages %}{% endif %}\
    {% for message in rest %}\
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
    {{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}\
    {% if message['role'] == 'user' %}{{ '[INST] ' + message['content'].strip() + ' [/INST]' }}\
    {% else %}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}";

#[test]
fn a_template_without_a_generation_prompt_still_splits_at_the_answer() {
    let tokenizer = with_template(LLAMA2).unwrap();
    let tokens = tokenizer
        .encode_tree(&two_turns("6 * 7?", "42", "41"), |_| true)
        .unwrap();
    assert_eq!(
        spelled(&tokenizer, &tokens)[1],
        "[INST] 6 * 7? [/INST] 41 <|im_end|>[INST] Out: 41\nYour answer is wrong. [/INST] 42 <|im_end|>"
    );
    let error = tokenizer
        .encode_prompt(&[Message::user("a"), Message::user("b")])
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("roles must alternate user/assistant/user/assistant/..."),
        "{error}"
    );
}

#[test]
fn a_template_that_rewrites_history_is_refused_with_the_place() {
    // Drops all but the last answer, as templates that hide earlier reasoning do.
    let template = "{% for m in messages %}{% if m.role == 'user' %}<u>{{ m.content }}<a>\
        {% elif loop.last %}{{ m.content }}<|im_end|>{% else %}...<|im_end|>{% endif %}{% endfor %}";
    let error = with_template(template)
        .unwrap()
        .encode_tree(&two_turns("6 * 7?", "42", "41"), |_| true)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("tree p1, node 3: chat template "),
        "{error}"
    );
    assert!(
        error.ends_with(
            "chat_template.jinja rewrites history: it writes earlier messages in another way once others follow; \
             adding message 3 changes the text at byte 12 \
             from \"41<|im_end|>\" to \"...<|im_end|><u>Out: 41\\nYour answer is w\"; \
             use a template that only appends"
        ),
        "{error}"
    );
}

#[test]
fn a_text_that_the_template_leaves_out_or_changes_is_refused_with_the_message() {
    // Hides reasoning, as many templates do; and one that shouts at the user.
    let hides = "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content.split('</think>')[-1] }}<|im_end|>\
        {% else %}<u>{{ m.content }}<a>{% endif %}{% endfor %}";
    let shouts = "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}<|im_end|>\
        {% else %}<u>{{ m.content | upper }}<a>{% endif %}{% endfor %}";
    let ask = |template: &str, answer: &str| {
        let messages = [
            Message::user("  six times seven?  "),
            Message::assistant(answer),
        ];
        let tree = with_template(template).unwrap().encode_messages(&messages);
        tree.map(|tree| tree.nodes.len())
            .map_err(|error| error.to_string())
    };
    assert_eq!(ask(hides, "42"), Ok(2), "white space around a text may go");
    let error = ask(hides, "<think>6 * 7</think>42").unwrap_err();
    assert!(
        error.contains("does not write message 2 (assistant) as it is: of \"<think>6 * 7</think>42\" it makes \"42"),
        "{error}"
    );
    let error = ask(shouts, "42").unwrap_err();
    assert!(
        error.contains("message 1 (user)") && error.contains("SIX TIMES SEVEN?"),
        "{error}"
    );
}

#[test]
fn a_template_that_never_ends_a_turn_is_refused_at_once() {
    let error = with_template("{% for m in messages %}{{ m.content }}\n{% endfor %}").unwrap_err();
    assert!(
        matches!(&error, Error::NoTurnEnd { eos, .. } if eos == "<|im_end|>"),
        "{error}"
    );
}

#[test]
fn the_start_marker_of_a_text_stands_once_per_path() {
    // A Metaspace tokenizer marks the start of a text with "▁", as Llama 2's and Mistral's do.
    let words = ["▁", "6", "a", "b", "u", ":", "▁6", "▁a"];
    let vocab: serde_json::Map<String, serde_json::Value> = ["<unk>", "<s>", "</s>"]
        .iter()
        .chain(&words)
        .enumerate()
        .map(|(id, word)| (word.to_string(), json!(id)))
        .collect();
    let special = |id: u32, content: &str| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true })
    };
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "normalizer": null,
        "pre_tokenizer": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] } },
        },
        "decoder": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false },
        "model": { "type": "BPE", "unk_token": "<unk>", "vocab": vocab, "merges": [["▁", "6"], ["▁", "a"]] },
    });
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, value: &serde_json::Value| {
        fs::write(folder.path().join(name), value.to_string()).unwrap()
    };
    write("tokenizer.json", &tokenizer);
    let template = "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}u:{{ m.content }}:\
        {% else %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}";
    write(
        "tokenizer_config.json",
        &json!({ "bos_token": { "content": "<s>" }, "eos_token": { "content": "</s>" }, "add_bos_token": true,
                 "chat_template": [{ "name": "tools", "template": "x" }, { "name": "default", "template": template }] }),
    );
    let tokenizer = ChatTokenizer::from_folder(folder.path()).unwrap();
    assert_eq!(tokenizer.eos_id(), 2);

    let messages = [
        Message::user("6"),
        Message::assistant("b a"),
        Message::user("6"),
    ];
    let tree = tokenizer.encode_messages(&messages).unwrap();
    let pieces: Vec<Vec<String>> = tree
        .nodes
        .iter()
        .map(|node| {
            node.tokens
                .iter()
                .map(|&id| tokenizer.token(id).unwrap())
                .collect()
        })
        .collect();
    // One "<s>", from the template; an answer starts without a marker that the whole text would not have.
    assert_eq!(pieces[0], ["<s>", "u", ":", "6", ":"]);
    assert_eq!(pieces[1], ["b", "▁a", "</s>"]);
    assert_eq!(pieces[2], ["u", ":", "6", ":"]);
    let whole = tokenizer.template().render(&messages, true).unwrap();
    assert_eq!(tokenizer.encode_text(&whole).unwrap(), tree.paths()[0]);
}
