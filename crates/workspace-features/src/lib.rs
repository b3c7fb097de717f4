//! Nothing but a list of dependencies: one set of features for what burn is built with, however cargo is called.
//!
//! cargo unites the features that the packages of one call ask for. `cargo test -p pref-losses` asks for less than
//! `cargo test --workspace`, of a few small packages near the root of burn's dependencies, and so burn would be
//! built once more. Every package here has this one among its development dependencies, and the program among its own, so
//! they all ask for the same.
