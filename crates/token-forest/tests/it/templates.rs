//! The chat templates that come along, to the last space; one BOS, and EOS as a target.

use crate::common::{llama_like, llama_like_folder, trained_folder};
use proptest::prelude::*;
use token_forest::{
    BuiltInTemplate, ChatTokenizer, Error, Message, MessageTree, PackedForest, TokenizerFiles,
};

/// Two turns and a question, after a system message if asked.
fn conversation(system: bool) -> Vec<Message> {
    let turns = [
        Message::user("6 * 7?"),
        Message::assistant("41"),
        Message::user(" No.\n"),
        Message::assistant("42 "),
        Message::user("Why?"),
    ];
    let first = system.then(|| Message::system("Be brief."));
    first.into_iter().chain(turns).collect()
}

fn rendered(template: BuiltInTemplate, system: bool) -> String {
    let tokenizer = llama_like(template);
    let messages = conversation(system);
    tokenizer.template().render(&messages, true).unwrap()
}

#[test]
fn mistral_keeps_texts_as_they_are() {
    assert_eq!(
        rendered(BuiltInTemplate::Mistral, false),
        "<s>[INST] 6 * 7? [/INST]41</s>[INST]  No.\n [/INST]42 </s>[INST] Why? [/INST]"
    );
    let error = llama_like(BuiltInTemplate::Mistral)
        .encode_prompt(&conversation(true))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("chat template `mistral` (built in), line 1, cannot render")
            && error.contains("no place for a system message"),
        "{error}"
    );
}

#[test]
fn llama_2_strips_texts_and_begins_every_user_turn_with_bos() {
    let rest = "6 * 7? [/INST] 41 </s><s>[INST] No. [/INST] 42 </s><s>[INST] Why? [/INST]";
    assert_eq!(
        rendered(BuiltInTemplate::Llama2, false),
        format!("<s>[INST] {rest}")
    );
    assert_eq!(
        rendered(BuiltInTemplate::Llama2, true),
        format!("<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n{rest}")
    );
}

#[test]
fn chatml_gives_every_message_a_turn() {
    let rest = "<|im_start|>user\n6 * 7?<|im_end|>\n<|im_start|>assistant\n41<|im_end|>\n\
        <|im_start|>user\n No.\n<|im_end|>\n<|im_start|>assistant\n42 <|im_end|>\n\
        <|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(rendered(BuiltInTemplate::ChatMl, false), rest);
    assert_eq!(
        rendered(BuiltInTemplate::ChatMl, true),
        format!("<|im_start|>system\nBe brief.<|im_end|>\n{rest}")
    );
}

#[test]
fn roles_that_do_not_take_turns_are_refused() {
    for template in [BuiltInTemplate::Mistral, BuiltInTemplate::Llama2] {
        let error = llama_like(template)
            .encode_prompt(&[Message::user("a"), Message::user("b")])
            .unwrap_err();
        assert!(error.to_string().contains("must take turns"), "{error}");
    }
}

#[test]
fn bos_is_there_as_often_as_the_template_writes_it() {
    // The tokenizer puts `<s>` before a text of its own accord; that must not add to the template's.
    for (template, written) in [
        (BuiltInTemplate::Mistral, 1),
        (BuiltInTemplate::Llama2, 3),
        (BuiltInTemplate::ChatMl, 0),
    ] {
        let tokenizer = llama_like(template);
        let prompt = tokenizer.encode_prompt(&conversation(false)).unwrap();
        let bos = tokenizer.encode_text("<s>").unwrap();
        assert_eq!(bos.len(), 1, "a special token");
        let there: Vec<usize> = (0..prompt.len())
            .filter(|&at| prompt[at] == bos[0])
            .collect();
        assert_eq!(there.len(), written, "{}", template.name());
        assert!(written == 0 || there[0] == 0);
        assert!(there.windows(2).all(|pair| pair[0] + 1 < pair[1]));
    }
}

/// Those that this vocabulary can end turns with, and that write answers as they are.
const PLAIN: [BuiltInTemplate; 3] = [
    BuiltInTemplate::Mistral,
    BuiltInTemplate::Llama2,
    BuiltInTemplate::ChatMl,
];

#[test]
fn every_answer_ends_with_eos_and_eos_is_a_target() {
    for template in PLAIN {
        let tokenizer = llama_like(template);
        let tree = tokenizer.encode_messages(&conversation(false)).unwrap();
        let forest = PackedForest::from_trees([&tree]).unwrap();
        let eos = template.turn_end().unwrap_or("</s>");
        assert_eq!(tokenizer.eos(), eos);
        let answers: Vec<usize> = (0..tree.nodes.len())
            .filter(|&node| tree.nodes[node].trainable)
            .collect();
        assert_eq!(answers, [1, 3]);
        let alone = tokenizer.encode_action("41").unwrap();
        assert_eq!(
            tree.nodes[1].tokens, alone,
            "a first answer is one to any prompt"
        );
        for node in answers {
            let targets = &forest.targets[forest.targets_of(forest.node_index(0, node))];
            assert_eq!(targets.len(), tree.nodes[node].tokens.len());
            let last = targets.last().unwrap();
            assert_eq!(last.token, tokenizer.eos_id());
            assert_eq!(
                last.predictor + 1,
                forest.end_of(forest.node_index(0, node))
            );
            let ends = targets.iter().filter(|t| t.token == tokenizer.eos_id());
            assert_eq!(ends.count(), 1);
        }
    }
}

#[test]
fn an_answer_gets_the_tokens_that_it_has_in_the_whole_text() {
    // "]41": no "▁" stands between the template's bracket and the answer.
    for template in PLAIN {
        let tokenizer = llama_like(template);
        let found = tokenizer
            .boundary_differences(&MessageTree::of_messages(&conversation(false)))
            .unwrap();
        assert_eq!(
            (found.paths, found.different_tokens),
            (1, 0),
            "{:?}",
            found.places
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_path_spells_what_the_whole_text_spells(answers in prop::collection::vec("[42 a\n\\[]{1,6}[4\n]", 1..4)) {
        let mut messages = Vec::new();
        for answer in &answers {
            messages.extend([Message::user("6 * 7?"), Message::assistant(answer)]);
        }
        for template in PLAIN {
            let tokenizer = llama_like(template);
            let path = tokenizer.encode_messages(&messages).unwrap().paths().remove(0);
            let mut whole = tokenizer.template().render(&messages, false).unwrap();
            whole.truncate(whole.rfind(tokenizer.eos()).unwrap() + tokenizer.eos().len());
            let at_once = tokenizer.encode_text(&whole).unwrap();
            let spell = |ids: &[u32]| tokenizer.decode_with_special_tokens(ids).unwrap();
            prop_assert_eq!(spell(&path), spell(&at_once));
            let found = tokenizer.boundary_differences(&MessageTree::of_messages(&messages)).unwrap();
            prop_assert_eq!(found.different_paths, usize::from(path != at_once));
            prop_assert_eq!(found.places.is_empty(), path == at_once);
        }
    }
}

#[test]
fn names_lead_to_templates() {
    for template in BuiltInTemplate::ALL {
        assert_eq!(BuiltInTemplate::from_name(template.name()), Some(template));
    }
    assert_eq!(BuiltInTemplate::from_name("alpaca"), None);
}

#[test]
fn a_template_that_is_given_is_written_with_the_other_files() {
    let files = TokenizerFiles::read(llama_like_folder().path())
        .unwrap()
        .with_built_in_template(BuiltInTemplate::ChatMl)
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    files.write(folder.path()).unwrap();
    let again = ChatTokenizer::from_folder(folder.path()).unwrap();
    assert_eq!(again.eos(), "<|im_end|>");
    let messages = conversation(true);
    assert_eq!(
        again.template().render(&messages, true).unwrap(),
        rendered(BuiltInTemplate::ChatMl, true)
    );
    let config = std::fs::read_to_string(folder.path().join("tokenizer_config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["chat_template"], BuiltInTemplate::ChatMl.source());
    assert_eq!(config["add_bos_token"], true, "the rest is kept");
}

#[test]
fn a_template_takes_the_place_of_the_folders_own() {
    let files = TokenizerFiles::read(trained_folder().path()).unwrap();
    let source = "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}";
    let files = files.with_template("mine.jinja", source).unwrap();
    let tokenizer = ChatTokenizer::from_files(files).unwrap();
    assert_eq!(tokenizer.template().name(), "mine.jinja");
    let action = tokenizer.encode_action("42").unwrap();
    assert_eq!(action.last(), Some(&tokenizer.eos_id()));
}

#[test]
fn a_template_whose_tokens_the_vocabulary_lacks_is_refused() {
    let folder = llama_like_folder();
    let path = folder.path().join("tokenizer.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("<|im_end|>", "<|else|>")).unwrap();
    let files = TokenizerFiles::read(folder.path())
        .unwrap()
        .with_built_in_template(BuiltInTemplate::ChatMl)
        .unwrap();
    let error = ChatTokenizer::from_files(files).unwrap_err();
    assert!(
        matches!(&error, Error::EosNotInVocabulary { token, .. } if token == "<|im_end|>"),
        "{error}"
    );
}
