//! Chat templates that come along, for tokenizers that have none.

/// The token that opens a turn in ChatML.
pub(crate) const CHATML_TURN_START: &str = "<|im_start|>";
/// The token that ends a turn in ChatML.
pub(crate) const CHATML_TURN_END: &str = "<|im_end|>";

/// A chat template that comes with this crate. Base models have none of their own.
///
/// Each writes what the template of the models that it is named after writes, to the last space. `BOS` and `EOS`
/// stand for the tokenizer's own:
///
/// | name | user `q1`, assistant `a1`, user `q2` | system message |
/// | --- | --- | --- |
/// | `mistral` | `BOS[INST] q1 [/INST]a1EOS[INST] q2 [/INST]` | refused |
/// | `llama-2` | `BOS[INST] q1 [/INST] a1 EOSBOS[INST] q2 [/INST]`, texts stripped | `<<SYS>>` block in the first user turn |
/// | `chatml` | `<\|im_start\|>user⏎q1<\|im_end\|>⏎<\|im_start\|>assistant⏎a1<\|im_end\|>⏎...` | a turn of its own |
///
/// ```
/// use token_forest::{BuiltInTemplate, Message, ChatTokenizer, train_bpe};
///
/// # fn main() -> token_forest::Result<()> {
/// let bpe = train_bpe(["What is 2 + 2?"], 300, &["<|im_start|>", "<|im_end|>"])?;
/// let files = bpe.files()?.with_built_in_template(BuiltInTemplate::Mistral)?;
/// let tokenizer = ChatTokenizer::from_files(files)?;
/// let text = tokenizer.template().render(&[Message::user("2 + 2?")], true)?;
/// assert_eq!(text, "[INST] 2 + 2? [/INST]"); // this tokenizer has no BOS
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BuiltInTemplate {
    /// `[INST] ... [/INST]` of Mistral-7B-Instruct-v0.2 and Mixtral-8x7B-Instruct as first released, and of the
    /// prompts that Eurus was evaluated with: one BOS, texts verbatim, the answer right after `[/INST]`.
    Mistral,
    /// `[INST]` with `<<SYS>>` of Llama-2-chat: BOS before every user turn, texts stripped, a space on either
    /// side of the answer.
    Llama2,
    /// `<|im_start|>` and `<|im_end|>`, without a default system message. A turn ends with `<|im_end|>`, whatever
    /// the tokenizer's EOS was.
    ChatMl,
}

impl BuiltInTemplate {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mistral, Self::Llama2, Self::ChatMl];

    /// The name: `mistral`, `llama-2` or `chatml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mistral => "mistral",
            Self::Llama2 => "llama-2",
            Self::ChatMl => "chatml",
        }
    }

    /// The template of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// The template in jinja.
    #[must_use]
    pub fn source(self) -> &'static str {
        const MISTRAL: &str = include_str!("templates/mistral.jinja").trim_ascii_end();
        const LLAMA_2: &str = include_str!("templates/llama-2.jinja").trim_ascii_end();
        const CHATML: &str = include_str!("templates/chatml.jinja").trim_ascii_end();
        match self {
            Self::Mistral => MISTRAL,
            Self::Llama2 => LLAMA_2,
            Self::ChatMl => CHATML,
        }
    }

    /// The token that ends a turn, where it is not the tokenizer's EOS.
    #[must_use]
    pub fn turn_end(self) -> Option<&'static str> {
        match self {
            Self::ChatMl => Some(CHATML_TURN_END),
            Self::Mistral | Self::Llama2 => None,
        }
    }
}
