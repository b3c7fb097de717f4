//! Decoding: one new token of every sequence at a time.

pub mod attention;
pub mod cache;
pub mod draw;
mod layout;
