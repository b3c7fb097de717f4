//! Matrices that are trained as a whole beside adapters.

/// A module that is trained whole beside the adapters, PEFT's `modules_to_save`: what new tokens and a new chat template need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum SavedModule {
    /// The embedding of tokens
    #[cfg_attr(feature = "clap", value(name = "embed_tokens"))]
    EmbedTokens,
    /// The output projection. Where it is the embedding, it becomes a matrix of its own, as with PEFT
    #[cfg_attr(feature = "clap", value(name = "lm_head"))]
    LmHead,
}

impl SavedModule {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::EmbedTokens, Self::LmHead];

    /// The last part of its path, as `modules_to_save` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::EmbedTokens => "embed_tokens",
            Self::LmHead => "lm_head",
        }
    }

    /// Its path.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::EmbedTokens => "model.embed_tokens",
            Self::LmHead => "lm_head",
        }
    }
}
