//! Losses chosen by configuration: `{"type": "kto", "beta": 0.1}`.
//!
//! Each of the four enums is one list. To add a loss, write it in a file of its own, with its
//! configuration and its trait of [`loss`](crate::loss), and add a line to the list of its kind.

/// Makes the enum of configurations from the list of losses: its serialized form, `NAMES`, `name` and
/// `init`.
///
/// A line is `Variant(Config), "name", constructor;`, the constructor being a method of the
/// configuration. It is a macro because serde derives what it reads from an enum that is written out.
macro_rules! losses {
    (
        $(#[$about:meta])*
        pub enum $name:ident => $loss:ident {
            $($(#[$doc:meta])* $variant:ident($config:ident), $text:literal, $init:ident;)+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type")]
        #[non_exhaustive]
        pub enum $name {
            $(
                $(#[$doc])*
                #[serde(rename = $text)]
                $variant($config),
            )+
        }

        impl $name {
            /// The names of all losses, as in the serialized `type`, in the order of the variants.
            pub const NAMES: &[&str] = &[$($text),+];

            /// The name of the loss, as in the serialized `type`.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $text,)+
                }
            }

            /// Makes the loss.
            ///
            /// # Errors
            ///
            /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) when a number is outside its
            /// range, and what else the configuration's own `init` refuses.
            pub fn init(&self) -> Result<$loss, crate::error::Error> {
                Ok(match self {
                    $(Self::$variant(config) => $loss::new(config.$init()?),)+
                })
            }
        }
    };
}

mod paired;
mod reward;
mod scored;
mod unpaired;

pub use paired::PreferenceLossConfig;
pub use reward::RewardLossConfig;
pub use scored::ScoredLossConfig;
pub use unpaired::UnpairedLossConfig;
