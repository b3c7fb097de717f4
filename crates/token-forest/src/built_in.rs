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
/// The others only append where the models' own templates may not, so that trees can be trained on; prompts and
/// conversations of one turn are those of the models' own:
///
/// | name | of | what it keeps in every turn |
/// | --- | --- | --- |
/// | `qwen3` | Qwen3 | `<think>` with the reasoning of the answer, empty or not, before each answer |
/// | `qwen3-thinking` | Qwen3 that only thinks: its prompt opens `<think>` | the same |
/// | `smollm3` | SmolLM3 | the header with the date of the run, `/think` and `/no_think` of the system message |
/// | `llama-3` | Llama 3.2 and 3.3 | the header with the date of the run; texts stripped |
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
    /// Qwen3 with the reasoning of every turn. Its own template leaves it out of all turns but the last.
    Qwen3,
    /// Qwen3 that only thinks: the prompt for generation ends with `<think>`.
    Qwen3Thinking,
    /// SmolLM3, with a header that has the date.
    SmolLm3,
    /// Llama 3.2 and 3.3, with a header that has the date.
    Llama3,
}

impl BuiltInTemplate {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Mistral,
        Self::Llama2,
        Self::ChatMl,
        Self::Qwen3,
        Self::Qwen3Thinking,
        Self::SmolLm3,
        Self::Llama3,
    ];

    /// The name, such as `llama-2`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mistral => "mistral",
            Self::Llama2 => "llama-2",
            Self::ChatMl => "chatml",
            Self::Qwen3 => "qwen3",
            Self::Qwen3Thinking => "qwen3-thinking",
            Self::SmolLm3 => "smollm3",
            Self::Llama3 => "llama-3",
        }
    }

    /// All names, as `a, b or c`.
    pub(crate) fn names() -> String {
        let names = Self::ALL.map(Self::name);
        let (last, others) = names.split_last().unwrap_or((&"", &[]));
        format!("{} or {last}", others.join(", "))
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
        const QWEN3: &str = concat!(
            "{%- set prompt_opens_thought = false %}\n",
            include_str!("templates/qwen3.jinja")
        );
        const QWEN3_THINKING: &str = concat!(
            "{%- set prompt_opens_thought = true %}\n",
            include_str!("templates/qwen3.jinja")
        );
        const SMOLLM3: &str = include_str!("templates/smollm3.jinja").trim_ascii_end();
        const LLAMA_3: &str = include_str!("templates/llama-3.jinja").trim_ascii_end();
        match self {
            Self::Qwen3 => QWEN3.trim_ascii_end(),
            Self::Qwen3Thinking => QWEN3_THINKING.trim_ascii_end(),
            Self::SmolLm3 => SMOLLM3,
            Self::Llama3 => LLAMA_3,
            Self::Mistral => MISTRAL,
            Self::Llama2 => LLAMA_2,
            Self::ChatMl => CHATML,
        }
    }

    /// The token that ends a turn, where it is not the tokenizer's EOS.
    #[must_use]
    pub fn turn_end(self) -> Option<&'static str> {
        match self {
            Self::ChatMl | Self::Qwen3 | Self::Qwen3Thinking | Self::SmolLm3 => {
                Some(CHATML_TURN_END)
            }
            Self::Llama3 => Some("<|eot_id|>"),
            Self::Mistral | Self::Llama2 => None,
        }
    }
}
