//! Tokenizers for the tests.

use serde_json::{Map, Value, json};
use token_forest::{BuiltInTemplate, ChatTokenizer, TokenizerFiles, train_bpe};

/// Text that the small tokenizer is trained on.
pub const TEXTS: [&str; 3] = [
    "Step 1: Tom has 12 apples and buys 30 more, so he has 12 + 30 = 42 apples.\nAnswer: \\boxed{42}",
    "```python\n# Step 1: count the apples\napples = 12 + 30\nprint(apples)\n```",
    "Out: 42\nYour answer is wrong. The number of apples that Tom buys is not the number he has.",
];

pub const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/// A folder with a trained tokenizer and its own ChatML template.
pub fn trained_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let bpe = train_bpe(TEXTS, 400, &SPECIAL).unwrap();
    token_forest::write_tokenizer_folder(folder.path(), &bpe).unwrap();
    folder
}

/// The trained tokenizer with another template.
#[allow(dead_code, reason = "not every test file needs other templates")]
pub fn with_template(template: &str) -> token_forest::Result<ChatTokenizer> {
    let folder = trained_folder();
    std::fs::write(folder.path().join("chat_template.jinja"), template).unwrap();
    ChatTokenizer::from_folder(folder.path())
}

/// A folder with a tokenizer made like those of Llama 2 and Mistral, without a chat template: every stretch of text
/// begins with "▁", and the tokenizer would put `<s>` before each text. ASCII only, with a few merges.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn llama_like_folder() -> tempfile::TempDir {
    let special = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"];
    let characters = (' '..='~').filter(|&c| c != ' ').chain(['▁', '\n']);
    let merges = [
        ["▁", "["],
        ["I", "N"],
        ["S", "T"],
        ["IN", "ST"],
        ["▁", "4"],
        ["4", "2"],
        ["▁4", "2"],
        ["\n", "\n"],
    ];
    let words = special.iter().map(|word| (*word).to_owned());
    let words = words.chain(characters.map(String::from));
    let vocab: Map<String, Value> = words
        .chain(merges.iter().map(|pair| pair.concat()))
        .enumerate()
        .map(|(id, word)| (word, json!(id)))
        .collect();
    let added = |(id, content): (usize, &&str)| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true })
    };
    let sequence = |id: &str| json!({ "Sequence": { "id": id, "type_id": 0 } });
    let bos = json!({ "SpecialToken": { "id": "<s>", "type_id": 0 } });
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": special.iter().enumerate().map(added).collect::<Vec<_>>(),
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": "▁" },
            { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
        ] },
        "pre_tokenizer": null,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [bos, sequence("A")],
            "pair": [bos, sequence("A"), sequence("B")],
            "special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] } },
        },
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
            { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ] },
        "model": { "type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "vocab": vocab, "merges": merges },
    });
    let config = json!({
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
        "add_bos_token": true, "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": false,
    });
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("tokenizer.json", tokenizer),
        ("tokenizer_config.json", config),
    ] {
        std::fs::write(folder.path().join(name), value.to_string()).unwrap();
    }
    folder
}

/// That tokenizer with a template that comes along.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn llama_like(template: BuiltInTemplate) -> ChatTokenizer {
    let files = TokenizerFiles::read(llama_like_folder().path()).unwrap();
    ChatTokenizer::from_files(files.with_built_in_template(template).unwrap()).unwrap()
}
