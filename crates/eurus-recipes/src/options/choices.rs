//! Values that are one of several names, spelled as on the command line.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $text,)*
                })
            }
        }
    };
}

choice! {
    /// Families of models.
    Architecture {
        /// Llama, and what has its shape.
        Llama = "llama",
        /// Mistral.
        Mistral = "mistral",
        /// Mixtral.
        Mixtral = "mixtral",
        /// Qwen2.
        Qwen2 = "qwen2",
        /// Qwen3.
        Qwen3 = "qwen3",
    }
}

choice! {
    /// Preference losses of the paper.
    Algorithm {
        /// Direct preference optimisation.
        Dpo = "dpo",
        /// Kahneman-Tversky optimisation.
        Kto = "kto",
        /// Noise-contrastive alignment.
        Nca = "nca",
    }
}

choice! {
    /// Shapes of the learning rate after warm-up.
    Decay {
        /// Half a cosine, down to 0.
        Cosine = "cosine",
        /// A straight line down to 0.
        Linear = "linear",
        /// No decay.
        Constant = "constant",
    }
}

choice! {
    /// How parameters are moved by their gradients.
    Optimizer {
        /// AdamW.
        Adamw = "adamw",
        /// Adafactor.
        Adafactor = "adafactor",
    }
}

choice! {
    /// Parameters that weight decay makes smaller.
    WeightDecayOn {
        /// Matrices, embeddings among them.
        Matrices = "matrices",
        /// All that is trained.
        All = "all",
    }
}

choice! {
    /// Number types to compute in.
    Precision {
        /// That of the weights.
        Full = "full",
        /// bfloat16, with what is updated in float32.
        Bf16 = "bf16",
    }
}

choice! {
    /// What becomes of a step whose loss or gradient is not a finite number.
    NotFinitePolicy {
        /// The run ends.
        Stop = "stop",
        /// The step is left out.
        Skip = "skip",
        /// The weights are updated all the same.
        Continue = "continue",
    }
}

choice! {
    /// What becomes of a row that is too long.
    OverLong {
        /// An error.
        Error = "error",
        /// The oldest turns are left out.
        Cut = "cut",
        /// The row is left out.
        Drop = "drop",
    }
}

choice! {
    /// Where to compute.
    DeviceName {
        /// The processor.
        Cpu = "cpu",
        /// NVIDIA GPUs.
        Cuda = "cuda",
        /// What WebGPU finds.
        Wgpu = "wgpu",
        /// LibTorch.
        Tch = "tch",
    }
}

choice! {
    /// Number types of written weights.
    WeightType {
        /// float32.
        F32 = "f32",
        /// bfloat16.
        Bf16 = "bf16",
        /// IEEE half precision.
        F16 = "f16",
    }
}
