//! The Rust of the book, as tests of documentation. A page with a block of Rust that is not here fails `it book` of `eurus-cli`.

#[doc = include_str!("../../docs/src/checkpoints.md")]
mod checkpoints {}

#[doc = include_str!("../../docs/src/collapse.md")]
mod collapse {}

#[doc = include_str!("../../docs/src/models.md")]
mod models {}

#[doc = include_str!("../../docs/src/training.md")]
mod training {}
