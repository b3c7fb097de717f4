//! Tokenizers for the tests.

use token_forest::{ChatTokenizer, train_bpe};

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
