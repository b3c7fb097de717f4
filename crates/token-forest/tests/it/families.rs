//! Templates of model families, as they behave: those that rewrite history, and what stands in for them.

use std::fs;

use crate::common::TEXTS;
use serde_json::json;
use token_forest::{
    BuiltInTemplate, ChatTokenizer, Message, MessageTree, Result, Rewriting, TokenizerFiles,
    train_bpe, write_tokenizer_folder,
};

const SPECIAL: [&str; 7] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
];

/// Qwen3: reasoning in the last turn alone, where `<think>` stands even when it is empty.
const QWEN3: &str = "{%- set ns = namespace(query=-1) %}\
    {%- for m in messages %}{% if m.role == 'user' and not m.content.startswith('<tool_response>') %}{% set ns.query = loop.index0 %}{% endif %}{% endfor %}\
    {%- for m in messages %}{%- if m.role == 'assistant' %}{%- set said = m.content %}{%- set why = '' %}\
    {%- if '</think>' in said %}{%- set why = said.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}\
    {%- set said = said.split('</think>')[-1].lstrip('\\n') %}{%- endif %}\
    {%- if loop.index0 > ns.query %}{{- '<|im_start|>assistant\\n<think>\\n' + why.strip('\\n') + '\\n</think>\\n\\n' + said.lstrip('\\n') + '<|im_end|>\\n' }}\
    {%- else %}{{- '<|im_start|>assistant\\n' + said + '<|im_end|>\\n' }}{%- endif %}\
    {%- elif m.role == 'user' or m.role == 'system' %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endif %}{%- endfor %}\
    {%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}\
    {%- if enable_thinking is defined and not enable_thinking %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}";

/// SmolLM3 without its long default instructions: a header with the date, and switches in the system message.
const SMOLLM3: &str = "{%- set reasoning_mode = '/think' %}{{- '<|im_start|>system\\n' }}\
    {%- if messages[0].role == 'system' %}{%- set given = messages[0].content %}\
    {%- if '/no_think' in given %}{%- set reasoning_mode = '/no_think' %}{%- endif %}\
    {%- set custom = given.replace('/no_think', '').replace('/think', '').rstrip() %}{%- endif %}\
    {{- '## Metadata\\n\\nKnowledge Cutoff Date: June 2025\\nToday Date: ' + strftime_now('%d %B %Y') + '\\nReasoning Mode: ' + reasoning_mode + '\\n\\n## Custom Instructions\\n\\n' }}\
    {%- if custom %}{{- custom + '\\n\\n' }}{%- elif reasoning_mode == '/think' %}{{- 'THINKING' }}{%- else %}{{- 'You are a helpful AI assistant named SmolLM, trained by Hugging Face.\\n\\n' }}{%- endif %}\
    {%- for m in messages %}{%- if m.role == 'user' %}{{ '<|im_start|>user\\n' + m.content + '<|im_end|>\\n' }}\
    {%- elif m.role == 'assistant' %}{% generation %}{{ '<|im_start|>assistant\\n' + ('' if reasoning_mode == '/think' else '<think>\\n\\n</think>\\n') + m.content.lstrip('\\n') + '<|im_end|>\\n' }}{% endgeneration %}{%- endif %}{%- endfor %}\
    {%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' + ('' if reasoning_mode == '/think' else '<think>\\n\\n</think>\\n') }}{%- endif %}";

/// Llama 3.2: a header with the date whether there is a system message or not.
const LLAMA_3: &str = "{{- bos_token }}{%- if strftime_now is defined %}{%- set date = strftime_now('%d %b %Y') %}{%- else %}{%- set date = '26 Jul 2024' %}{%- endif %}\
    {%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content']|trim %}{%- set messages = messages[1:] %}{%- else %}{%- set system = '' %}{%- endif %}\
    {{- '<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: December 2023\\nToday Date: ' + date + '\\n\\n' + system + '<|eot_id|>' }}\
    {%- for m in messages %}{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' }}{%- endfor %}\
    {%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}";

/// Mistral v3: the system message goes into the last question.
const MISTRAL_V3: &str = "{%- if messages[0].role == 'system' %}{%- set system = messages[0].content + '\\n\\n' %}{%- set rest = messages[1:] %}\
    {%- else %}{%- set system = '' %}{%- set rest = messages %}{%- endif %}\
    {%- for m in rest %}{%- if m.role == 'user' %}{{- '[INST] ' + (system if loop.last else '') + m.content + '[/INST]' }}\
    {%- else %}{{- ' ' + m.content + eos_token }}{%- endif %}{%- endfor %}";

/// The files of a folder whose model has this template.
fn files(template: Option<&str>, eos: &str) -> TokenizerFiles {
    let folder = tempfile::tempdir().unwrap();
    let bpe = train_bpe(TEXTS, 400, &SPECIAL).unwrap();
    write_tokenizer_folder(folder.path(), &bpe).unwrap();
    for name in ["chat_template.jinja", "special_tokens_map.json"] {
        let _ = fs::remove_file(folder.path().join(name));
    }
    let config =
        json!({ "eos_token": eos, "bos_token": "<|begin_of_text|>", "chat_template": template });
    fs::write(
        folder.path().join("tokenizer_config.json"),
        config.to_string(),
    )
    .unwrap();
    TokenizerFiles::read(folder.path()).unwrap()
}

fn conversation(system: bool, thought: &str) -> Vec<Message> {
    let first = system.then(|| Message::system("Count apples."));
    let turns = [
        Message::user("Tom buys 12 apples. How many?"),
        Message::assistant(format!("{thought}He has 42.")),
        Message::user("Your answer is wrong."),
        Message::assistant(format!("{thought}He has 12.")),
    ];
    first.into_iter().chain(turns).collect()
}

const THOUGHT: &str = "<think>\nApples are counted.\n</think>\n\n";

fn spelled(tokenizer: &ChatTokenizer, messages: &[Message]) -> Result<String> {
    let tree = tokenizer.encode_messages(messages)?;
    let leaf = tree.nodes.len() - 1;
    tokenizer.decode_with_special_tokens(&tree.path_tokens(leaf))
}

#[test]
fn qwen3_is_trained_with_the_reasoning_of_every_turn_and_keeps_its_template() {
    let thinking = QWEN3.replace(
        "{{- '<|im_start|>assistant\\n' }}",
        "{{- '<|im_start|>assistant\\n<think>\\n' }}",
    );
    for (own, expected, prompt_end) in [
        (QWEN3, BuiltInTemplate::Qwen3, "assistant\n"),
        (
            &thinking,
            BuiltInTemplate::Qwen3Thinking,
            "assistant\n<think>\n",
        ),
    ] {
        let files = files(Some(own), "<|im_end|>");
        let tokenizer = ChatTokenizer::from_files(files.clone()).unwrap();
        let stand_in = tokenizer.stand_in().expect("one stands in");
        assert_eq!(stand_in.built_in, expected);
        assert_eq!(stand_in.rewriting, Some(Rewriting::LeavesOutReasoning));
        let line = stand_in.to_string();
        assert!(
            line.contains("rewrites history (it leaves the reasoning out of earlier answers)")
                && line.contains(&format!(
                    "so `{}` (built in) stands in for it",
                    expected.name()
                )),
            "{line}"
        );
        // What is written with the model is what came with it.
        assert_eq!(tokenizer.files().fingerprint(), files.fingerprint());

        // One turn, and prompts, are those of the model's own template; `TokenizerFiles::with_template` takes it as it is.
        let given = files.with_template("its own", own).unwrap();
        let as_it_is = ChatTokenizer::from_files(given).unwrap();
        assert_eq!(as_it_is.stand_in(), None);
        for system in [false, true] {
            for thought in ["", THOUGHT] {
                let messages = conversation(system, thought);
                let turn = usize::from(system) + 2;
                for (end, generation) in [(turn - 1, true), (turn, false)] {
                    let render = |it: &ChatTokenizer| {
                        it.template().render(&messages[..end], generation).unwrap()
                    };
                    assert_eq!(render(&tokenizer), render(&as_it_is));
                }
                let prompt = tokenizer
                    .template()
                    .render(&messages[..turn - 1], true)
                    .unwrap();
                assert!(prompt.ends_with(prompt_end), "{prompt}");

                let whole = spelled(&tokenizer, &messages).unwrap();
                let reasoning = if thought.is_empty() {
                    "<think>\n\n</think>\n\n"
                } else {
                    THOUGHT
                };
                assert_eq!(whole.matches(reasoning).count(), 2, "{whole}");
                let error = as_it_is.encode_messages(&messages).unwrap_err().to_string();
                assert!(
                    error.contains("rewrites history: it leaves the reasoning out of earlier answers; adding message"),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn smollm3_and_llama_3_append_as_they_are() {
    let day = 1_712_016_000;
    for (own, eos, built_in) in [
        (SMOLLM3, "<|im_end|>", BuiltInTemplate::SmolLm3),
        (LLAMA_3, "<|eot_id|>", BuiltInTemplate::Llama3),
    ] {
        let files = files(Some(own), eos);
        let tokenizer = ChatTokenizer::from_files(files.clone())
            .unwrap()
            .with_time(day);
        assert_eq!(tokenizer.stand_in(), None, "{built_in:?}");
        let other = files.with_built_in_template(built_in).unwrap();
        let other = ChatTokenizer::from_files(other).unwrap().with_time(day);
        let no_thought = |system: &str| {
            let mut messages = conversation(true, "");
            messages[0] = Message::system(system);
            messages
        };
        for messages in [
            conversation(true, THOUGHT),
            no_thought("Count. "),
            no_thought("/no_think"),
        ] {
            let text = tokenizer.template().render(&messages, false).unwrap();
            assert_eq!(other.template().render(&messages, false).unwrap(), text);
            assert!(text.contains("Today Date: 02 Apr"), "{text}");
        }
    }
    // Whoever asks for it has it, and the model keeps its own.
    let llama = files(Some(LLAMA_3), "<|eot_id|>");
    let tokenizer = ChatTokenizer::from_files_with(llama.clone(), BuiltInTemplate::Llama3).unwrap();
    let stand_in = tokenizer.stand_in().expect("it was chosen");
    assert_eq!(stand_in.rewriting, None);
    assert!(
        stand_in
            .to_string()
            .contains("only appends; `llama-3`, which was chosen, (built in)")
    );
    assert_eq!(tokenizer.files().fingerprint(), llama.fingerprint());
}

#[test]
fn a_template_that_comes_along_becomes_part_of_a_model_that_has_none_or_another_one() {
    for own in [None, Some(LLAMA_3)] {
        let files = files(own, "<|eot_id|>");
        let tokenizer =
            ChatTokenizer::from_files_with(files.clone(), BuiltInTemplate::Qwen3).unwrap();
        assert_eq!(tokenizer.stand_in(), None);
        assert_ne!(tokenizer.files().fingerprint(), files.fingerprint());
        assert_eq!(tokenizer.eos(), "<|im_end|>");
        let again = ChatTokenizer::from_files(tokenizer.files().clone()).unwrap();
        let messages = conversation(true, THOUGHT);
        assert_eq!(
            spelled(&again, &messages).unwrap(),
            spelled(&tokenizer, &messages).unwrap()
        );
    }
}

#[test]
fn the_cause_of_rewritten_history_is_named() {
    let chatml = BuiltInTemplate::ChatMl.source();
    let late = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + ('' if loop.last else '<|im_end|>\\n') }}\
        {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
    let opens = chatml.replace(
        "'<|im_start|>assistant\\n'",
        "'<|im_start|>assistant\\n<think>\\n'",
    );
    let numbers = chatml.replace(
        "message['content']",
        "messages | length ~ message['content']",
    );
    for (template, eos, cause) in [
        (
            MISTRAL_V3,
            "<|im_end|>",
            "it moves the system message along with the last question",
        ),
        (
            late,
            "<|im_end|>",
            "it ends a turn only once another message follows",
        ),
        (
            &opens,
            "<|im_end|>",
            "it adds \"<think>\\n\" to the prompt for generation, and does not write it before an answer",
        ),
        (
            &numbers,
            "<|im_end|>",
            "it writes earlier messages in another way once others follow",
        ),
    ] {
        let problem = ChatTokenizer::from_files(files(Some(template), eos)).and_then(|tokenizer| {
            assert_eq!(tokenizer.stand_in(), None);
            tokenizer.encode(&MessageTree::of_messages(&conversation(true, "")))
        });
        let problem = problem.unwrap_err().to_string();
        assert!(
            problem.contains(&format!("rewrites history: {cause}; adding message")),
            "{problem}"
        );
    }
}
